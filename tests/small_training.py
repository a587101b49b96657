"""A run that takes a second: bytes as tokens, a network of two layers, sentences that are easy to learn."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from training_runs import WORDS

from pynanochat.config import GPTConfig
from pynanochat.train import shards
from pynanochat.train.config import TrainConfig
from pynanochat.train.texts import Document

NETWORK = GPTConfig(sequence_len=32, vocab_size=265, n_layer=2, n_head=2, n_kv_head=1, n_embd=32, window_pattern="SL",
                    short_window=8)
UPSTREAMS = GPTConfig(sequence_len=32, vocab_size=265, n_layer=2, n_head=2, n_kv_head=1, n_embd=32)  # by its rules


def config(**changes: Any) -> TrainConfig:
    """Twelve steps of 8 rows, evaluated and saved every third."""
    settings: dict[str, Any] = {
        "network": NETWORK, "steps": 12, "batch_tokens": 256, "rows": 4, "warmup_steps": 2, "eval_every": 3,
        "eval_tokens": 256, "save_every": 3, "keep_last": 2, "dtype": "float32", "compile": "off"}
    return TrainConfig(**settings | changes)


def data(folder: Path, *, conversations: bool = False, seed: int = 0) -> Path:
    """A folder of shards with texts or conversations about animals."""
    choose = random.Random(seed)

    def documents() -> Any:
        for _ in range(120):
            animal, colour = choose.choice(["cat", "dog", "owl"]), choose.choice(["red", "blue"])
            if conversations:
                yield Document(messages=({"role": "user", "content": f"Which {animal} {choose.randrange(999)}?"},
                                         {"role": "assistant", "content": f"The {colour} {animal}."}))
            else:
                yield Document(text=f"The {colour} {animal} number {choose.randrange(9999)} sat on the mat.")

    shards.write(folder, documents(), WORDS, val_share=0.1)
    return folder


def losses(run: Path) -> dict[int, str]:
    """The loss of every step of a run, to the last bit."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return {record["step"]: float(record["loss"]).hex() for record in map(json.loads, lines)
            if record["kind"] == "step"}


def weights(run: Path, step: int) -> bytes:
    """The file of the weights that a run saved at a step."""
    return (run / "checkpoints" / f"step_{step:06d}" / "model.safetensors").read_bytes()

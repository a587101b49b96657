"""Folders of training runs that nobody trained: random checkpoints whose tokens are bytes, and made-up metrics."""

import json
import math

from pynanochat import checkpoint
from pynanochat.config import GPTConfig
from pynanochat.initialize import random_tensors
from pynanochat.tokenizer import SPECIAL_TOKENS, Tokenizer

CONFIG = GPTConfig(sequence_len=256, vocab_size=265, n_layer=1, n_head=2, n_kv_head=1, n_embd=32)
WORDS = Tokenizer({bytes([i]): i for i in range(256)}, {name: 256 + i for i, name in enumerate(SPECIAL_TOKENS)})


def make_run(run, *steps):
    """A run's folder with checkpoints of these steps."""
    (run / "checkpoints").mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"format": "pynanochat-run", "version": 1, "stage": "base"}))
    for step in steps:
        add_checkpoint(run, step)
    return run


def add_checkpoint(run, step, words=WORDS, **meta):
    """Another checkpoint, whose weights are those of its step, with files for the trainer beside them."""
    folder = run / "checkpoints" / f"step_{step:06d}"
    checkpoint.save(folder, config=CONFIG, tensors=random_tensors(CONFIG, step), tokenizer=words,
                    meta={"step": step} | meta)
    (folder / "training.json").write_text("{}")
    return folder


def damage(folder, name="model.safetensors"):
    """Flip a bit in the middle of a file; who has the old one mapped keeps it."""
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / ".draft").write_bytes(data)
    (folder / ".draft").replace(folder / name)


def records(steps, *, every=10, floor=2.0):
    """What a run of so many steps records: a loss that falls to `floor`, an evaluation now and then."""
    made = [{"kind": "event", "step": 0, "time": 0.0, "event": "start", "text": "begun"}]
    for step in range(1, steps + 1):
        loss = floor + 4 * math.exp(-8 * step / steps)
        made.append({"kind": "step", "step": step, "time": step * 0.5, "loss": loss, "lr": 1.0, "tokens": step * 1000,
                     "tokens_per_second": 2000.0, "gradient_norm": 0.5, "mfu": 0.25, "epoch": step / steps})
        if step % every == 0:
            made.append({"kind": "eval", "step": step, "time": step * 0.5, "loss": loss, "bpb": loss / 3})
    return made

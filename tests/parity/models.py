"""The public checkpoints of every generation, and a model at its lowest level: batches straight to a runner."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixture_files import PARITY

import pynanochat as nc
from pynanochat import model
from pynanochat.batch import NO_TOKEN, PAGE_TOKENS, Batch, Span
from pynanochat.ops import reference
from pynanochat.runner import Runner

BACKENDS = ("reference", "cpu", "torch")
TOLERANCE = 2e-4  # on logits, float32: the fixtures' own README
LOSS_TOLERANCE = 1e-5
FOLDERS = sorted(path.name for path in (PARITY / "models").iterdir())
OVERRIDES: dict[str, dict[str, Any]] = {"g2b_2026-03-03_softcap20": {"softcap": 20.0}}  # its tensors cannot tell


@cache
def load(folder: str, backend: str = "reference", **options: Any) -> nc.LLM:
    """A model of the fixtures with as much context as its rotary tables have."""
    path = PARITY / "models" / folder
    info = json.loads((path / "info.json").read_text())
    context = 10 * info["model_config"]["sequence_len"]
    tokenizer = PARITY / f"tokenizer_{info['model_config']['vocab_size']}"
    return nc.load(path, backend=backend, tokenizer=tokenizer, context=context, cache_bytes=32 << 20,
                   **(OVERRIDES.get(folder, {}) | options))


@cache
def expected(folder: str) -> dict[str, np.ndarray]:
    with np.load(PARITY / "models" / folder / "expected.npz") as arrays:
        return dict(arrays)


def greedy(folder: str) -> dict[str, Any]:
    return json.loads((PARITY / "models" / folder / "greedy.json").read_text())


def runner_of(llm: nc.LLM) -> Runner:
    return llm._runner


class Lanes:
    """Sequences on a runner, each on pages of its own, moved on by hand."""

    def __init__(self, llm: nc.LLM, sequences: list[list[int]], first_page: int = 0) -> None:
        self.runner = runner_of(llm)
        self.vocab = llm.config.vocab_size
        self.sequences = sequences
        self.done = [0] * len(sequences)
        groups = len(llm.config.layer_groups())
        each = -(-max(map(len, sequences)) // PAGE_TOKENS)
        self.pages = [[list(range(first_page + i * each, first_page + (i + 1) * each))] * groups
                      for i in range(len(sequences))]

    def step(self, counts: list[int]) -> list[np.ndarray]:
        """Logits (count, V) of each sequence's next `count` tokens, all in one step."""
        spans = []
        for place, count in enumerate(counts):
            start, tokens = self.done[place], self.sequences[place]
            if count:
                spans.append(Span(tokens[start : start + count], tokens[start - 1] if start else NO_TOKEN, start,
                                  self.pages[place], count))
            self.done[place] += count
        logits = self.runner.forward(Batch.of(spans)).numpy()
        return np.split(logits, np.cumsum(counts)[:-1])


def run_split(llm: nc.LLM, tokens: list[int], splits: list[int]) -> np.ndarray:
    """Logits (T, V) of one sequence run in chunks of these sizes."""
    lanes = Lanes(llm, [tokens])
    return np.concatenate([lanes.step([count])[0] for count in splits])


def block_outputs(llm: nc.LLM, tokens: list[int], patch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The residual stream (T, C) after each block of a model on the reference backend, seen on its way."""
    streams: list[np.ndarray] = []
    last: list[np.ndarray] = []
    mlp, add = model.mlp, reference.add

    def spy(x: np.ndarray, y: np.ndarray, *args: Any, **kwargs: Any) -> np.ndarray:
        total = add(x, y, *args, **kwargs)
        if last and y is last[-1]:
            streams.append(total)
        return total

    with patch.context() as patched:
        patched.setattr(model, "mlp", lambda *args: last.append(mlp(*args)) or last[-1])
        patched.setattr(reference, "add", spy)
        pages = list(range(-(-len(tokens) // PAGE_TOKENS)))
        span = Span(tokens, NO_TOKEN, 0, [pages] * len(llm.config.layer_groups()), 1)
        runner_of(llm).forward(Batch.of([span]))
    return streams


def story5m_checkpoint() -> Path | None:
    """The trained model of the fixtures in upstream's own layout, where all of them are at hand."""
    path = PARITY.parent / "checkpoints" / "story5m"
    return path if path.is_dir() else None

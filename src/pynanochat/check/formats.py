"""M10: a model that is saved and loaded again is the same model, and one that was altered is refused."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pynanochat import checkpoint
from pynanochat.check.demo import CONFIG, PORT, SIZES, Demo, difference
from pynanochat.check.result import Check, Measure, at_most, equal
from pynanochat.config import GPTConfig
from pynanochat.errors import DamagedFileError
from pynanochat.generation import GENERATIONS
from pynanochat.initialize import random_tensors

_NETWORKS = {  # format: one that it can hold
    "native": CONFIG,
    "nanochat": replace(CONFIG, short_window=128),
    "huggingface": GPTConfig(**SIZES, **(GENERATIONS["G0"].constants | {"rope_table_dtype": "float32"}),
                             window_pattern=None),
    "burn": PORT,
}
_FLIPS = 24


def round_trip(kind: str, demo: Demo) -> Measure:
    """Config, every bit of every tensor, and the logits, after saving and loading."""
    cfg = _NETWORKS[kind]
    tensors = random_tensors(cfg, demo.seed)
    with _saved(cfg, demo, kind) as folder:
        opened = checkpoint.open(folder)
        changed = sum(opened.tensors[name].numpy().tobytes() != tensors[name].data.tobytes() for name in tensors)
        apart = difference(demo.llm(opened.config, opened.tensors).logits(demo.tokens(8)),
                           demo.llm(cfg, tensors).logits(demo.tokens(8)))
        same = opened.config == cfg and len(opened.tensors) == len(tensors) and not changed
        files = " ".join(sorted(path.name for path in folder.iterdir()))
    return Measure(apart, "= 0, every bit equal", same and apart == 0, f"{len(tensors)} tensors; {files}")


def flipped_byte(demo: Demo) -> Measure:
    """A single altered byte anywhere in the weights is refused."""
    refused = 0
    with _saved(CONFIG, demo, "native") as folder:
        path = folder / "model.safetensors"
        size = path.stat().st_size
        for place in np.random.default_rng(demo.seed).integers(0, size, _FLIPS):
            with path.open("r+b") as file:
                _flip(file, int(place))
                try:
                    checkpoint.open(folder)
                except DamagedFileError:
                    refused += 1
                _flip(file, int(place))
        checkpoint.open(folder)
    return equal(refused, _FLIPS, f"one byte each of {size:,}; the restored file opens")


def bfloat16(demo: Demo) -> Measure:
    """Stored in bfloat16, every weight is within half a unit of its 8 bits."""
    tensors = random_tensors(CONFIG, demo.seed)
    with tempfile.TemporaryDirectory() as place:
        folder = checkpoint.save(Path(place) / "demo", config=CONFIG, tensors=tensors, dtype="bfloat16")
        opened = checkpoint.open(folder)
        stored = np.concatenate([opened.tensors[name].numpy().ravel() for name in tensors])
    given = np.concatenate([tensor.data.ravel() for tensor in tensors.values()])
    worst = float((np.abs(stored - given) / np.maximum(np.abs(given), np.finfo(np.float32).tiny)).max())
    return at_most(worst, 2.0**-8, "relative, over all weights")


@contextmanager
def _saved(cfg: GPTConfig, demo: Demo, kind: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield checkpoint.save(Path(place) / "demo", config=cfg, tensors=random_tensors(cfg, demo.seed), format=kind)


def _flip(file: BinaryIO, place: int) -> None:
    file.seek(place)
    byte = file.read(1)[0]
    file.seek(place)
    file.write(bytes([byte ^ 0x10]))
    file.flush()


CHECKS = (
    *(Check("M10", f"saved and loaded, {kind}", partial(round_trip, kind)) for kind in _NETWORKS),
    Check("M10", "altered weights are refused", flipped_byte),
    Check("M10", "stored in bfloat16", bfloat16),
)

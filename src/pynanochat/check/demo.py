"""Demo: small random networks, loaded as any model is, on the backend that is to be checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynanochat.backends import choose, open_runner
from pynanochat.checkpoint import Checkpoint
from pynanochat.config import GPTConfig
from pynanochat.generation import RUST_PORT, name_of
from pynanochat.initialize import random_tensors
from pynanochat.llm import LLM, STEP_TOKENS
from pynanochat.quantize.formats import AnyTensor
from pynanochat.runner import Facts, Runner, page_counts
from pynanochat.sampling import SamplingPolicy

SIZES: dict[str, Any] = {
    "sequence_len": 128, "vocab_size": 256, "n_layer": 4, "n_head": 4, "n_kv_head": 2, "n_embd": 128}
CONFIG = GPTConfig(**SIZES, short_window=16)  # short, so that a check passes its end
PORT = GPTConfig(**SIZES, **RUST_PORT)
_EXACT = ("reference", "cpu")  # backends that promise the same bits whatever runs beside
_CACHE_BYTES = 4 << 20


@dataclass(frozen=True)
class Demo:
    """What to check: a backend by name (None: as the environment says) and the seed of all weights and inputs."""

    backend: str | None = None
    seed: int = 0

    def llm(self, cfg: GPTConfig = CONFIG, tensors: Mapping[str, AnyTensor] | None = None) -> LLM:
        """A loaded network; random weights if none are given."""
        weights = random_tensors(cfg, self.seed) if tensors is None else tensors
        source = Checkpoint(
            path=Path("demo"), format="native", generation=name_of(cfg), config=cfg, tensors=weights)
        return LLM(source, self.runner(cfg, weights), None, context=cfg.sequence_len)

    def runner(self, cfg: GPTConfig, tensors: Mapping[str, AnyTensor]) -> Runner:
        """A network on the backend, without the engine."""
        pages = page_counts(cfg, cfg.sequence_len, STEP_TOKENS, 4, _CACHE_BYTES)
        return open_runner(choose(self.backend, "float32"), cfg, tensors.__getitem__, context=cfg.sequence_len,
                           pages=pages)

    @cached_property
    def model(self) -> LLM:
        """The network that most checks share."""
        return self.llm()

    @property
    def facts(self) -> Facts:
        """The backend that was chosen."""
        return self.model.backend

    @property
    def tolerance(self) -> float:
        """How far logits of the same token may be apart: not at all where the backend promises the same bits."""
        return 0.0 if self.facts.name in _EXACT else 1e-4

    def tokens(self, count: int, stream: int = 0) -> list[int]:
        """Random token ids; another `stream`, other ids."""
        return [int(token) for token in np.random.default_rng([self.seed, stream]).integers(0, 256, count)]


def difference(left: NDArray[Any], right: NDArray[Any]) -> float:
    """The largest distance between two arrays of one shape; infinite where one holds no number."""
    assert left.shape == right.shape
    worst = float(np.abs(left.astype(np.float64) - right).max())
    return worst if worst == worst else float("inf")


def decoded_logits(llm: LLM, prompt: Sequence[int], count: int) -> tuple[list[int], NDArray[np.float32]]:
    """A greedy answer of `count` tokens, and the logits (count, V) that it was sampled from."""
    rows: list[NDArray[np.float32]] = []

    def watch(logits: NDArray[np.float32], tokens: Sequence[int]) -> NDArray[np.float32]:
        rows.append(logits.copy())
        return logits

    output = llm.generate(prompt, count, policy=SamplingPolicy.greedy(processors=[watch]))
    return output.tokens, np.stack(rows)

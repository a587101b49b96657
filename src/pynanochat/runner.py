"""Runner: what the engine sees of a backend. A step's `Batch` goes in, the logits of its sampled rows come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pynanochat.batch import PAGE_TOKENS, Batch
from pynanochat.config import GPTConfig


@dataclass(frozen=True)
class Facts:
    """What a backend says of itself."""

    name: str  # cpu, torch, reference
    device: str  # 2 threads (avx512vnni); cpu; cuda:0 (NVIDIA H200)
    dtype: str  # of weights and activations; on the cpu backend of the weights, all else is float32 there
    pages: tuple[int, ...]  # of each layer group
    cache_bytes: int
    weight_bytes: int
    reason: str = ""  # why this backend was chosen


class Logits(Protocol):
    """The logits of a step, wherever they are."""

    def numpy(self) -> NDArray[np.float32]:
        """(M, V) on the host; waits for the step if it still runs."""


class Runner(Protocol):
    """A network on a device with page memory for its keys and values."""

    @property
    def facts(self) -> Facts:
        """Name, device, precision and capacity."""

    def forward(self, batch: Batch) -> Logits:
        """Run one step; keeps keys and values, gives the logits of the sampled rows."""

    def copy_page(self, group: int, source: int, target: int) -> None:
        """Copy a page in every layer of a group."""


@dataclass(frozen=True)
class HostLogits:
    """Logits that are already NumPy's."""

    values: NDArray[Any]

    def numpy(self) -> NDArray[np.float32]:
        """(M, V)."""
        return self.values.astype(np.float32, copy=False)


def sequence_pages(cfg: GPTConfig, tokens: int, step_tokens: int) -> tuple[int, ...]:
    """The most pages of each layer group that one sequence of `tokens` holds when steps add up to `step_tokens`."""
    return tuple(
        -(-tokens // PAGE_TOKENS) if window is None or tokens <= window + step_tokens
        else (window + step_tokens) // PAGE_TOKENS + 2
        for window, _ in cfg.layer_groups())


def page_bytes(cfg: GPTConfig, bytes_per_value: int) -> tuple[int, ...]:
    """Bytes of one page of each layer group: keys and values of its layers."""
    row = 2 * cfg.n_kv_head * cfg.head_dim * bytes_per_value
    return tuple(PAGE_TOKENS * row * len(layers) for _, layers in cfg.layer_groups())


def page_counts(
    cfg: GPTConfig, context: int, step_tokens: int, bytes_per_value: int, budget_bytes: int
) -> tuple[int, ...]:
    """Pages of each layer group for as many whole contexts as `budget_bytes` hold, one at least and 64 at most."""
    one = sequence_pages(cfg, context, step_tokens)
    cost = sum(count * size for count, size in zip(one, page_bytes(cfg, bytes_per_value), strict=True))
    contexts = min(max(budget_bytes // cost, 1), 64)
    return tuple(count * contexts for count in one)

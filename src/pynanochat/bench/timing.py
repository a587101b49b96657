"""Timing: seconds of steps that do the same work; what counts is their median."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass

from pynanochat.batch import Batch
from pynanochat.runner import Runner


@dataclass(frozen=True)
class Timing:
    """Seconds of steps of `tokens` tokens each."""

    tokens: int
    seconds: tuple[float, ...]

    @property
    def median_seconds(self) -> float:
        """Of one step."""
        return statistics.median(self.seconds)

    @property
    def tokens_per_second(self) -> float:
        """Of the median step."""
        return self.tokens / self.median_seconds


def step_seconds(runner: Runner, batch: Batch) -> float:
    """The seconds of one step, until its logits are on the host."""
    start = time.perf_counter()
    runner.forward(batch).numpy()
    return time.perf_counter() - start


def timed(runner: Runner, batches: Iterable[Batch]) -> list[float]:
    """The seconds of each step, one after the other; the batches are made before the clock starts."""
    return [step_seconds(runner, batch) for batch in list(batches)]

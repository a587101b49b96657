"""Prefill: a whole prompt in one step, of which the last row alone is sampled."""

from __future__ import annotations

from pynanochat.bench.timing import Timing, timed
from pynanochat.bench.workload import Workload
from pynanochat.runner import Runner


def prefill(runner: Runner, work: Workload, tokens: int, *, repeats: int = 1) -> Timing:
    """The first `tokens` tokens of a sequence in one step, into an empty cache."""
    first, *rest = (timed(runner, [work.batch(range(1), 0, tokens)])[0] for _ in range(repeats + 1))
    return Timing(tokens, tuple(rest or [first]))

"""Decode: steps of one token a sequence, alone, with others, and far into the context."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pynanochat.bench.timing import Timing, timed
from pynanochat.bench.workload import Workload
from pynanochat.runner import Runner

WARM_STEPS = 2


def decode(runner: Runner, work: Workload, start: int, steps: int, *, rows: int = 1, repeats: int = 1) -> Timing:
    """`rows` sequences decoded together from position `start` on, which the cache must hold up to there."""
    timed(runner, work.decode(rows, start, min(WARM_STEPS, steps)))
    seconds = [s for _ in range(repeats) for s in timed(runner, work.decode(rows, start, steps))]
    return Timing(rows, tuple(seconds))


def batch_sweep(
    runner: Runner, work: Workload, sizes: Iterable[int], start: int, steps: int
) -> Iterator[tuple[int, Timing]]:
    """For each number of sequences, all tokens that they get together."""
    for size in sizes:
        yield size, decode(runner, work, start, steps, rows=size)


def context_sweep(runner: Runner, work: Workload, contexts: Sequence[int], steps: int) -> Iterator[tuple[int, Timing]]:
    """For each context, ascending, one sequence whose last token sees that many."""
    filled = 0
    for context in contexts:
        begin = max(context - steps, filled)
        timed(runner, work.fill(filled, begin))
        yield context, decode(runner, work, begin, context - begin)
        filled = context

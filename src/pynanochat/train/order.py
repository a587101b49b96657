"""The order of an epoch: a pure function of a seed and the epoch's number, the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pynanochat.errors import DataError

_DOCUMENTS, _SHARES, _ROWS = 0, 1 << 32, 2 << 32  # streams of random numbers, each for 2^32 numbers of its own kind


def shuffled(count: int, seed: int, epoch: int, stream: int = _DOCUMENTS) -> NDArray[np.int64]:
    """The numbers 0 to count-1 in an order that NumPy's versions do not change: of raw Philox numbers, sorted."""
    random = np.random.Philox(key=np.array([seed, epoch], np.uint64), counter=np.array([0, 0, stream, 0], np.uint64))
    return np.argsort(random.random_raw(count), kind="stable")


def epoch_order(counts: Sequence[int], repeats: Sequence[float], seed: int, epoch: int) -> NDArray[np.int64]:
    """The documents of an epoch of several sources with `counts` documents, numbered one source after the other.

    A source comes `repeats` times; of a broken number's last time a share, that goes on from epoch to epoch.
    """
    parts: list[NDArray[np.int64]] = []
    first = 0
    for source, (count, times) in enumerate(zip(counts, repeats, strict=True)):
        whole = int(times)
        parts += [np.arange(first, first + count)] * whole
        begin, end = (int((times - whole) * turn * count) for turn in (epoch, epoch + 1))
        if end > begin:
            parts.append(first + shuffled(count, seed, 0, _SHARES + source)[np.arange(begin, end) % count])
        first += count
    ids = np.concatenate(parts) if parts else np.empty(0, np.int64)
    if not len(ids):
        raise DataError("an epoch of these sources holds no document; repeat one of them more often")
    return ids[shuffled(len(ids), seed, epoch)]


def row_order(rows: int, seed: int, epoch: int, window: int) -> list[int]:
    """The order of the rows that a window was packed into, so that lengths do not fall from its start to its end."""
    order: list[int] = shuffled(rows, seed, epoch, _ROWS + window).tolist()
    return order

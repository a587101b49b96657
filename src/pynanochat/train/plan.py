"""Plan: the rows of every epoch of a mixture of shards, without their tokens; K = T+1 places a row.

An epoch's documents are shuffled and packed window by window, each window on its own: a place in an epoch is found
again without packing what came before it.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynanochat.errors import DataError
from pynanochat.train.order import epoch_order, row_order
from pynanochat.train.packing import Piece, pack
from pynanochat.train.shards import Shards

WINDOW_DOCUMENTS = 2048  # that a row's documents are chosen from
_WINDOW_ROWS = 256  # at least, so that the last row, which may stay half empty, counts little
_MAX_ROW_TOKENS = 1 << 20
_MAX_REPEATS = 1e6
_EPOCH_DOCUMENTS = 1 << 26  # that repeating may make; their order takes some 40 bytes each
_EPOCH_REPEATS = 16  # which may make more, where there are many documents

Mixture = Shards | Sequence[Shards] | Sequence[tuple[Shards, float]]


@dataclass(frozen=True, slots=True)
class Window:
    """The rows of the documents from `start` to `end` of an epoch's order."""

    start: int
    end: int
    rows: list[list[Piece]]


class Plan:
    """Rows as pieces of documents, the documents of all sources numbered one after the other."""

    def __init__(self, mixture: Mixture, split: str, row_tokens: int, seed: int) -> None:
        sources = _sources(mixture)
        if type(row_tokens) is not int or not 1 <= row_tokens <= _MAX_ROW_TOKENS:
            raise DataError(f"row_tokens is {row_tokens!r}; expected a whole number, 1 to {_MAX_ROW_TOKENS:,}")
        if type(seed) is not int or not 0 <= seed < 1 << 64:
            raise DataError(f"seed is {seed!r}; expected a whole number, 0 to 2^64 - 1")
        self.index = sources[0][0].index
        for shards, repeats in sources:
            if shards.index.tokenizer_sha256 != self.index.tokenizer_sha256:
                raise DataError(f"{shards.folder} and {sources[0][0].folder} were made by different tokenizers; write "
                                "the shards again with one")
            if type(repeats) not in (int, float) or not 0 <= repeats <= _MAX_REPEATS:
                raise DataError(f"{shards.folder} is to come {repeats!r:.40} times an epoch; expected a number, 0 to "
                                f"{_MAX_REPEATS:,.0f}")
        self.repeats = [float(repeats) for _, repeats in sources]
        self.splits = [shards.split(split) for shards, _ in sources]
        self._check_size(sources)
        self._first = np.cumsum([0] + [split.documents for split in self.splits]).tolist()
        self._lengths = np.concatenate([split.lengths for split in self.splits])
        self._cuttable = np.concatenate([np.full(split.documents, not split.conversations) for split in self.splits])
        self.places, self.seed = row_tokens + 1, seed
        self._order: tuple[int, NDArray[np.int64]] | None = None
        self.data = _digest(self.repeats, [[file.sha256 for file in split.files] for split in self.splits])

    def _check_size(self, sources: list[tuple[Shards, float]]) -> None:
        """Raise `DataError` for an epoch that repeating makes too long for the memory."""
        counts = [split.documents * repeats for split, repeats in zip(self.splits, self.repeats, strict=True)]
        most = max(_EPOCH_DOCUMENTS, _EPOCH_REPEATS * sum(split.documents for split in self.splits))
        if sum(counts) > most:
            shards, repeats = sources[counts.index(max(counts))]
            raise DataError(f"{shards.folder} is to come {repeats:,} times an epoch, which makes {sum(counts):,.0f} "
                            f"documents; expected at most {most:,}. Repeat it less: after an epoch comes another one")

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The documents of an epoch in their order."""
        if self._order is None or self._order[0] != epoch:
            counts = [split.documents for split in self.splits]
            self._order = epoch, epoch_order(counts, self.repeats, self.seed, epoch)
        return self._order[1]

    def window(self, epoch: int, start: int) -> Window:
        """The rows of the window of an epoch that begins with the document at `start` of its order."""
        order = self.order(epoch)
        end = self._end(order, start)
        documents = order[start:end]
        packed = pack(self._lengths[documents].tolist(), self.places, self._cuttable[documents].tolist())
        names = documents.tolist()
        rows = [[Piece(names[piece.document], piece.offset, piece.places) for piece in packed[place]]
                for place in row_order(len(packed), self.seed, epoch, start)]
        return Window(start, end, rows)

    def tokens(self, document: int) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
        """A document's tokens and mask, by its number in the mixture."""
        source = bisect_right(self._first, document) - 1
        return self.splits[source].document(document - self._first[source])

    def _end(self, order: NDArray[np.int64], start: int) -> int:
        """Where the window ends: behind so many documents that also make so many rows."""
        tokens, end = 0, start
        while end < len(order):
            more = order[end : end + WINDOW_DOCUMENTS]
            sums = tokens + np.cumsum(self._lengths[more])
            enough = int(np.searchsorted(sums, _WINDOW_ROWS * self.places)) + 1
            if end > start:
                more = more[:enough]
            tokens, end = int(sums[len(more) - 1]), end + len(more)
            if tokens >= _WINDOW_ROWS * self.places:
                break
        return end


def _sources(mixture: Mixture) -> list[tuple[Shards, float]]:
    if isinstance(mixture, Shards):
        return [(mixture, 1.0)]
    sources = [(one, 1.0) if isinstance(one, Shards) else (one[0], one[1]) for one in mixture]
    if not sources:
        raise DataError("no shards; expected at least one folder of them")
    return sources


def _digest(*values: Any) -> str:
    return hashlib.sha256(json.dumps(values).encode("ascii")).hexdigest()

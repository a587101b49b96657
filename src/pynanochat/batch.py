"""Batch: the tokens of one step, of all sequences laid end to end, as arrays only.

N rows (tokens) of S sequences, M rows of them sampled. A page holds `PAGE_TOKENS` positions of one layer group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PAGE_TOKENS = 16
NO_TOKEN = int(np.iinfo(np.int32).min)  # before the first token; other negatives -1-r name row r of the step before

Ints = NDArray[np.int32]


class Span(NamedTuple):
    """What one sequence adds to a step: consecutive tokens, where they stand, and where their keys go."""

    tokens: Sequence[int]
    previous: int  # the token before the first of them, or NO_TOKEN
    position: int  # of the first of them
    pages: Sequence[Sequence[int]]  # page numbers of each layer group by position // PAGE_TOKENS; -1: let go
    sampled: int  # how many of its last rows go through the head


@dataclass(frozen=True, eq=False)
class Batch:
    """One step's input; the same arrays for every backend."""

    tokens: Ints  # (N,)
    prev_tokens: Ints  # (N,)
    positions: Ints  # (N,)
    seq_start: Ints  # (S+1,) first row of each sequence, then N
    page_tables: tuple[Ints, ...]  # per layer group (S, pages)
    sample_rows: Ints  # (M,)

    @classmethod
    def of(cls, spans: Sequence[Span]) -> Batch:
        """The batch of these sequences' next tokens, in this order."""
        tokens: list[int] = []
        previous: list[int] = []
        positions: list[int] = []
        sampled: list[int] = []
        starts = [0]
        for span in spans:
            tokens += span.tokens
            previous += [span.previous, *span.tokens[:-1]]
            positions += range(span.position, span.position + len(span.tokens))
            sampled += range(len(tokens) - span.sampled, len(tokens))
            starts.append(len(tokens))
        groups = len(spans[0].pages) if spans else 0
        return cls(
            tokens=_ints(tokens),
            prev_tokens=_ints(previous),
            positions=_ints(positions),
            seq_start=_ints(starts),
            page_tables=tuple(_table([span.pages[group] for span in spans]) for group in range(groups)),
            sample_rows=_ints(sampled),
        )

    @cached_property
    def row_sequences(self) -> Ints:
        """(N,) the sequence of each row."""
        return np.repeat(np.arange(len(self.seq_start) - 1, dtype=np.int32), np.diff(self.seq_start))

    @cached_property
    def slots(self) -> tuple[Ints, ...]:
        """Per layer group (N,): the place of each row's key and value, counted through all pages."""
        page, offset = np.divmod(self.positions, PAGE_TOKENS)
        return tuple((table[self.row_sequences, page] * PAGE_TOKENS + offset).astype(np.int32)
                     for table in self.page_tables)


def _ints(values: Sequence[int]) -> Ints:
    return np.array(values, np.int32)


def _table(rows: Sequence[Sequence[int]]) -> Ints:
    table = np.full((len(rows), max(map(len, rows))), -1, np.int32)
    for row, pages in zip(table, rows, strict=True):
        row[: len(pages)] = pages
    return table

"""Workload: sequences of random tokens side by side, each with pages of its own, and the batches that run them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pynanochat.batch import NO_TOKEN, PAGE_TOKENS, Batch, Span
from pynanochat.config import GPTConfig

STEP_ROWS = 256  # rows of a step that fills the cache, as the engine's


class Workload:
    """`count` sequences of `tokens` tokens; pages are counted from 0, the same numbers in every layer group."""

    def __init__(self, cfg: GPTConfig, count: int, tokens: int) -> None:
        each = -(-tokens // PAGE_TOKENS)
        self.count, self.length = count, tokens
        self.pages = (count * each,) * len(cfg.layer_groups())
        self._tokens: list[list[int]] = (
            np.random.default_rng(7).integers(0, cfg.vocab_size, (count, tokens)).tolist())
        self._pages = [[range(place * each, (place + 1) * each)] * len(self.pages) for place in range(count)]

    def batch(self, places: range, start: int, rows: int, *, sampled: int = 1) -> Batch:
        """A step of `rows` tokens of each of the sequences at these places, from position `start` on."""
        assert start + rows <= self.length
        spans = []
        for tokens, pages in zip(self._tokens[places.start : places.stop], self._pages[places.start : places.stop],
                                 strict=True):
            previous = tokens[start - 1] if start else NO_TOKEN
            spans.append(Span(tokens[start : start + rows], previous, start, pages, sampled))
        return Batch.of(spans)

    def decode(self, count: int, start: int, steps: int) -> Iterator[Batch]:
        """Steps of one token of each of the first `count` sequences."""
        return (self.batch(range(count), position, 1) for position in range(start, start + steps))

    def fill(self, start: int, end: int) -> Iterator[Batch]:
        """Steps that put the tokens from `start` to before `end` of every sequence into the cache."""
        if end - start >= STEP_ROWS:
            for place in range(self.count):
                for position in range(start, end, STEP_ROWS):
                    yield self.batch(range(place, place + 1), position, min(STEP_ROWS, end - position))
        elif end > start:
            together = STEP_ROWS // (end - start)
            for place in range(0, self.count, together):
                yield self.batch(range(place, min(place + together, self.count)), start, end - start)

"""Which choices show: the bits of a sample's decisions without those that leave no trace in its text.

A generator draws more than it says, such as the name for a sentence that then needs none. `Sample.bits` counts all of
it; here each decision is made otherwise, one at a time with all others kept, and where the text stays the same its bits
do not count. What is left is a closer bound on the text's information, still from above: two decisions that only
together change nothing are counted.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.sample import Sample

T = TypeVar("T")
_TRIES = 16  # to decide otherwise; what is decided the same way each time costs next to nothing


class _Decision(NamedTuple):
    drawn: int  # uniform numbers before its own
    before: float
    after: float
    value: Any


def visible_bits(make: Callable[[Choices], Sample], seed: str) -> tuple[Sample, float]:
    """The sample that `make` gives for the seed, and the bits of those choices that its text depends on."""
    first = _Traced(seed)
    sample = make(first)
    shown, bits, alternatives = _shown(sample), 0.0, random.Random(seed)
    for place, decision in enumerate(first.decisions):
        cost = decision.after - decision.before
        if cost > 0 and _matters(make, seed, first, place, shown, alternatives):
            bits += cost
    return sample, bits


def _matters(
    make: Callable[[Choices], Sample], seed: str, first: _Traced, place: int, shown: object, alternatives: random.Random
) -> bool:
    decision = first.decisions[place]
    for _ in range(_TRIES):
        again = _Traced(seed, [*first.numbers[: decision.drawn], alternatives.random(),
                               *first.numbers[decision.drawn + 1 :]])
        other = make(again)
        if len(again.decisions) <= place or again.decisions[place].value != decision.value:
            return _shown(other) != shown
    return False


def _shown(sample: Sample) -> object:
    return sample.text, sample.messages


class _Traced(Choices):
    """Choices that follow these uniform numbers, and their own after them, and remember each decision."""

    def __init__(self, seed: str, numbers: Sequence[float] = ()) -> None:
        self.decisions: list[_Decision] = []
        self._bits = 0.0
        super().__init__(seed)
        self._random = self._source = _Numbers(seed, numbers)

    @property
    def numbers(self) -> list[float]:
        return self._source.used

    @property
    def bits(self) -> float:
        return self._bits

    @bits.setter
    def bits(self, value: float) -> None:
        self._bits = value
        while self.decisions and self.decisions[-1].after > value:  # what was decided since has been thrown away
            self.decisions.pop()

    def one(self, options: Sequence[T], weights: Sequence[float] | None = None) -> T:
        return self._traced(lambda: super(_Traced, self).one(options, weights))

    def whole(self, low: int, high: int) -> int:
        return self._traced(lambda: super(_Traced, self).whole(low, high))

    def chance(self, p: float = 0.5) -> bool:
        return self._traced(lambda: super(_Traced, self).chance(p))

    def _traced(self, decide: Callable[[], T]) -> T:
        before, drawn = self._bits, len(self.numbers)
        value = decide()
        self.decisions.append(_Decision(drawn, before, self._bits, value))
        return value


class _Numbers(random.Random):
    """Uniform numbers that are given, then those of the seed at the same places."""

    def __init__(self, seed: str, given: Sequence[float]) -> None:
        super().__init__(seed)
        self._given, self.used = given, list[float]()

    def random(self) -> float:
        own = super().random()
        self.used.append(self._given[len(self.used)] if len(self.used) < len(self._given) else own)
        return self.used[-1]

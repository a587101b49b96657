"""Score: what a task came to, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Score:
    """The value of a task over n items; shares of right answers are 0 to 1, bits per byte are better when lower."""

    task: str
    value: float
    n: int  # items; for bits per byte the windows
    standard_error: float
    unit: str = "right"  # or "bits/byte"
    chance: float | None = None  # what guessing gets
    too_long: int = 0  # items that the context did not hold whole: their beginning was cut, or they count as wrong
    facts: dict[str, Any] = field(default_factory=dict)  # more to tell, plain JSON values
    outcomes: tuple[tuple[float, float], ...] = field(default=(), repr=False)  # of each item: (amount, weight)

    @classmethod
    def of_answers(cls, task: str, right: Sequence[bool], **more: Any) -> Score:
        """The share of right answers."""
        return cls.of_ratio(task, [(float(one), 1.0) for one in right], **more)

    @classmethod
    def of_ratio(cls, task: str, outcomes: Sequence[tuple[float, float]], **more: Any) -> Score:
        """The sum of the amounts by the sum of the weights, such as bits by bytes.

        Source of the error: the ratio estimator's linearisation, Cochran, Sampling Techniques, 3rd edition, 6.4.
        """
        amount, weight = (math.fsum(values) for values in zip(*outcomes, strict=True))
        value = amount / weight
        return cls(task=task, value=value, n=len(outcomes), outcomes=tuple(outcomes), **more,
                   standard_error=_error([one - value * size for one, size in outcomes], weight))

    @property
    def centred(self) -> float | None:
        """0 for guessing, 1 for all right; None where chance means nothing."""
        return None if self.chance is None else (self.value - self.chance) / (1 - self.chance)

    def to_dict(self) -> dict[str, Any]:
        """All but the single outcomes, as plain JSON values."""
        document: dict[str, Any] = {"score": self.value, "n": self.n, "standard_error": self.standard_error}
        if self.unit != "right":
            document["unit"] = self.unit
        if self.chance is not None:
            document |= {"chance": self.chance, "centred": self.centred}
        if self.too_long:
            document["too_long"] = self.too_long
        return document | self.facts


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A second model's score minus the first one's."""

    task: str
    value: float
    standard_error: float
    paired: bool  # both answered the same items, so that what is hard for both cancels out

    @property
    def clear(self) -> bool:
        """Whether it is more than two standard errors, which chance alone gives about one time in twenty."""
        return abs(self.value) > 2 * self.standard_error

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {"difference": self.value, "standard_error": self.standard_error, "paired": self.paired}


def difference(first: Score, second: Score) -> Difference:
    """How the second differs from the first; item by item where both have the same ones."""
    paired = first.n == second.n > 0 and all(
        a[1] == b[1] for a, b in zip(first.outcomes, second.outcomes, strict=True))
    if paired:
        weight = math.fsum(size for _, size in first.outcomes)
        error = _error([(b - second.value * size) - (a - first.value * size)
                        for (a, size), (b, _) in zip(first.outcomes, second.outcomes, strict=True)], weight)
    else:
        error = math.hypot(first.standard_error, second.standard_error)
    return Difference(task=second.task, value=second.value - first.value, standard_error=error, paired=paired)


def _error(residuals: Sequence[float], weight: float) -> float:
    n = len(residuals)
    return math.sqrt(math.fsum(one * one for one in residuals) * n / (n - 1)) / weight if n > 1 else 0.0

"""Commitment: an answer is right only if it is one answer, not a list of all that might be right, nor its denial."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from pynanochat.chat import Part

_HEDGE = re.compile(r"\b(?:or|not|no|never|maybe|perhaps)\b|n't\b", re.IGNORECASE)
_SPARE_WORDS = 15  # that an answer may have above twice those of the known right one


@dataclass(frozen=True)
class Committed:
    """A check that also wants the answer to hedge and deny no more than a known right one, and not to be far longer."""

    check: Callable[[str], bool]
    told: str  # a right answer

    def __call__(self, said: str) -> bool:
        """Whether this answer, as a whole, is right."""
        told = len(_HEDGE.findall(self.told))
        hedges = len(_HEDGE.findall(said)) <= (max(told, 2) if told else 0)  # "No." may be "No, he was not."
        long = len(said.split()) > 2 * len(self.told.split()) + _SPARE_WORDS
        return hedges and not long and self.check(said)


def text_of(said: str | list[Part]) -> str:
    """What an answer says outside of its tool blocks."""
    if isinstance(said, str):
        return said
    return "".join(part["text"] for part in said if part["type"] == "text")

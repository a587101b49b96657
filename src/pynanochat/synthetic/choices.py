"""Choices: a seeded source of decisions that counts what they cost, so that the entropy of a text is known.

Two ways to the same text count as two, so `bits` bounds the text's information from above.
"""

from __future__ import annotations

import functools
import math
import random
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
_Part: TypeAlias = "str | _Slot | _Pick"

_HELD_OUT_OF = 32
_PIECES = re.compile(r"[\[|\]]|\{[a-z_0-9]+\^?\}|[^\[|\]{}]+")
_AN = re.compile(r"\b([Aa])n?(?= [aeiou]\w)")  # by letter; a word that sounds otherwise brings its own article
_BLANKS = re.compile(r" {2,}")


def held_out(key: str) -> bool:
    """Whether what this key names is kept for measuring alone: about one key in 32, the same ones for ever."""
    return zlib.crc32(key.encode("utf-8")) % _HELD_OUT_OF == 0


class Choices:
    """Decisions that depend on the seed alone; `bits` is -log2 of the probability of all of them so far."""

    def __init__(self, seed: str | int) -> None:
        self._random = random.Random(str(seed))
        self.bits = 0.0

    def one(self, options: Sequence[T], weights: Sequence[float] | None = None) -> T:
        """One of the options, all as likely, or by their weights."""
        if weights is None:
            self.bits += math.log2(len(options))
            return options[int(self._random.random() * len(options))]
        place = self._random.choices(range(len(options)), weights)[0]
        self.bits -= math.log2(weights[place] / sum(weights))
        return options[place]

    def whole(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        self.bits += math.log2(high - low + 1)
        return low + int(self._random.random() * (high - low + 1))

    def chance(self, p: float = 0.5) -> bool:
        """True with probability p, between 0 and 1."""
        came = self._random.random() < p
        self.bits -= math.log2(p if came else 1 - p)
        return came

    def several(self, items: Iterable[T], k: int) -> list[T]:
        """k different items in random order."""
        left = list(items)
        taken = []
        for _ in range(k):
            taken.append(self.one(left))
            left.remove(taken[-1])
        return taken

    def shuffled(self, items: Iterable[T]) -> list[T]:
        """All items in random order."""
        left = list(items)
        return self.several(left, len(left))

    def text(self, template: str, slots: Mapping[str, Any] | None = None, **more: Any) -> str:
        """The template with each [a|b|c] decided (they nest; a half-empty [word|] is optional) and each {slot} filled.

        {slot^} begins with a capital. "a" becomes "an" before a vowel's letter. Blanks are single ones.
        """
        said = self._say(_parsed(template), {**slots, **more} if slots else more)
        if "  " in said:
            said = _BLANKS.sub(" ", said)
        return _AN.sub(r"\1n", said).strip(" ")

    def _say(self, parts: tuple[_Part, ...], slots: Mapping[str, Any]) -> str:
        said = []
        for part in parts:
            if isinstance(part, str):
                said.append(part)
            elif isinstance(part, _Slot):
                value = str(slots[part.name])
                said.append(value[:1].upper() + value[1:] if part.capital else value)
            else:
                said.append(self._say(self.one(part.options), slots))
        return "".join(said)


class _Slot:
    def __init__(self, text: str) -> None:
        self.name, self.capital = text.strip("{^}"), text.endswith("^}")


class _Pick:
    def __init__(self, options: list[tuple[_Part, ...]]) -> None:
        self.options = options


@functools.lru_cache(maxsize=65536)
def _parsed(template: str) -> tuple[_Part, ...]:
    pieces = _PIECES.findall(template)
    if "".join(pieces) != template:
        raise ValueError(f"template {template!r} has a brace that is no slot")
    parts, at = _sequence(pieces, 0, nested=False)
    if at != len(pieces):
        raise ValueError(f"template {template!r} has a bracket too many")
    return parts


def _sequence(pieces: list[str], at: int, *, nested: bool) -> tuple[tuple[_Part, ...], int]:
    parts: list[_Part] = []
    while at < len(pieces) and not (nested and pieces[at] in "|]"):
        if pieces[at] == "[":
            options = []
            while pieces[at] != "]":
                option, at = _sequence(pieces, at + 1, nested=True)
                options.append(option)
                if at == len(pieces):
                    raise ValueError("a template's bracket is never closed")
            parts.append(_Pick(options))
        elif pieces[at] in "|]":
            break
        else:
            parts.append(_Slot(pieces[at]) if pieces[at].startswith("{") else pieces[at])
        at += 1
    return tuple(parts), at

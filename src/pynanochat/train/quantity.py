"""Quantity: numbers as people read them: counts, durations, losses."""

from __future__ import annotations

import math

_PREFIXES = (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3))


def count(number: float) -> str:
    """A count in three digits and a prefix, as in 4.13 M; below ten thousand as it is."""
    if number < 10_000:
        return f"{number:,.0f}"
    prefix, size = next((name, size) for name, size in _PREFIXES if number >= 0.9995 * size)
    return f"{_three(number / size)} {prefix}"


def duration(seconds: float) -> str:
    """A time in its two largest units, as in 3 min 20 s."""
    whole = round(max(seconds, 0.0))
    for large, size, small, part in (("d", 86_400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {large}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def level(number: float) -> str:
    """A loss, a rate or a norm: three places, and powers of ten where those say nothing."""
    if number == 0 or 0.001 <= abs(number) < 1000:
        return f"{number:.3f}"
    return f"{number:.2e}"


def marks(low: float, high: float, most: int) -> list[float]:
    """At most `most` round numbers from `low` to `high`, evenly apart by 1, 2 or 5 times a power of ten."""
    if not high > low or most < 1:
        return [low]
    size = 10.0 ** math.floor(math.log10((high - low) / most))
    for apart in (size, 2 * size, 5 * size, 10 * size, 20 * size):
        first, last = math.ceil(low / apart - 1e-9), math.floor(high / apart + 1e-9)
        if last - first < most:
            return [place * apart for place in range(first, last + 1)] or [low]
    return [low]


def mark(number: float, among: list[float]) -> str:
    """One of `marks` in as many places as tell it from the others."""
    apart = among[1] - among[0] if len(among) > 1 else abs(number) / 10 or 1.0
    places = max(0, -math.floor(math.log10(apart) + 1e-9))
    return f"{number:,.{places}f}"


def short_mark(number: float, among: list[float]) -> str:
    """One of `marks` of large counts, as in 5 M or 0.5 k."""
    most = max(map(abs, among))
    prefix, size = next(((name, size) for name, size in _PREFIXES if most >= size), ("", 1.0))
    return f"{mark(number / size, [one / size for one in among])} {prefix}".rstrip() if number else "0"


def _three(number: float) -> str:
    return f"{number:.{2 if number < 9.995 else 1 if number < 99.95 else 0}f}"

"""Plot: numbers as bars of text, for any terminal that knows block characters."""

from __future__ import annotations

from collections.abc import Mapping

_EIGHTHS = " ▏▎▍▌▋▊▉"
WIDTH = 76


def figures(number: float) -> str:
    """A number with as many places as mean something."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def bars(heading: str, unit: str, values: Mapping[int, float], width: int = WIDTH) -> list[str]:
    """Lines of at most `width` characters: a heading, and a bar for each value, the largest one as long as can be."""
    names = [f"{name:,}" for name in values]
    numbers = [figures(value) for value in values.values()]
    left, right = max(map(len, names)), max(map(len, numbers))
    room = max(width - left - right - 5, 1)
    most = max(values.values())
    lines = [f"{heading}{unit:>{max(width - len(heading), 1)}}"]
    for name, number, value in zip(names, numbers, values.values(), strict=True):
        eighths = round(8 * room * value / most)
        bar = "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
        lines.append(f"  {name:>{left}} {bar:<{room}}  {number:>{right}}")
    return lines

"""Chart: lines and columns as characters, for any terminal that knows Unicode.

A row of a chart is a list of pieces, (text, number of the line that it belongs to, None for axes), so that who prints
it can colour them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pynanochat.train.quantity import mark, marks

Row: TypeAlias = list[tuple[str, int | None]]

SIGNS = "•×+o*#%@"  # of lines where there are no colours
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of U+2800, by row and column in a cell
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_EARLY = 0.02  # share of the x range in which a loss may lie above the chart: it falls from far above
_MANY = 50  # points of a line, from which on that holds


@dataclass(frozen=True)
class Line:
    """A curve: x ascending, y as long, both finite."""

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]


def y_range(lines: Sequence[Line]) -> tuple[float, float]:
    """What a chart of losses shows: all of it but the heights of the first steps."""
    settled = _EARLY * max(float(line.x[-1]) for line in lines)
    late = [line.y if len(line.y) < _MANY or line.x[-1] < settled else line.y[line.x >= settled] for line in lines]
    low, high = min(float(line.y.min()) for line in lines), max(float(y.max()) for y in late)
    if high > low:
        return low, high
    room = abs(low) / 10 or 1.0
    return low - room, high + room


def lines_chart(
    lines: Sequence[Line], end: float, width: int, height: int, *,
    x_text: Callable[[float, list[float]], str] = mark, signs: bool = False,
) -> list[Row]:
    """The lines from x = 0 to `end` in braille dots, or with `signs` as one character each.

    They are `height` rows, and two more for the x axis.
    """
    low, high = y_range(lines)
    levels = marks(low, high, max(3, height // 3))
    texts = [mark(value, levels) for value in levels]
    margin = max(map(len, texts)) + 1
    columns = max(width - margin - 1, 8)
    canvas = _Canvas(columns, height, signs)
    for number, line in enumerate(lines):
        canvas.draw(number, line.x / end, (line.y - low) / (high - low))
    labels = {round((height - 1) * (high - value) / (high - low)): text
              for value, text in zip(levels, texts, strict=True)}
    rows: list[Row] = []
    for place in range(height):
        axis = "┤" if place in labels else "│"
        rows.append([(f"{labels.get(place, ''):>{margin}}{axis}", None), *canvas.row(place)])
    rows.append([(" " * margin + "└" + "─" * columns, None)])
    rows.append([(" " * (margin + 1) + _scale(end, columns, x_text), None)])
    return rows


def columns_chart(values: NDArray[np.float64], width: int, height: int) -> list[str]:
    """The values (n,) as `height` rows of `width` block characters, the least of them an eighth of a row high."""
    edges = np.linspace(0, len(values), width + 1)
    means = np.array([values[int(start) : max(int(end), int(start) + 1)].mean()
                      for start, end in pairwise(edges.tolist())])
    low, high = float(means.min()), float(means[int(_EARLY * width) :].max())
    share = np.clip((means - low) / (high - low), 0, 1) if high > low else np.zeros(width)
    eighths = 1 + np.round(share * (8 * height - 1)).astype(int)
    return ["".join(_EIGHTHS[min(max(one - 8 * row, 0), 8)] for one in eighths) for row in reversed(range(height))]


class _Canvas:
    """Cells of two by four dots, each cell of the line that drew in it last."""

    def __init__(self, columns: int, rows: int, signs: bool) -> None:
        self._cells = np.zeros((rows, columns), np.int64)
        self._owner = np.full((rows, columns), -1)
        self._signs = signs
        self._wide, self._high = (1, 1) if signs else (2, 4)

    def draw(self, number: int, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """A line through points of the unit square; what lies above it is left out."""
        rows, columns = self._cells.shape
        across, up = columns * self._wide - 1, rows * self._high - 1
        places = np.round(x * across).astype(int)
        heights = np.round(np.clip(y, -1.0, 2.0) * up).astype(int)
        before = int(places[0]), int(heights[0])
        for place, height in _thinned(places, heights):
            self._segment(number, before, (place, height))
            before = place, height

    def row(self, place: int) -> Row:
        """The pieces of a row of cells."""
        made: Row = []
        for cell, owner in zip(self._cells[place].tolist(), self._owner[place].tolist(), strict=True):
            text = " " if owner < 0 else SIGNS[owner % len(SIGNS)] if self._signs else chr(0x2800 + cell)
            whose = None if owner < 0 else owner
            if made and made[-1][1] == whose:
                made[-1] = made[-1][0] + text, whose
            else:
                made.append((text, whose))
        return made

    def _segment(self, number: int, start: tuple[int, int], end: tuple[int, int]) -> None:
        steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
        for step in range(steps + 1):
            self._dot(number, start[0] + round((end[0] - start[0]) * step / steps),
                      start[1] + round((end[1] - start[1]) * step / steps))

    def _dot(self, number: int, across: int, up: int) -> None:
        rows = len(self._cells)
        if not 0 <= up < rows * self._high:
            return
        down = rows * self._high - 1 - up
        cell = down // self._high, across // self._wide
        self._owner[cell] = number
        if not self._signs:
            self._cells[cell] |= _DOTS[down % 4][across % 2]


def _thinned(places: NDArray[np.int64], heights: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Of the points in each column of dots the first, the lowest, the highest and the last."""
    starts = np.flatnonzero(np.diff(places, prepend=places[0] - 1))
    ends = np.append(starts[1:], len(places))
    made = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        part, column = heights[start:end], int(places[start])
        made += [(column, int(one)) for one in dict.fromkeys((part[0], part.min(), part.max(), part[-1]))]
    return made


def _scale(end: float, columns: int, text: Callable[[float, list[float]], str]) -> str:
    """The marks of the x axis, each centred below its place as far as there is room."""
    values = marks(0.0, end, max(2, columns // 14))
    made = ""
    for value in values:
        label = text(value, values)
        centre = round(value / end * (columns - 1))
        at = min(max(centre - len(label) // 2, 0), columns - len(label))
        if not made or at > len(made):
            made = made.ljust(at) + label
    return made

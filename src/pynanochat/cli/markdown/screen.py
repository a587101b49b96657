"""Screen: lines at the end of a terminal, the last of which may be drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pynanochat.cli.markdown.cells import Line, Run, Size, certain, line_of, paint, rows, text_of, width


class _Row(NamedTuple):
    """A row of the terminal, and whether a line ends with it."""

    content: Line
    is_last: bool


class Screen:
    """What is drawn; `draw` gives what has to be written so that it becomes something else.

    Where the terminal's rows are not known for sure - its size has changed, or a line of several rows holds signs whose
    width terminals do not agree on - nothing is taken back: the changed lines are drawn again, below.
    """

    def __init__(self, size: Size) -> None:
        self._size = size
        self._open: list[Line] = [()]
        self._known = True  # where the open lines' rows are

    def draw(self, settled: Sequence[Line], opened: Sequence[Line], size: Size) -> str:
        """Show these lines in place of the open ones, the last one without an end."""
        self._known = self._known and size == self._size
        self._size = size
        old, new = self._open, [*settled, *opened]
        self._open = list(opened)
        same = 0
        while same < min(len(old), len(new)) - 1 and old[same] == new[same]:
            same += 1
        more = _more(old[same], new[same]) if same == len(old) - 1 else None
        if more is not None:
            made = "\n".join(map(paint, [more, *new[same + 1:]]))
        else:
            made = self._again(old[same:], new[same:])
        if not text_of(opened[0]) and len(opened) == 1:
            self._known = True
        return made

    def _again(self, old: list[Line], new: list[Line]) -> str:
        """Go back to the first row that differs, and draw from there."""
        columns, lines = self._size
        before, after = _rows_of(old, columns), _rows_of(new, columns)
        first = 0
        while first < min(len(before), len(after)) - 1 and before[first] == after[first]:
            first += 1
        up = len(before) - 1 - first
        sure = all(certain(text_of(line)) or width(text_of(line)) <= columns for line in old)
        if not (self._known and sure and up < lines):
            self._known = True
            return "\n" + "\n".join(map(paint, new))
        move = f"\r\033[{up}A\033[J" if up else "\r\033[J"
        drawn = [paint(row.content) + "\n" * row.is_last for row in after[first:]]
        return move + "".join(drawn).removesuffix("\n")


def _more(old: Line, new: Line) -> Line | None:
    """What turns a line into a longer one; None where it does not only grow."""
    if not old:
        return new
    last = len(old) - 1
    if len(new) <= last or old[:last] != new[:last] or old[last].style != new[last].style:
        return None
    if not new[last].text.startswith(old[last].text):
        return None
    return line_of([Run(new[last].text[len(old[last].text):], new[last].style), *new[last + 1:]])


def _rows_of(lines: list[Line], columns: int) -> list[_Row]:
    made: list[_Row] = []
    for line in lines:
        parts = rows(line, columns)
        made += [_Row(part, place == len(parts) - 1) for place, part in enumerate(parts)]
    return made

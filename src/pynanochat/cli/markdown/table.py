"""A table: its columns are as wide as what they hold, or share the width of the terminal."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import zip_longest

from pynanochat.cli.markdown.cells import Line, Run, Size, both, line_of, text_of, width, wrap

_RULE = re.compile(r":?-+:?")
_EDGE = re.compile(r"(?<!\\)\|")
_LEAST = 3  # cells of a column
_GAP = Run(" │ ", "2")


def begins(header: str, rule: str, columns: int) -> bool:
    """Whether two lines of Markdown begin a table, and one that can be shown in so many cells."""
    rules, count = _cells(rule), len(_cells(header))
    return ("|" in rule and all(map(_RULE.fullmatch, rules)) and count == len(rules)
            and count * (_LEAST + len(_GAP.text)) - len(_GAP.text) <= columns)


def may_begin(rule: str) -> bool:
    """Whether this may be the beginning of the line under a table's header."""
    return not rule.strip(" |:-")


class Table:
    """A header and rows that come in one by one; where they no longer fit the screen, the columns stay as they are."""

    def __init__(self, rule: str, size: Size, shown: Callable[[str], Line]) -> None:
        self._size = size
        self._shown = shown
        self._rules = _cells(rule)
        self._rows: list[list[Line]] = []
        self._widths: list[int] | None = None  # once they are settled
        self.open: list[Line] = []  # may still change

    def add(self, row: str) -> list[Line]:
        """Take a row; the lines that this settles."""
        cells, count = _cells(row), len(self._rules)
        if len(cells) > count:
            cells[count - 1:] = [" | ".join(cells[count - 1:])]
        self._rows.append([self._shown(cell.replace("\\|", "|")) for cell in cells] + [()] * (count - len(cells)))
        if self._widths is not None:
            return self._drawn(self._widths, len(self._rows) - 1)
        limit = self._size.height - 3
        fitting = self._fitting(self._rows)
        self.open = self._drawn(fitting)
        if len(self.open) <= limit:
            return []
        before = self._rows[:-1] or self._rows  # they are on the screen and can be drawn again, if they stay there
        whole = len(self.open) - len(self._drawn(fitting, len(self._rows) - 1))
        self._widths = fitting if whole <= limit else self._fitting(before)
        self.open = []
        return self._drawn(self._widths)

    def _fitting(self, rows: list[list[Line]]) -> list[int]:
        """Widths that are enough for every cell, or as even as the terminal needs them to be."""
        wanted = [max(1, *(width(text_of(row[column])) for row in rows)) for column in range(len(self._rules))]
        room = self._size.width - len(_GAP.text) * (len(wanted) - 1)
        most = max(wanted)
        while most > _LEAST and sum(min(cells, most) for cells in wanted) > room:
            most -= 1
        made = [min(cells, most) for cells in wanted]
        for column, cells in enumerate(wanted):
            made[column] += min(cells - made[column], max(0, room - sum(made)))
        return made

    def _drawn(self, widths: list[int], start: int = 0) -> list[Line]:
        """The rows from `start` on."""
        lines: list[Line] = []
        for place in range(start, len(self._rows)):
            cells = [wrap(cell, cells) for cell, cells in zip(self._rows[place], widths, strict=True)]
            for parts in zip_longest(*cells, fillvalue=()):
                runs: list[Run] = []
                for column, part in enumerate(parts):
                    runs += [_GAP] if column else []
                    runs += self._aligned(part, widths[column], column)
                lines.append(_trimmed(runs, "1" if place == 0 else ""))
            if place == 0:
                lines.append((Run("─┼─".join("─" * cells for cells in widths), _GAP.style),))
        return lines

    def _aligned(self, part: Line, cells: int, column: int) -> list[Run]:
        rule, blank = self._rules[column], cells - width(text_of(part))
        left = 0 if not rule.endswith(":") else blank // 2 if rule.startswith(":") else blank
        return [Run(" " * left), *part, Run(" " * (blank - left))]


def _trimmed(runs: list[Run], style: str) -> Line:
    """The runs as a line, on top of a style, without the spaces at its end."""
    while runs and not runs[-1].text.strip(" "):
        runs.pop()
    return line_of(Run(run.text, run.style if run is _GAP else both(run.style, style)) for run in runs)


def _cells(row: str) -> list[str]:
    cells = [cell.strip() for cell in _EDGE.split(row)]
    if len(cells) > 1 and not cells[0]:
        del cells[0]
    if len(cells) > 1 and not cells[-1]:
        del cells[-1]
    return cells

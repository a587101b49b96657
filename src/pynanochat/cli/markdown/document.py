"""Document: Markdown that comes in, as lines that stand and lines that may still change.

What a line looks like follows from the text alone, not from the pieces in which it came; and where a line is far enough
behind the end to have left the screen, nothing that comes can change it. To that end lines stand for themselves:
styles begin and end within a line, and an underline of === or --- makes no heading of the text above it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate

from pynanochat.cli.markdown.cells import Line, Run, Size, line_of, text_of, width, wrap
from pynanochat.cli.markdown.code import coloured
from pynanochat.cli.markdown.inline import styled_line
from pynanochat.cli.markdown.table import Table, begins, may_begin

_MARKER = r"(?:[-*+]|\d{1,9}[.)])"
_FENCE = re.compile(rf"( *(?:{_MARKER} +)?)(`{{3,}}(?=[^`]*$)|~{{3,}}) *([^\s`{{]*).*")
_HEADING = re.compile(r" {0,3}(#{1,6}) +(.*?)(?: +#+)? *")
_RULE = re.compile(r" {0,3}([-*_])(?: *\1){2,} *")
_ITEM = re.compile(rf"( *)({_MARKER}) +(.*)")
_QUOTE = re.compile(r" {0,3}> ?(.*)")
_WAITS = re.compile(r" *(?:#{1,6}|[-*_](?: *[-*_])*|\+|`{1,2}|~{1,2})? *")  # the beginning of several things
_DEEPEST = 3  # quotes in quotes
_BAR = (Run("│ ", "2"),)


@dataclass(slots=True)
class _Code:
    """A block of code that has begun."""

    fence: str
    language: str
    lines: list[str]

    def ends_with(self, line: str) -> bool:
        """Whether the line closes it."""
        marks = line.strip(" ")
        return len(marks) >= len(self.fence) and marks == self.fence[0] * len(marks)

    def may_end_with(self, line: str) -> bool:
        """Whether the beginning of a line, not long enough yet, may turn out to close it."""
        marks = line.strip(" ")
        return 0 < len(marks) < len(self.fence) and marks == self.fence[0] * len(marks)


class Document:
    """Takes text, gives lines; `literals` are characters that stand for text which is no Markdown."""

    def __init__(self, size: Size, literals: Mapping[str, Run], depth: int = 0) -> None:
        self.size = size  # may be changed between blocks
        self._literals = literals
        self._depth = depth
        self._last = ""  # the line that is not at its end
        self._before = ""  # the line before it
        self._in_list = False
        self._code: _Code | None = None
        self._header: tuple[str, list[Line]] | None = None  # a line that may turn out to be a table's, and its text
        self._table: Table | None = None
        self._quote: Document | None = None

    @property
    def between_blocks(self) -> bool:
        """Whether nothing is open that was laid out for the size of the terminal."""
        return not self._last and self._table is None and self._header is None and self._quote is None

    def push(self, text: str) -> list[Line]:
        """Take text; the lines that now stand."""
        *whole, self._last = (self._last + text).split("\n")
        return [line for one in whole for line in self._take(one.expandtabs(4))]

    def open(self) -> list[Line]:
        """The lines after those that stand; the last one may grow, and is empty at the beginning of a line."""
        last = self._last.expandtabs(4)
        if self._code is not None:
            return [() if self._code.may_end_with(last) else self._expanded([Run(last)])]  # colours at its end
        if self._table is not None and "|" in last:
            return [*self._table.open, wrap(self._expanded([Run(last, "2")]), self.size.width - 1)[0]]
        if self._header is not None and may_begin(last):
            return [*self._header[1], ()]
        quoted = self._quoted(last)
        if quoted is None:
            return [*self._pending(), *([()] if _WAITS.fullmatch(last) else self._shown(last, is_open=True))]
        lines, quote = ([], self._quote) if self._quote else (self._pending(), self._inner())
        quote._last = quoted
        return lines + self._barred(quote.open())

    def end(self) -> list[Line]:
        """The lines that stand when no more comes."""
        lines = self._take(self._last.expandtabs(4)) if self._last else []
        self._last = ""
        return lines + self._close()

    def _take(self, line: str) -> list[Line]:
        """The lines that a whole line settles."""
        if self._code is not None:
            row, ends = self._coloured(line), self._code.ends_with(line)
            self._code.lines.append(line)
            if ends:
                self._code = None
            return [row]
        if self._table is not None and "|" in line:
            return self._table.add(line)
        if self._header is not None and begins(self._header[0], line, self.size.width):
            self._table = Table(line, self.size, self._cell)
            header, self._header = self._header[0], None
            return self._table.add(header)
        quoted = self._quoted(line)
        if quoted is not None:
            closed = [] if self._quote else self._close()
            self._quote = self._quote or self._inner()
            return closed + self._barred(self._quote._take(quoted))
        closed, shown = self._close(), self._shown(line)
        fence, item = self._fence(line), _ITEM.fullmatch(line)
        plain = not (fence or item or _HEADING.fullmatch(line) or self._is_verbatim(line))
        self._in_list = bool(item) or (self._in_list and line[:1] in ("", " "))
        self._before = line
        if fence:
            self._code = _Code(fence[2], fence[3], [])
        elif plain and "|" in line and len(line) <= self._reach:
            self._header = line, shown
            return closed
        return closed + shown

    def _pending(self) -> list[Line]:
        """What stands open above the unfinished line."""
        if self._table is not None:
            return self._table.open
        if self._header is not None:
            return self._header[1]
        return self._barred(self._quote._pending()) if self._quote else []

    def _close(self) -> list[Line]:
        lines = self._pending()
        self._table = self._header = self._quote = None
        return lines

    def _shown(self, line: str, *, is_open: bool = False) -> list[Line]:
        """What a line outside of code, tables and quotes shows."""
        columns = self.size.width
        if self._is_verbatim(line):
            return [self._expanded([Run(line)])]
        if self._fence(line):
            return [self._expanded([Run(line, "2")])]
        if (heading := _HEADING.fullmatch(line)) and heading[2]:
            return [self._styled(heading[2], self._reach, is_open, "1;4" if len(heading[1]) == 1 else "1")]
        if _RULE.fullmatch(line):
            return [(Run("─" * min(columns, 60), "2"),)]
        item = _ITEM.fullmatch(line)
        text = item[3] if item else line.lstrip(" ")
        first = line[:len(line) - len(text)]
        if item:
            first = f"{item[1]}{item[2] if item[2][0].isdigit() else '•'} "
        elif not (first and self._in_list):
            return [self._styled(line, self._reach, is_open)]
        indent = min(width(first), columns // 2)
        content = self._styled(text, (columns - indent) * (self.size.height - 3) // 4, is_open)
        return wrap(content, columns, (Run(first),) if first else (), (Run(" " * indent),))

    def _styled(self, text: str, reach: int, is_open: bool, style: str = "") -> Line:
        return self._expanded(styled_line(text, style, reach=reach, is_open=is_open, place=self._place(text)))

    def _cell(self, text: str) -> Line:
        return self._expanded(styled_line(text))

    def _coloured(self, line: str) -> Line:
        assert self._code is not None
        if self._code.ends_with(line):
            return (Run(line, "2"),)
        short = len(line) <= self._reach
        return self._expanded(coloured([*self._code.lines, line], self._code.language) if short else [Run(line)])

    def _fence(self, line: str) -> re.Match[str] | None:
        """A line that begins a block of code, its language in the last group."""
        return _FENCE.fullmatch(line) if len(line) <= self._reach else None

    def _is_verbatim(self, line: str) -> bool:
        """Whether it is set in by four spaces, and neither goes on with a paragraph nor with a list."""
        return line.startswith("    ") and not self._in_list and (
            not self._before.strip(" ") or self._before.startswith("    "))

    def _quoted(self, line: str) -> str | None:
        found = _QUOTE.fullmatch(line) if self._depth < _DEEPEST else None
        return found and found[1]

    def _inner(self) -> Document:
        return Document(Size(self.size.width - width(text_of(_BAR)), self.size.height), self._literals, self._depth + 1)

    def _barred(self, lines: list[Line]) -> list[Line]:
        return [row for line in lines for row in wrap(line, self.size.width, _BAR, _BAR)]

    @property
    def _reach(self) -> int:
        """Characters that are on the screen together with the end of the line, however wide they are."""
        return max(0, self.size.width * (self.size.height - 3) // (4 if self._depth else 2))

    def _place(self, text: str) -> Callable[[int], int]:
        """How many characters are shown before the one at an index."""
        if self._literals.keys().isdisjoint(text):
            return int
        lengths = (len(self._literals[one].text) if one in self._literals else 1 for one in text)
        return list(accumulate(lengths, initial=0)).__getitem__

    def _expanded(self, runs: Iterable[Run]) -> Line:
        """The runs with what their literals stand for."""
        return line_of(self._literals.get(part, Run(part, run.style))
                       for run in runs for part in self._parts(run.text))

    def _parts(self, text: str) -> Iterable[str]:
        """The text cut around its literals."""
        return (text,) if self._literals.keys().isdisjoint(text) else text

"""A terminal of so many cells, for what the command writes: text, styles, the cursor up, erasing below."""

import io
import re
from itertools import zip_longest

from rich.cells import get_character_cell_size

_PART = re.compile(r"\x1b\[(?P<parameters>[0-9;]*)(?P<command>[A-Za-z])|(?P<character>.)", re.DOTALL)


def cells_alone(character, before):
    """The cells of a character on a terminal that draws each one by itself."""
    return get_character_cell_size(character)


def cells_joined(character, before):
    """The cells of a character on a terminal that draws joined emoji, flags and skin tones as one."""
    if character == "\N{VARIATION SELECTOR-16}":
        return 1
    flags = "🇦" <= character <= "🇿" and "🇦" <= before <= "🇿"
    if before == "\N{ZERO WIDTH JOINER}" or flags or "🏻" <= character <= "🏿":
        return 0
    return get_character_cell_size(character)


class TerminalScreen:
    """Its rows, those that have scrolled away included: each a list of (characters, style), one for each cell."""

    def __init__(self, width, height, cells=cells_alone):
        self.width, self.height = width, height
        self.rows = [[]]
        self._row = self._column = 0
        self._style = self._before = ""
        self._cells = cells

    def write(self, text):
        for part in _PART.finditer(text):
            if part["character"]:
                self._put(part["character"])
            elif part["command"] == "m":
                self._style = "" if part["parameters"] == "0" else part["parameters"]
            elif part["command"] == "A":
                top = max(0, len(self.rows) - self.height)
                self._row = max(top, self._row - int(part["parameters"]))
            else:
                assert (part["command"], part["parameters"]) == ("J", ""), part[0]
                del self.rows[self._row + 1:]
                del self.rows[self._row][self._column:]
        return self

    def _put(self, character):
        before, self._before = self._before, character
        if character == "\r":
            self._column = 0
        elif character == "\n":  # with a return, as terminals are set
            self._column = 0
            self._down()
        else:
            assert ord(character) >= 0xA0 or character.isprintable() or character == "\t", repr(character)
            cells = self._cells(character, before)
            if not cells:
                last = slice(max(0, self._column - 1), self._column)
                self.rows[self._row][last] = [(text + character, style) for text, style in self.rows[self._row][last]]
                return
            if self._column + cells > self.width:
                self._column = 0
                self._down()
            row = self.rows[self._row]
            row += [(" ", "")] * (self._column - len(row))
            row[self._column:self._column + cells] = [(character, self._style)] + [("", self._style)] * (cells - 1)
            self._column += cells

    def _down(self):
        self._row += 1
        if self._row == len(self.rows):
            self.rows.append([])

    @property
    def text(self):
        """The rows as text, without spaces at their ends."""
        return "\n".join("".join(text for text, _ in row).rstrip() for row in self.rows)

    def style(self, text):
        """The style in which a text stands, which all of it has."""
        for row in self.rows:
            place = "".join(one for one, _ in row).find(text)
            if place >= 0:
                found = {style for _, style in row[place:place + len(text)]}
                assert len(found) == 1, found
                return found.pop()
        raise AssertionError(f"{text!r} is not on the screen")

    def __eq__(self, other):
        return all(_visible(one) == _visible(two) for one, two in zip_longest(self.rows, other.rows, fillvalue=[]))

    __hash__ = None

    def __repr__(self):
        return self.text


class TerminalStream(io.StringIO):
    """A stream to a terminal."""

    def isatty(self):
        return True


def _visible(row):
    """The cells of a row up to the last that is no plain space."""
    row = list(row)
    while row and row[-1][0] == " ":
        row.pop()
    return row

"""Lines of styled runs, and how many cells of a terminal they take."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from rich.cells import get_character_cell_size


@dataclass(frozen=True, slots=True)
class Run:
    """Text in one style."""

    text: str
    style: str = ""  # SGR parameters, as in 1;36


Line: TypeAlias = tuple[Run, ...]  # neighbours differ in style, and no run is empty


class Size(NamedTuple):
    """Cells of a terminal."""

    width: int
    height: int


def line_of(runs: Iterable[Run]) -> Line:
    """The runs as a line: neighbours in one style joined, empty ones left out."""
    made: list[Run] = []
    for run in runs:
        if made and made[-1].style == run.style:
            made[-1] = Run(made[-1].text + run.text, run.style)
        elif run.text:
            made.append(run)
    return tuple(made)


def text_of(line: Iterable[Run]) -> str:
    """The characters of a line."""
    return "".join(run.text for run in line)


def both(style: str, other: str) -> str:
    """Two styles together."""
    return ";".join(sorted({*style.split(";"), *other.split(";")} - {""}, key=int))


def width(text: str) -> int:
    """The most cells that a terminal may take for a text; terminals do not agree on joined emoji."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def certain(text: str) -> bool:
    """Whether every terminal takes the same number of cells for it."""
    return text.isascii() or not any(map(_disputed, text))


def rows(line: Line, columns: int) -> list[Line]:
    """The rows in which a terminal shows a line that it wraps itself."""
    made: list[list[Run]] = [[]]
    left = columns
    for run in line:
        start = 0
        for place, cells in enumerate(_each(run.text)):
            if cells > left:
                made[-1].append(Run(run.text[start:place], run.style))
                made.append([])
                start, left = place, columns
            left -= cells
        made[-1].append(Run(run.text[start:], run.style))
    return [line_of(row) for row in made]


def wrap(line: Line, columns: int, first: Line = (), later: Line = ()) -> list[Line]:
    """The line between its words in rows of at most so many cells, which begin with `first`, and then with `later`.

    A word that is longer than a row is cut. What comes after a row's last character never changes the row.
    """
    made: list[list[Run]] = [list(first)]
    left = columns - width(text_of(first))
    room = max(2, columns - width(text_of(later)))
    begun = False  # whether the row has a word
    for word in _words(line):
        length = sum(width(run.text) for run in word)
        blank = text_of(word).startswith(" ")
        if length > left and begun and not blank:
            made[-1] = _stripped(made[-1])
            made.append(list(later))
            left = room
        if length <= left:
            made[-1] += word
            left -= length
        elif blank:
            left = 0  # the row ends here
        else:
            for run in word:
                for character, cells in zip(run.text, _each(run.text), strict=True):
                    if cells > left:
                        made.append(list(later))
                        left = room
                    made[-1].append(Run(character, run.style))
                    left -= cells
        begun = begun or not blank
    return [line_of(row) for row in made]


def paint(line: Line) -> str:
    """The line for a terminal."""
    return "".join(f"\033[{run.style}m{run.text}\033[0m" if run.style else run.text for run in line)


def _words(line: Line) -> Iterator[list[Run]]:
    """Words and the spaces between them in turns, each as its runs."""
    word: list[Run] = []
    blank = False
    for run in line:
        start = 0
        for place, character in enumerate(run.text):
            if (character == " ") != blank:
                word.append(Run(run.text[start:place], run.style))
                if any(part.text for part in word):
                    yield word
                word, start, blank = [], place, character == " "
        word.append(Run(run.text[start:], run.style))
    if word:
        yield word


def _stripped(row: list[Run]) -> list[Run]:
    """A row without the spaces at its end."""
    kept = list(row)
    while kept and not kept[-1].text.strip(" "):
        kept.pop()
    if kept:
        kept[-1] = Run(kept[-1].text.rstrip(" "), kept[-1].style)
    return kept


def _each(text: str) -> Iterable[int]:
    return (1 for _ in text) if text.isascii() else map(_cells, text)


@lru_cache(4096)
def _cells(character: str) -> int:
    """One more for the selector that makes a narrow sign an emoji."""
    return 1 if character == "\N{VARIATION SELECTOR-16}" else get_character_cell_size(character)


@lru_cache(4096)
def _disputed(character: str) -> bool:
    """Whether what it takes depends on its neighbours, on the terminal's age or on its fonts."""
    number = ord(character)
    return (unicodedata.category(character) in ("Mc", "Me", "Cf", "Cn", "Co", "Zl", "Zp") or number in (0xFE0E, 0xFE0F)
            or 0x1160 <= number <= 0x11FF or 0x1F1E6 <= number <= 0x1F1FF or 0x1F3FB <= number <= 0x1F3FF)

"""The styles inside a line of Markdown: code, bold, italic, struck out, links.

A construct spans at most `reach` characters, so that what has left the screen never changes. In a line that is still
`open`, one that has begun counts as going on to the end, and its marks at the very end wait for the next character.
Where CommonMark would eat signs of ordinary text, they stay: 2*3*4, snake_case, __init__, LaTeX's \\( and \\[.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from pynanochat.cli.markdown.cells import Line, Run, both, line_of

FAR = 2000
MOST_PARTS = 400  # of a line; what comes after is plain text, so that a line of marks alone costs little
CODE, BOLD, ITALIC, STRUCK, LINK, URL = "36", "1", "3", "9", "4", "2"

_MARK = re.compile(r"(?P<escape>\\[*_`~|#>])|(?P<ticks>`+)|(?P<run>\*+|_+|~~+)|(?P<link>\[)")
_LINK = re.compile(r"\[([^\[\]]+)\]\(((?:[^()\s]|\([^()\s]*\))+)\)")
_NAME = re.compile(r"[A-Za-z0-9_]+")


@dataclass(slots=True)
class _Part:
    """Some text, or a run of one mark that may begin or end a style."""

    text: str
    style: str = ""
    start: int = 0
    end: int = 0
    opens: bool = False
    closes: bool = False
    left: int = 0  # marks that are neither used nor shown as text
    styles: list[str] = field(default_factory=list)


def styled_line(
    text: str, style: str = "", *, reach: int = FAR, is_open: bool = False,
    place: Callable[[int], int] = int,
) -> Line:
    """The line that a line of Markdown shows; `place` says how far from the left the character at an index is drawn."""
    if is_open:
        text = text.rstrip("*_~`\\")
    parts = _parts(text, reach, is_open, place)
    _pair(parts, reach, place)
    if is_open:
        _go_on(parts, reach, place(len(text)), place)
    return line_of(Run(part.text, both(style, ";".join([*part.styles, part.style]))) for part in parts)


def _parts(text: str, reach: int, is_open: bool, place: Callable[[int], int]) -> list[_Part]:
    parts: list[_Part] = []
    at = 0
    while len(parts) < MOST_PARTS and (found := _MARK.search(text, at)):
        start, end = found.span()
        parts.append(_Part(text[at:start]))
        at = end
        if found["escape"]:
            parts.append(_Part(text[start + 1]))
        elif found["ticks"]:
            at = _code(parts, text, start, end, reach, is_open, place)
        elif found["link"]:
            link = _LINK.match(text, start)
            if link and place(link.end()) - place(start) <= reach:
                parts += [_Part(link[1], LINK), _Part(f" ({link[2]})", URL)]
                at = link.end()
            else:
                parts.append(_Part("["))
        else:
            parts.append(_mark(text, start, end))
    parts.append(_Part(text[at:]))
    return parts


def _code(
    parts: list[_Part], text: str, start: int, end: int, reach: int, is_open: bool, place: Callable[[int], int]
) -> int:
    """Add code between marks of one length, or the marks as text; where the line goes on."""
    ticks = text[start:end]
    for found in re.finditer("`+", text[end:]):
        close = end + found.start(), end + found.end()
        if place(close[1]) - place(start) > reach:
            break
        if found[0] == ticks:
            inner = text[end:close[0]]
            if inner.strip() and inner[0] == inner[-1] == " ":
                inner = inner[1:-1]
            parts.append(_Part(inner, CODE))
            return close[1]
    else:
        if is_open and end < len(text) and place(len(text)) - place(start) <= reach:
            parts.append(_Part(text[end:], CODE))
            return len(text)
    parts.append(_Part(ticks))
    return end


def _mark(text: str, start: int, end: int) -> _Part:
    """A run of marks and what it may do, by the characters around it.

    Source: CommonMark 0.31.2, section 6.2, left- and right-flanking delimiter runs.
    """
    before, after = text[start - 1:start] or " ", text[end:end + 1] or " "
    left = not after.isspace() and (not _is_sign(after) or before.isspace() or _is_sign(before))
    right = not before.isspace() and (not _is_sign(before) or after.isspace() or _is_sign(after))
    sign, length = text[start], end - start
    inside = before.isalnum() and after.isalnum() and (sign == "_" or (
        (before + after).isascii() and (length == 1 or before.isdigit() or after.isdigit())))
    usable = not inside and length <= (2 if sign == "~" else 3)
    return _Part(text[start:end], start=start, end=end, opens=left and usable, closes=right and usable,
                 left=length if usable else 0)


def _is_sign(character: str) -> bool:
    return not character.isalnum() and not character.isspace()


def _pair(parts: list[_Part], reach: int, place: Callable[[int], int]) -> None:
    """Give each closing mark the nearest opening one, and what is between them its style."""
    openers: dict[str, list[int]] = {"*": [], "_": [], "~": []}  # by sign: places of marks that wait for their end
    for index, mark in enumerate(parts):
        if not mark.left:
            continue
        waiting = openers[mark.text[0]]
        behind = len(waiting) - 1
        while mark.closes and mark.left and behind >= 0:
            first = waiting[behind]
            opener = parts[first]
            if place(mark.end) - place(opener.start) > reach:
                del waiting[:behind + 1]
                break
            if _is_name(opener, parts[first + 1:index]):
                opener.left = mark.left = 0
                del waiting[behind:]
            elif _fit(opener, mark):
                used = min(2, opener.left, mark.left)
                for between in parts[first + 1:index]:
                    between.styles.append(_style(mark.text, used))
                _use(opener, used)
                _use(mark, used)
                for places in openers.values():
                    while places and places[-1] >= first + (opener.left > 0):
                        parts[places.pop()].opens = False
                behind = len(waiting)
            behind -= 1
        if mark.opens and mark.left:
            waiting.append(index)


def _fit(opener: _Part, closer: _Part) -> bool:
    """Two tildes match two; other marks by the rule of three."""
    if opener.text[0] == "~":
        return True
    both_ways = (opener.opens and opener.closes) or (closer.opens and closer.closes)
    lengths = opener.end - opener.start, closer.end - closer.start
    return not (both_ways and sum(lengths) % 3 == 0 and any(length % 3 for length in lengths))


def _is_name(opener: _Part, after: list[_Part]) -> bool:
    """Whether two lines under a single word belong to its name, as in __init__."""
    return opener.text == "__" and bool(_NAME.fullmatch("".join(part.text for part in after)))


def _go_on(parts: list[_Part], reach: int, end: int, place: Callable[[int], int]) -> None:
    """Let the styles that have begun and not ended go on to the end."""
    for index, opener in enumerate(parts):
        if not (opener.opens and opener.left and end - place(opener.start) <= reach):
            continue
        rest = parts[index + 1:]
        if not _is_name(opener, rest):
            for used in ((2, 1) if opener.left == 3 else (opener.left,)):
                for later in rest:
                    later.styles.append(_style(opener.text, used))
            _use(opener, opener.left)


def _use(mark: _Part, count: int) -> None:
    mark.text = mark.text[count:]
    mark.left -= count


def _style(mark: str, used: int) -> str:
    return STRUCK if mark[0] == "~" else BOLD if used == 2 else ITALIC

"""The two streams: `say` for people on stderr, `emit` for programs on stdout, and what a terminal can show."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

    from pynanochat.output import Usage

_STYLES = {"dim": "2", "bold": "1", "green": "32", "red": "31", "yellow": "33", "cyan": "36"}


def say(text: str = "", style: str = "") -> None:
    """A line for people."""
    print(paint(text, style, sys.stderr), file=sys.stderr, flush=True)


def emit(document: Mapping[str, Any]) -> None:
    """One compact JSON document, a line of stdout; numbers that JSON lacks are null."""
    print(json.dumps(_finite(document), ensure_ascii=False, separators=(",", ":")), flush=True)


def styled(stream: TextIO) -> bool:
    """Whether a stream is a terminal that wants colours (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def terminal_size() -> tuple[int, int] | None:
    """Columns and lines of the terminal on stdout; None where they are not known."""
    try:
        size = os.get_terminal_size(sys.stdout.fileno())
    except (OSError, ValueError):
        return None
    return (size.columns, size.lines) if size.columns > 0 and size.lines > 0 else None


def paint(text: str, style: str, stream: TextIO) -> str:
    """The text in a style where the stream can show it."""
    return f"\033[{_STYLES[style]}m{text}\033[0m" if style and text and styled(stream) else text


def console() -> Console:
    """Rich's console on stdout, plain where `styled` is not."""
    from rich.console import Console

    plain = not styled(sys.stdout)
    return Console(file=sys.stdout, highlight=False, color_system=None if plain else "auto", emoji=False, markup=False,
                   width=None if sys.stdout.isatty() else 120)


def table(headings: Iterable[str], rows: Iterable[Iterable[str]], right: Iterable[int] = ()) -> Any:
    """A Rich table without lines; columns of `right` are aligned to the right."""
    from rich import box
    from rich.table import Table

    made, numbers = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold"), set(right)
    for place, heading in enumerate(headings):
        made.add_column(heading, justify="right" if place in numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def amount(number: float, unit: str = "") -> str:
    """A number in three digits and a prefix, as in 4.13 M."""
    for prefix, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {prefix}{unit}"
    return f"{number:.3g} {unit}".rstrip()


def speed(usage: Usage) -> str:
    """How an answer came, in words."""
    rate = f", {usage.tokens_per_second:.0f} tokens/s" if usage.tokens_per_second else ""
    return (f"{usage.completion_tokens} tokens{rate}, first after {usage.first_token_seconds * 1e3:.0f} ms, "
            f"{usage.cached_tokens} of {usage.prompt_tokens} prompt tokens cached")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value

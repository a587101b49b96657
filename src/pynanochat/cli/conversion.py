"""How the words of a command line become values, where cyclopts' own rules are not ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import cyclopts

_DASH = "\0-"  # no argument of a process can hold it


def shielded(arguments: Sequence[str]) -> list[str]:
    """The arguments with a lone - in a form that is not taken for an option."""
    return [_DASH if argument == "-" else argument for argument in arguments]


def converted(wanted: Any, tokens: Sequence[cyclopts.Token]) -> Any:
    """A parameter's value; `ValueError` for a fraction where a whole number is expected."""
    if int in (wanted, *get_args(wanted)):
        for token in tokens:
            _check_whole(token.value)
    return cyclopts.convert(wanted, [token.evolve(value="-") if token.value == _DASH else token for token in tokens])


def plain(text: str) -> str:
    """A message with a lone - as it was typed."""
    return text.replace(_DASH, "-")


def _check_whole(text: str) -> None:
    try:
        number = float(text)
    except ValueError:
        return
    if not number.is_integer():
        raise ValueError(f'{text} is no whole number')

"""What a caller may give as a prompt: a text, token ids, or a list of these."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, TypeAlias

from pynanochat.errors import RequestError

Prompt: TypeAlias = str | Sequence[int]


def prompts_of(given: Any) -> tuple[list[str | list[int]], bool]:
    """The prompts, ids as plain numbers, and whether it was one alone; `RequestError` for anything else."""
    if isinstance(given, str):
        return [given], True
    items = _list(given)
    if items is None:
        raise RequestError(f"the prompt is {_shown(given)}; expected a text, token ids, or a list of these")
    if not items:
        raise RequestError("the prompt is an empty list; expected a text, token ids, or a list of these")
    ids = _ids(items)
    return ([ids], True) if ids is not None else ([_one(item) for item in items], False)


def ids_of(given: Any) -> list[int]:
    """Token ids as plain numbers; `RequestError` for anything else."""
    items = _list(given)
    ids = None if items is None else _ids(items)
    if ids is None:
        raise RequestError(f"{_shown(given)} is given; expected token ids")
    return ids


def _one(given: Any) -> str | list[int]:
    return given if isinstance(given, str) else ids_of(given)


def _list(given: Any) -> list[Any] | None:
    if isinstance(given, (str, bytes, bytearray, dict, set)) or not hasattr(given, "__len__"):
        return None
    try:
        return list(given)
    except TypeError:
        return None


def _ids(items: list[Any]) -> list[int] | None:
    """The items as numbers if all are whole ones; booleans are not."""
    if any(isinstance(item, (bool, str)) for item in items):
        return None
    try:
        return [operator.index(item) for item in items]
    except TypeError:
        return None


def _shown(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= 60 else f"{text[:57]}..."

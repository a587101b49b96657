"""Strict JSON: UTF-8, no duplicate keys, no NaN, bounded in size, in nesting and in the length of its numbers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from pynanochat.checkpoint.mapped_file import read_small
from pynanochat.errors import CheckpointError, DamagedFileError, UnsafeFileError

MAX_BYTES = 1 << 20
_MAX_DEPTH = 32
_MAX_DIGITS = 20


def read(path: Path, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """The object that a JSON file holds; `DamagedFileError` or `UnsafeFileError` says what is wrong with it."""
    value = parse(read_small(path, max_bytes), str(path))
    if not isinstance(value, dict):
        raise DamagedFileError(f"{path} holds no JSON object; expected {{...}}")
    return value


def parse(data: bytes, where: str) -> Any:
    """The value of a JSON text, made of dict, list, str, int, float, bool and None."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(items)
        if len(values) != len(items):
            for key, _ in items:
                if key not in values:
                    raise DamagedFileError(f"{where}: the JSON key {key[:80]!r} is there twice")
                values.pop(key)
        return values

    def whole(text: str) -> int:
        if len(text) > _MAX_DIGITS:
            raise UnsafeFileError(f"{where}: a JSON number of {len(text):,} digits; expected at most {_MAX_DIGITS}")
        return int(text)

    def fraction(text: str) -> float:
        value = float(text) if len(text) <= 400 else math.inf
        if not math.isfinite(value):
            raise DamagedFileError(f"{where}: the JSON number {text[:40]} is out of range")
        return value

    def constant(text: str) -> Any:
        raise DamagedFileError(f"{where}: {text} is no JSON number")

    try:
        value = json.loads(str(data, "utf-8"), object_pairs_hook=pairs, parse_int=whole, parse_float=fraction,
                           parse_constant=constant)
    except RecursionError:
        raise UnsafeFileError(f"{where}: JSON nested more than {_MAX_DEPTH} deep") from None
    except UnicodeDecodeError:
        raise DamagedFileError(f"{where}: JSON that is not UTF-8; get an intact copy") from None
    except json.JSONDecodeError as error:
        raise DamagedFileError(
            f"{where}: no JSON: {error.msg} (line {error.lineno}, column {error.colno}); get an intact copy") from None
    _check(value, where, 0)
    return value


def dumps(value: Any) -> bytes:
    """The JSON text of plain data, indented, with a final newline."""
    try:
        return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"the meta data of the model cannot be written as JSON: {error}") from None


def _check(value: Any, where: str, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise UnsafeFileError(f"{where}: JSON nested more than {_MAX_DEPTH} deep")
    if isinstance(value, str):
        _check_text(value, where)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key, where)
            _check(item, where, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, where, depth + 1)


def _check_text(text: str, where: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise DamagedFileError(f"{where}: JSON text with half a character (a lone surrogate)") from None

"""The bounds of a JSON text, found by a scan that is linear in its bytes, before anything parses it."""

from __future__ import annotations

import re

from pynanochat.serve.errors import ApiError
from pynanochat.serve.limits import Limits

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)  # one that never ends goes to the end
_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def check_json(text: bytes, limits: Limits) -> None:
    """Raise `ApiError` 400 for a text that nests too deep or holds too many values; says nothing of its syntax."""
    if text.count(b'"') - text.count(b'\\"') > 2 * limits.json_nodes:  # cheaper where there are very many
        raise _too_large(limits)
    shape, strings = _STRING.subn(b'"', text)
    brackets = shape.translate(None, _BRACKETS)
    opening = brackets.count(b"[") + brackets.count(b"{")
    if opening + strings > limits.json_nodes:
        raise _too_large(limits)
    if shape.count(b",") - strings > limits.json_numbers:
        raise ApiError(400, f"the JSON holds more than {limits.json_numbers} numbers; send several smaller requests",
                       code="json_too_large")
    depth = deepest = 0
    for bracket in brackets[:2 * opening]:
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    if deepest > limits.json_depth:
        raise ApiError(400, f"the JSON nests {deepest} deep; at most {limits.json_depth} is read",
                       code="json_too_deep")


def _too_large(limits: Limits) -> ApiError:
    return ApiError(400, f"the JSON holds more than {limits.json_nodes} objects, arrays and strings; send several "
                         "smaller requests", code="json_too_large")

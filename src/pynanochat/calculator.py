"""The calculator that a nanochat model may call: what upstream's `eval` gives for the same text, by a small parser.

It reads int and float arithmetic (+ - * / //, signs, parentheses) and, as the second kind of text that upstream lets
through, `.count(...)` on string literals: adjacent ones joined, parenthesised, changed by the methods in `_METHODS`.
Upstream's rules let a few more texts evaluate, which give no result here: other methods and attributes, strings like
r'', keywords (True, not, in, if, for), exponents and hexadecimal numbers inside count expressions. Nor do texts
over 2,048 characters, results over 128, parentheses more than 32 deep, whole numbers above 8,192 bits on the way.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

_MAX_CHARACTERS = 2048
_MAX_RESULT = 128
_MAX_DEPTH = 32
_MAX_BITS = 8192

# Source: karpathy/nanochat, nanochat/engine.py, use_calculator (since 24 October 2025), for these three.
_ARITHMETIC = frozenset("0123456789*+-/.() ")
_COUNTING = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'\"()._ ")
_FORBIDDEN = (
    "__", "import", "exec", "eval", "compile", "open", "file", "input", "raw_input", "globals", "locals", "vars", "dir",
    "getattr", "setattr", "delattr", "hasattr",
)

_TOKEN = re.compile(r"""\ *(?:
    (?P<float> [0-9]+\.[0-9]* | \.[0-9]+ )
    | (?P<int> [0-9]+ )
    | (?P<text> '''.*?''' | \"{3}.*?\"{3} | '(?!'')[^']*' | "(?!"")[^"]*" )
    | (?P<ellipsis> \.{3} )
    | \.\ * (?P<method> [A-Za-z_][A-Za-z_0-9]* ) \ *\(
    | (?P<sign> // | [-+*/()] )
    | (?P<end> \Z )
)""", re.VERBOSE)

_SIGNS: dict[str, Callable[[Any], Any]] = {"+": operator.pos, "-": operator.neg}
_BINARY: dict[str, tuple[int, Callable[[Any, Any], Any]]] = {  # how tightly it binds, what it does
    "+": (1, operator.add), "-": (1, operator.sub),
    "*": (2, operator.mul), "/": (2, operator.truediv), "//": (2, operator.floordiv),
}
_METHODS: dict[str, Callable[..., Any]] = {
    "count": str.count, "upper": str.upper, "lower": str.lower, "strip": str.strip, "lstrip": str.lstrip,
    "rstrip": str.rstrip, "title": str.title, "capitalize": str.capitalize, "swapcase": str.swapcase,
}


class _NoResultError(Exception):
    """The text is no expression, or one beyond the bounds."""


def calculate(text: str) -> str | None:
    """The result as text, or None where upstream's calculator gives none or the bounds of this module are passed.

    Works in any thread, in time linear in the text. Source: karpathy/nanochat, nanochat/engine.py, use_calculator.
    """
    text = text.replace(",", "")
    if len(text) > _MAX_CHARACTERS:
        return None
    characters = frozenset(text)
    if characters <= _ARITHMETIC:
        if "**" in text:
            return None
    elif not characters <= _COUNTING or ".count(" not in text or any(word in text.lower() for word in _FORBIDDEN):
        return None
    try:
        result = str(_Parser(text).whole())
    except (_NoResultError, TypeError, ValueError, ArithmeticError, RecursionError):
        return None
    return result if len(result) <= _MAX_RESULT else None


class _Parser:
    """Precedence climbing; `kind` and `text` are the token that comes next. Values are Python's own, as in `eval`."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0
        self.depth = 0
        self.kind = self.text = ""
        self.advance()

    def advance(self) -> str:
        """Read one token; the text of the one before."""
        before = self.text
        found = _TOKEN.match(self.source, self.at)
        if found is None:
            raise _NoResultError
        self.at = found.end()
        self.kind = found.lastgroup or ""
        self.text = found[self.kind]
        return before

    def whole(self) -> Any:
        value = self.expression(1)
        if self.kind != "end":
            raise _NoResultError
        return value

    def expression(self, tightness: int) -> Any:
        value = self.signed()
        while self.kind == "sign" and self.text in _BINARY:
            binds, apply = _BINARY[self.text]
            if binds < tightness:
                break
            sign = self.advance()
            right = self.expression(binds + 1)
            if sign == "*" and _bits(value) + _bits(right) > _MAX_BITS:
                raise _NoResultError
            value = apply(value, right)
        return value

    def signed(self) -> Any:
        signs = []
        while self.kind == "sign" and self.text in _SIGNS:
            signs.append(_SIGNS[self.advance()])
        value = self.primary()
        for sign in reversed(signs):
            value = sign(value)
        return value

    def primary(self) -> Any:
        value = self.atom()
        while self.kind == "method":
            name = self.advance()
            if name not in _METHODS:
                raise _NoResultError
            value = _METHODS[name](value, *self.inside())
        return value

    def atom(self) -> Any:
        kind, text = self.kind, self.advance()
        if kind == "int":
            if text[0] == "0" and text.strip("0"):
                raise _NoResultError  # 007 is no number in Python, 00 is one
            return int(text)
        if kind == "float":
            return float(text)
        if kind == "ellipsis":
            return ...
        if kind == "text":
            parts = [_unquoted(text)]
            while self.kind == "text":
                parts.append(_unquoted(self.advance()))
            return "".join(parts)
        if text == "(":
            return next(iter(self.inside()), ())
        raise _NoResultError

    def inside(self) -> list[Any]:
        """The one value or none before the closing parenthesis, which is read too."""
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise _NoResultError
        values = [] if self.text == ")" and self.kind == "sign" else [self.expression(1)]
        if self.kind != "sign" or self.advance() != ")":
            raise _NoResultError
        self.depth -= 1
        return values


def _unquoted(text: str) -> str:
    quotes = 3 if text[:3] in ("'''", '"""') else 1
    return text[quotes:-quotes]


def _bits(value: Any) -> int:
    return value.bit_length() if type(value) is int else 0

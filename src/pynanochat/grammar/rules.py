"""What rules in Lark's notation may ask of the matcher; its lexer is followed token by token.

Source of the notation: guidance-ai/llguidance, docs/syntax.md and parser/src/lark/lexer.rs. GBNF, llama.cpp's notation,
is converted to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pynanochat.errors import RequestError
from pynanochat.grammar import schema
from pynanochat.grammar.bounds import MOST_EXPRESSION, Edge, deepest, leaves_first

MOST_LEVELS = 600  # rules and brackets open at once while compiling; each takes 3.5 kB of stack (llguidance 1.9)
MOST_TERMINAL = 16_384  # characters of a terminal (upper case) with those that it names written out
MOST_GBNF_RULES = 500  # the converter's time grows with their square

_TOKEN = re.compile(
    r"""
    (?P<comment> (?:\#|//)[^\n]* | [ \t]+ )
  | (?P<line>    (?:\r?\n)+[ \t]* )
  | (?P<string>  "(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})|[^"\\\x00-\x1f\x7f])*"i? )
  | (?P<regex>   /(?:\\.|[^/\\])+/[imslux]* )
  | (?P<special> <[^<>\s]+> )
  | (?P<json>    %(?:json|regex|llguidance)(?![a-z]) )
  | (?P<keyword> %(?:ignore|import|override|declare|if)(?![a-z]) )
  | (?P<name>    [!?]{0,2}_?[a-z][_a-z0-9\-]* | _?[A-Z][_A-Z0-9\-]* )
  | (?P<repeat>  ~[ \t]*(?=[0-9]) )
  | (?P<number>  [+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)? )
  | (?P<sign>    [:,.(){}\[\]|=+*?_@>-] )
    """, re.VERBOSE)
# Text that the rules leave no choice about is otherwise looked for up to its end, and with %ignore it may have none.
_OPTIONS = '\n%llguidance {"no_forcing": true}\n'
_SPACE = re.compile(r"[ \t\r\n]*")
_GBNF = re.compile(r"^[ \t]*root[ \t]*::=", re.MULTILINE)
_REFUSED = {"&": "the operator &", "~": "the operator ~", "%": "a statement that is not known here"}


def checked(text: str, json_options: Mapping[str, Any]) -> str:
    """The rules in Lark's notation, with these options in every %json.

    Raises `RequestError` for rules whose cost nothing bounds, and where it cannot tell.
    """
    if _GBNF.search(text):
        text = _lark(text)
    return _Reader(text, json_options).read()


class _Reader:
    """Reads rules once from start to end, and writes them again with their %json changed."""

    def __init__(self, text: str, json_options: Mapping[str, Any]) -> None:
        self._text = text
        self._json_options = json_options
        self._at = self._written = 0
        self._out: list[str] = []
        self._brackets = 0
        self._starts = True  # a statement may start here
        self._current = ""  # the rule that is being read; "" is what belongs to none, such as %ignore
        self._depths: dict[str, int] = {"": 1}
        self._edges: dict[str, list[Edge]] = {"": []}
        self._lengths: dict[str, int] = {"": 0}  # characters of strings and regular expressions
        self._expression = 0  # characters of regular expressions in all rules

    def read(self) -> str:
        while self._at < len(self._text):
            token = _TOKEN.match(self._text, self._at)
            if token is None:
                raise self._unreadable()
            self._at = token.end()
            self._take(token.lastgroup or "", token.group())
        self._check()
        return "".join(self._out) + self._text[self._written :] + _OPTIONS

    def _check(self) -> None:
        levels = deepest(self._depths, self._edges)
        if levels > MOST_LEVELS:
            raise RequestError(f"the grammar's rules lead {levels} levels into each other; at most {MOST_LEVELS} can "
                               "be compiled")
        if self._expression > MOST_EXPRESSION:
            raise RequestError(f"the grammar's regular expressions have {self._expression:,} characters together; at "
                               f"most {MOST_EXPRESSION:,} can be compiled")
        whole: dict[str, int] = {}
        for name in leaves_first(self._edges):
            if name.isupper():
                whole[name] = self._lengths[name] + sum(1 + whole.get(target, 0) for target, _ in self._edges[name])
        largest = max(whole, key=whole.__getitem__, default="")
        if whole and whole[largest] > MOST_TERMINAL:
            raise RequestError(f"the terminal {largest:.40} has over {MOST_TERMINAL:,} characters with all that it "
                               "names; use rules, in lower case, for parts of it")

    def _take(self, kind: str, token: str) -> None:
        if kind == "line":
            self._starts = self._starts or not self._brackets
        if kind in ("line", "comment"):
            return
        starts, self._starts = self._starts, False
        if kind == "name":
            self._take_name(token.lstrip("!?"), starts)
        elif kind == "keyword" and starts:
            self._current = ""
        elif kind == "json":
            self._take_json(token)
        elif kind in ("string", "regex"):
            self._lengths[self._current] += len(token)
            self._expression += len(token) if kind == "regex" else 0
        elif token in ("(", "["):
            self._brackets += 1
            self._depths[self._current] = max(self._depths[self._current], self._brackets + 1)
        elif token in (")", "]"):
            self._brackets = max(0, self._brackets - 1)

    def _take_name(self, name: str, starts: bool) -> None:
        if starts:
            self._current, self._brackets = name, 0
            self._depths.setdefault(name, 1)
            self._edges.setdefault(name, [])
            self._lengths.setdefault(name, 0)
        else:
            self._edges[self._current].append((name, self._brackets + 1))

    def _take_json(self, keyword: str) -> None:
        space = _SPACE.match(self._text, self._at)
        start = space.end() if space else self._at
        try:
            document, self._at = json.JSONDecoder().raw_decode(self._text, start)
        except (ValueError, RecursionError):
            raise RequestError(f"line {self._line}: {keyword} is not followed by JSON") from None
        if keyword == "%json":
            schema.check(document)
            whole = json.dumps({**document, "x-guidance": dict(self._json_options)})
            self._out += [self._text[self._written : start], whole]
            self._written = self._at

    @property
    def _line(self) -> int:
        return self._text.count("\n", 0, self._at) + 1

    def _unreadable(self) -> RequestError:
        sign = self._text[self._at]
        found = _REFUSED.get(sign)
        if found is None:
            return RequestError(f"line {self._line}: cannot read the grammar from {self._text[self._at:][:20]!r} on")
        return RequestError(f"line {self._line}: {found} cannot be used in a grammar, since nothing bounds its cost")


def _lark(gbnf: str) -> str:
    """The same rules in Lark's notation."""
    from llguidance.gbnf_to_lark import gbnf_to_lark

    if gbnf.count("::=") > MOST_GBNF_RULES:
        raise RequestError(f"the grammar has {gbnf.count('::=')} rules in GBNF; at most {MOST_GBNF_RULES} are read")
    try:
        return str(gbnf_to_lark(gbnf))
    except Exception as error:  # it raises whatever its reading ran into
        raise RequestError(f"the grammar is no GBNF: {str(error) or type(error).__name__:.200}") from None

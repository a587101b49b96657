"""Colours for lines of code. A line's colours depend on the lines before it, never on those after it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from pynanochat.cli.markdown.cells import Line, Run, line_of, text_of

_STYLES = {  # by the name of Pygments' token type or of one above it: colours that are legible on black and on white
    "Comment": "2", "Keyword": "35", "Keyword.Constant": "36", "Operator.Word": "35", "String": "32", "Number": "36",
    "Name.Function": "34", "Name.Class": "34;1", "Name.Decorator": "33", "Name.Builtin": "36", "Name.Tag": "34",
    "Name.Attribute": "36", "Name.Exception": "31", "Name.Variable": "33", "Generic.Deleted": "31",
    "Generic.Inserted": "32", "Generic.Heading": "1", "Generic.Subheading": "1", "Generic.Prompt": "2",
}
_LANGUAGES = frozenset(re.findall(r"\S+", """
    bash c c++ cfg clojure cmake console cpp cs csharp css cuda dart diff docker dockerfile elixir erlang fortran go
    golang graphql haskell hs html ini java javascript js json jsx julia kotlin latex lua make makefile matlab nasm
    nginx nim objective-c ocaml octave perl php powershell protobuf py python python3 pycon r rb ruby rs rust scala
    scheme sh shell sql swift tcl tex toml ts tsx typescript vim xml yaml yml zig zsh"""))
_ALIASES = {"c++": "cpp", "py3": "python", "rs": "rust", "jsonc": "json", "shell-session": "console", "jsx": "js",
            "tsx": "ts"}
_BLOCK = 32  # lines; colours are found from the beginning of the block before a line's own


def coloured(lines: Sequence[str], language: str) -> Line:
    """The last line in its colours, plain in a language that is not known."""
    last = lines[-1]
    name = language.lower()
    if not last.strip() or name not in _LANGUAGES:
        return line_of([Run(last)])
    start = max(0, ((len(lines) - 1) // _BLOCK - 1) * _BLOCK)
    runs: list[list[Run]] = [[]]  # by line
    for kind, text in _lexer(_ALIASES.get(name, name)).get_tokens("\n".join(lines[start:])):
        first, *later = text.split("\n")
        runs[-1].append(Run(first, _style(kind)))
        runs += [[Run(part, _style(kind))] for part in later]
    place = len(lines) - 1 - start
    line = line_of(runs[place] if place < len(runs) else ())
    return line if text_of(line) == last else line_of([Run(last)])


@lru_cache(8)
def _lexer(name: str) -> Any:
    from rich.syntax import Syntax

    return Syntax("", name).lexer


def _style(kind: Any) -> str:
    while kind is not None:
        name = str(kind).removeprefix("Token.").removeprefix("Literal.")
        if name in _STYLES:
            return _STYLES[name]
        kind = kind.parent
    return ""

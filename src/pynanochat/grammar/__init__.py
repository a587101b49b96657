"""Grammars: what an answer may be (JSON of a schema, a regular expression, a choice, rules), held to token by token.

The matcher is llguidance's (the extra `serve`). Grammars may come from strangers, so what could overflow its stack, or
cost it more than its own limits count, is refused before it sees it: by `schema` for JSON Schema, by `rules` for Lark.
"""

from pynanochat.grammar.grammar import Grammar, GrammarConstraint

__all__ = ["Grammar", "GrammarConstraint"]

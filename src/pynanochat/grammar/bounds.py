"""Bounds on what one grammar may cost, and on how deep a descent through its definitions gets.

The numbers are for llguidance 1.9: tests/test_grammar.py holds grammars that reach them to a time and a stack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pynanochat.errors import RequestError

MOST_BYTES = 1 << 16  # of a schema, of all choices, of rules, in UTF-8
MOST_EXPRESSION = 8_192  # characters of all regular expressions in one grammar; `a?` repeated costs their square

Edge = tuple[str, int]  # the definition that is named, and how deep inside the one that names it


def bounded(text: str, what: str, most: int = MOST_BYTES) -> str:
    """The text itself. Raises `RequestError` for none, for a longer one and for half surrogate pairs."""
    if not isinstance(text, str):
        raise RequestError(f"the {what} is a {type(text).__name__}; expected a text")
    try:
        size = len(text.encode("utf-8")) if len(text) <= most else len(text)
    except UnicodeEncodeError:
        raise RequestError(f"the {what} holds half a surrogate pair, which is no text") from None
    if size > most:
        raise RequestError(f"the {what} has {size:,} bytes; at most {most:,} can be compiled")
    return text


def leaves_first(edges: Mapping[str, Sequence[Edge]]) -> list[str]:
    """The definitions in an order in which each comes after those that it names; none that reaches a circle."""
    targets = {name: {target for target, _ in named if target in edges} for name, named in edges.items()}
    missing = {name: len(found) for name, found in targets.items()}
    users: dict[str, list[str]] = {name: [] for name in edges}
    for name, found in targets.items():
        for target in found:
            users[target].append(name)
    order = [name for name, count in missing.items() if not count]
    for name in order:  # grows on the way
        for user in users[name]:
            missing[user] -= 1
            if not missing[user]:
                order.append(user)
    return order


def deepest(depths: Mapping[str, int], edges: Mapping[str, Sequence[Edge]]) -> int:
    """A bound on the levels that a descent has open at once if it enters each definition once, in any order.

    `depths` are the levels of each definition alone. Without circles it is the longest chain; definitions that reach a
    circle count all together, since the descent may be inside all of them.
    """
    heights: dict[str, int] = {}
    for name in leaves_first(edges):
        heights[name] = max([depths[name], *(depth + heights.get(target, 0) for target, depth in edges[name])])
    circular = sum(depth for name, depth in depths.items() if name not in heights)
    return circular + max(heights.values(), default=0)

"""PrefixCache: pages that hold the keys and values of prompts seen before, found by their tokens.

A tree of pages: the path from a root spells the tokens. Each salt has a root of its own, so that nobody finds, by the
time an answer takes, what others have asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pynanochat.batch import PAGE_TOKENS
from pynanochat.engine.pages import PagePool

Tokens = tuple[int, ...]


class Node:
    """One page of every layer group: `PAGE_TOKENS` tokens, or fewer at the end of a sequence that has ended."""

    __slots__ = ("children", "dropped", "pages", "parent", "salt", "tokens")

    def __init__(self, parent: Node | None, salt: str, tokens: Tokens, groups: int) -> None:
        self.parent = parent  # None: a root
        self.salt = salt
        self.tokens = tokens
        self.pages = [-1] * groups  # -1: not held in this group
        self.children: dict[Tokens, Node] = {}
        self.dropped = False


class PrefixCache:
    """Keeps what sequences leave behind in the pools until the pools need the pages."""

    def __init__(self, capacities: Sequence[int], windows: Sequence[int | None]) -> None:
        self.pools = [PagePool(capacity, partial(self.forget, group)) for group, capacity in enumerate(capacities)]
        self._windows = windows  # tokens before its own that a row of the group sees; None: all
        self._roots: dict[str, Node] = {}
        self._owners: list[dict[int, Node]] = [{} for _ in capacities]

    def find(self, salt: str, tokens: Sequence[int]) -> tuple[int, Node | None, list[list[int]]]:
        """How many of the tokens, less than all, are held; the node of the last whole page; the pages, now shared.

        A page that the windows have passed is -1. The caller releases the pages.
        """
        path, count = self._walk(salt, tokens)
        while count and not self._reaches(path, count):
            path.pop()
            count = sum(len(node.tokens) for node in path)
        pages: list[list[int]] = []
        for group, (pool, window) in enumerate(zip(self.pools, self._windows, strict=True)):
            first = _first_page(count, window)
            pages.append([pool.share(node.pages[group]) if place >= first else -1 for place, node in enumerate(path)])
        whole = count // PAGE_TOKENS
        return count, path[whole - 1] if whole else None, pages

    def keep(self, salt: str, node: Node | None, tokens: Sequence[int], pages: list[list[int]], place: int) -> Node:
        """The node of page number `place` of a sequence, whose tokens come after those of `node` (None: first).

        Where the tree has a page of the same tokens, the sequence goes on with that one and lets go of its own.
        """
        if node is None:
            node = self._roots.setdefault(salt, Node(None, salt, (), len(self.pools)))
        if node.dropped:  # nothing below it can be found
            return node
        key = tuple(tokens)
        child = node.children.get(key)
        if child is None:
            child = node.children[key] = Node(node, salt, key, len(self.pools))
        for group, (pool, own) in enumerate(zip(self.pools, pages, strict=True)):
            page, held = own[place], child.pages[group]
            if page < 0 or page == held:
                continue
            if held < 0:
                if not pool.is_cached(page):
                    pool.cache(page)
                    child.pages[group] = page
                    self._owners[group][page] = child
            else:
                own[place] = pool.share(held)
                pool.release(page)
        if child.pages[0] < 0:  # kept under other tokens: a node without it would never be given away
            self._drop(child)
        return child

    def forget(self, group: int, page: int) -> None:
        """The page is no longer what the tree says, or is needed: drop it, and what lies below it."""
        owner = self._owners[group][page]
        if group == 0:
            self._drop(owner)
        else:
            self._uncache(group, owner)

    def clear(self) -> None:
        """Drop everything, as after a step that failed."""
        for root in list(self._roots.values()):
            for child in list(root.children.values()):
                self._drop(child)

    def _walk(self, salt: str, tokens: Sequence[int]) -> tuple[list[Node], int]:
        """The nodes that spell the beginning of the tokens, and how many tokens these are, less than all."""
        node = self._roots.get(salt)
        path: list[Node] = []
        count, most = 0, len(tokens) - 1
        while node is not None and count < most:
            whole = node.children.get(tuple(tokens[count : count + PAGE_TOKENS]))
            sizes = range(min(PAGE_TOKENS - 1, most - count), 0, -1)
            node = whole or next((leaf for size in sizes
                                  if (leaf := node.children.get(tuple(tokens[count : count + size])))), None)
            if node is not None:
                path.append(node)
                count += len(node.tokens)
        return path, min(count, most)

    def _reaches(self, path: list[Node], count: int) -> bool:
        """Whether every group holds all pages that the row after `count` tokens sees."""
        return all(node.pages[group] >= 0
                   for group, window in enumerate(self._windows) for node in path[_first_page(count, window):])

    def _drop(self, node: Node) -> None:
        """Take a node and all below it out of the tree."""
        if node.parent is not None:
            del node.parent.children[node.tokens]
            if node.parent.parent is None and not node.parent.children:
                del self._roots[node.salt]
        below = [node]
        while below:
            one = below.pop()
            below += one.children.values()
            one.dropped = True
            for group in range(len(self.pools)):
                self._uncache(group, one)

    def _uncache(self, group: int, node: Node) -> None:
        page = node.pages[group]
        if page >= 0:
            node.pages[group] = -1
            del self._owners[group][page]
            self.pools[group].uncache(page)


def _first_page(count: int, window: int | None) -> int:
    """The first page that a row after `count` tokens sees."""
    return 0 if window is None else max(0, count - window) // PAGE_TOKENS

"""Packing: which documents lie in which row. A row has K = T+1 places and starts at a document's <|bos|>.

Only lengths are looked at. Upstream fills every place and drops what does not fit, some 35 % of the tokens at T=2048
(karpathy/nanochat, nanochat/dataloader.py); here nothing is dropped, and places that stay free are padded.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from typing import NamedTuple


class Piece(NamedTuple):
    """`places` of a row: with `offset` 0 the document's tokens from <|bos|> on, else <|bos|> and those from there."""

    document: int
    offset: int
    places: int


def pack(lengths: Sequence[int], places: int, cuttable: Sequence[bool]) -> list[list[Piece]]:
    """Rows of the documents with these lengths: best fit, the longest first, documents of 2 tokens or more.

    A document longer than a row is cut; another one only if it is `cuttable` and the row would stay free by a sixteenth
    or more. A cut is always at the end of a row, and the rest begins with <|bos|> again.
    """
    rows: list[list[Piece]] = []
    stacks: dict[int, list[tuple[int, int]]] = {}  # by length: documents and offsets
    sizes: list[int] = []  # of the stacks, ascending

    def push(length: int, document: int, offset: int) -> None:
        stack = stacks.get(length)
        if stack is None:
            stacks[length] = [(document, offset)]
            insort(sizes, length)
        else:
            stack.append((document, offset))

    def pop(at: int) -> tuple[int, int]:
        size = sizes[at]
        top = stacks[size].pop()
        if not stacks[size]:
            del stacks[size], sizes[at]
        return top

    for document, length in enumerate(lengths):
        offset = 0
        while length > places:
            rows.append([Piece(document, offset, places)])
            offset = _after(offset, places)
            length -= places - 1
        push(length, document, offset)
    least = max(2, places // 16)
    while sizes:
        row: list[Piece] = []
        free = places
        while at := bisect_right(sizes, free):
            size = sizes[at - 1]
            row.append(Piece(*pop(at - 1), size))
            free -= size
        if free >= least and (found := _longest(sizes, stacks, cuttable)) is not None:
            size = sizes[found]
            document, offset = pop(found)
            row.append(Piece(document, offset, free))
            push(size - free + 1, document, _after(offset, free))
        rows.append(row)
    return rows


def _after(offset: int, places: int) -> int:
    """Where a document goes on after a piece."""
    return offset + places - (offset > 0)


def _longest(sizes: list[int], stacks: dict[int, list[tuple[int, int]]], cuttable: Sequence[bool]) -> int | None:
    for at in range(len(sizes) - 1, -1, -1):
        if cuttable[stacks[sizes[at]][-1][0]]:
            return at
    return None

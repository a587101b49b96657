"""Blocks: an answer's pieces as stretches of text, tool calls and tool outputs, in their order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from pynanochat.output import Kind, Piece, borders

if TYPE_CHECKING:
    from pynanochat.tokenizer import Tokenizer

def kind_after(tokenizer: Tokenizer, tokens: Iterable[int], kind: Kind = "text") -> Kind:
    """The kind of block that these tokens of an answer end in, where they begin in one of `kind`."""
    kinds = borders(tokenizer)
    for token in tokens:
        kind = kinds.get(token, kind)
    return kind


class Sample(Protocol):
    """One of the samples of a run."""

    index: int

    def take(self, piece: Piece) -> None:
        """Take the next piece."""


class Blocks:
    """Follows one sample; what becomes of it is for those who override `opened`, `said`, `closed` and `token`."""

    def __init__(self, after: Mapping[int, Kind], kind: Kind = "text") -> None:
        self._after = after
        self.kind = kind  # of the block that comes next text belongs to

    def take(self, piece: Piece) -> None:
        """Take the next piece of the sample."""
        after = None
        for token in piece.tokens:  # one, or none at the end
            after = self._after.get(token)
            self.token(token, piece, border=after is not None)
        if piece.content:
            self.said(piece.content)
        if after is not None:
            self.closed()
            self.kind = after
            self.opened()

    def opened(self) -> None:
        """A block of `kind` begins."""

    def said(self, text: str) -> None:
        """More of the block, in whole characters."""

    def closed(self) -> None:
        """The block ends."""

    def token(self, token: int, piece: Piece, *, border: bool) -> None:
        """A token has come, before what it adds to its block, and before that closes where the token is a border."""

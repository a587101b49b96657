"""Events: what is told of an answer while it comes, one JSON object per line of stdout."""

from __future__ import annotations

from typing import Any

from pynanochat.cli.answer import logprobs_as_json
from pynanochat.cli.terminal import emit
from pynanochat.output import Piece


class EventWriter:
    """Takes pieces like `AnswerWriter`; `where` is told with each of them."""

    def __init__(self, **where: Any) -> None:
        self._where = where

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing is held back."""

    def push(self, piece: Piece) -> None:
        """Tell of a piece."""
        emit({"event": "piece", **self._where, "kind": piece.kind, "text": piece.content, "tokens": piece.tokens,
              "forced": piece.forced, "logprobs": piece.logprobs and logprobs_as_json(piece.logprobs),
              "finish_reason": piece.finish_reason})

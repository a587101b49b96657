"""Bits per byte: how many bits a model needs for a byte of a text, which does not depend on its vocabulary.

Windows of T tokens, the model's context, that each begin with <|bos|> and go on where the one before ended.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pynanochat.engine.request import Request
from pynanochat.errors import DataError
from pynanochat.eval.score import Score
from pynanochat.llm import LLM

BATCH = 16  # windows that are in flight together
_ROWS = 64  # that are looked at together, in float64


class Window(NamedTuple):
    """What a model did with one window."""

    nats: float  # over the tokens that stand for bytes; special ones do not count
    bytes: int
    tokens: int


@dataclass(frozen=True)
class BitsPerByte:
    """The windows of a text, in order."""

    windows: tuple[Window, ...]

    @property
    def nats(self) -> float:
        """All of them, summed exactly."""
        return math.fsum(window.nats for window in self.windows)

    @property
    def bytes(self) -> int:
        """UTF-8 bytes of the text."""
        return sum(window.bytes for window in self.windows)

    @property
    def tokens(self) -> int:
        """Tokens that stand for these bytes."""
        return sum(window.tokens for window in self.windows)

    @property
    def value(self) -> float:
        """nats / (ln 2 x bytes). Source: karpathy/nanochat, nanochat/loss_eval.py, evaluate_bpb."""
        return self.nats / (math.log(2) * self.bytes)

    @property
    def perplexity(self) -> float:
        """e to the nats of a token."""
        return math.exp(self.nats / self.tokens)

    def score(self, task: str) -> Score:
        """As a score, whose error comes from how the windows differ."""
        return Score.of_ratio(task, [(window.nats / math.log(2), float(window.bytes)) for window in self.windows],
                              unit="bits/byte", facts={"perplexity": self.perplexity, "tokens": self.tokens,
                                                       "bytes": self.bytes})


def bits_per_byte(
    llm: LLM,
    documents: Iterable[str],
    *,
    max_windows: int | None = None,
    batch: int = BATCH,
    progress: Callable[[int, int], None] | None = None,
) -> BitsPerByte:
    """The bits per byte of texts, each begun anew; `batch` windows run together, which changes no number.

    Raises `DataError` for texts without a token.
    """
    pieces = windows(llm, documents, max_windows)
    if not pieces:
        raise DataError("the texts have no tokens; give some with words in them")
    sizes = np.array(llm.need_tokenizer().token_bytes())
    measured: list[Window] = []
    for at in range(0, len(pieces), batch):
        measured += _run(llm, pieces[at:at + batch], sizes)
        if progress is not None:
            progress(len(measured), len(pieces))
    return BitsPerByte(tuple(measured))


def windows(llm: LLM, documents: Iterable[str], most: int | None = None) -> list[list[int]]:
    """The token ids of each window, <|bos|> left out: up to a context of each document at a time, `most` in all."""
    tokenizer, size = llm.need_tokenizer(), llm.context
    found: list[list[int]] = []
    for document in documents:
        tokens = tokenizer.encode(document)
        found += [tokens[start:start + size] for start in range(0, len(tokens), size)]
        if most is not None and len(found) >= most:
            return found[:most]
    return found


def _run(llm: LLM, pieces: Sequence[list[int]], sizes: NDArray[np.int64]) -> list[Window]:
    bos = llm.need_tokenizer().bos
    nats = [np.zeros(len(piece)) for piece in pieces]

    def request(piece: list[int], found: NDArray[np.float64]) -> Request:
        def take(first: int, logits: NDArray[np.float32]) -> None:
            found[first:first + len(logits)] = token_nats(logits, np.array(piece[first:first + len(logits)]))

        return Request(prompt=(bos, *piece[:-1]), max_tokens=0, on_prompt_logits=take)

    llm.run([request(piece, found) for piece, found in zip(pieces, nats, strict=True)]).drain()
    made = []
    for piece, found in zip(pieces, nats, strict=True):
        size = sizes[piece]
        counted = size > 0
        made.append(Window(math.fsum(found[counted].tolist()), int(size.sum()), int(counted.sum())))
    return made


def token_nats(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n, V), (n,) -> (n,) -log of the target's probability."""
    found = np.empty(len(targets))
    for start in range(0, len(targets), _ROWS):
        rows = logits[start:start + _ROWS].astype(np.float64)
        largest = rows.max(-1)
        wanted = np.take_along_axis(rows, targets[start:start + _ROWS, None], -1)[:, 0]
        whole = np.log(np.exp(rows - largest[:, None]).sum(-1))
        found[start:start + _ROWS] = whole + largest - wanted
    return found

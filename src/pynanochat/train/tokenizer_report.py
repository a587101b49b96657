"""How well a tokenizer fits texts: bytes per token by source, and tokens that nothing uses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pynanochat.tokenizer import Tokenizer
from pynanochat.train.texts import Document
from pynanochat.train.tokenizer import texts_of


@dataclass(frozen=True, slots=True)
class Fit:
    """Sums over the texts of a source."""

    documents: int
    bytes: int
    tokens: int

    @property
    def bytes_per_token(self) -> float:
        """Bytes of UTF-8 that a token stands for on average; the higher, the less there is to compute."""
        return self.bytes / self.tokens if self.tokens else 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """The fit by source, and of all."""

    vocab_size: int
    sources: dict[str, Fit]
    unused: int  # ids without the special ones that never occur
    longest: tuple[str, ...]

    @property
    def total(self) -> Fit:
        """The fit of all sources together."""
        fits = list(self.sources.values())
        return Fit(sum(fit.documents for fit in fits), sum(fit.bytes for fit in fits), sum(fit.tokens for fit in fits))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        def plain(fit: Fit) -> dict[str, Any]:
            return asdict(fit) | {"bytes_per_token": fit.bytes_per_token}

        return {"vocab_size": self.vocab_size, **plain(self.total), "unused_tokens": self.unused,
                "longest_tokens": list(self.longest), "sources": {name: plain(fit) for name, fit in
                                                                  self.sources.items()}}


def report(tokenizer: Tokenizer, documents: Iterable[Document], *, longest: int = 10) -> Report:
    """What the tokenizer makes of the documents, special tokens left out, and its `longest` tokens."""
    sums: dict[str, list[int]] = {}
    used = np.zeros(tokenizer.vocab_size, np.int64)
    for document in documents:
        counted = sums.setdefault(document.source, [0, 0, 0])
        counted[0] += 1
        for text in texts_of([document]):
            tokens = tokenizer.encode(text)
            counted[1] += len(text.encode("utf-8", "replace"))
            counted[2] += len(tokens)
            np.add.at(used, np.asarray(tokens, np.int64), 1)
    plain = tokenizer.vocab_size - len(tokenizer.special_tokens)
    shown = sorted(tokenizer.ranks, key=lambda token: (-len(token), tokenizer.ranks[token]))[:longest]
    return Report(tokenizer.vocab_size, {name: Fit(*counted) for name, counted in sums.items()},
                  int((used[:plain] == 0).sum()), tuple(token.decode("utf-8", "replace") for token in shown))

"""Quality: how far one model's predictions are from another's on the same text, every token given, none sampled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pynanochat.config import GPTConfig
from pynanochat.errors import RequestError
from pynanochat.tokenizer import Tokenizer

_ROWS = 64  # that are looked at together, in float64


class Predictor(Protocol):
    """The part of an `LLM` that is measured."""

    @property
    def config(self) -> GPTConfig:
        """Its network."""

    @property
    def context(self) -> int:
        """The most tokens that it sees at once."""

    def need_tokenizer(self) -> Tokenizer:
        """Its tokenizer."""

    def logits(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """(T, V): for each token the logits of the one after it."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """How well a model keeps to another, over the predictions of so many tokens."""

    kl: float  # mean KL(model || other) in nats, from the model's distribution to the other's
    kl_99: float  # exceeded by one token in a hundred
    top1: float  # share of tokens where both think the same one the most likely
    perplexity: float  # of the model
    perplexity_ratio: float  # the other's by the model's
    tokens: int

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return asdict(self)


def quality(llm: Predictor, other: Predictor, tokens: Sequence[int]) -> Quality:
    """How `other` differs from `llm` on a text, in windows of the smaller context that each begin with <|bos|>.

    The logits of one window of both models are in memory at a time. Raises `RequestError` for a text without tokens or
    models of different vocabularies.
    """
    if llm.config.vocab_size != other.config.vocab_size:
        raise RequestError(f"the models have {llm.config.vocab_size:,} and {other.config.vocab_size:,} tokens in their "
                           "vocabularies; expected the same ones")
    if not tokens:
        raise RequestError("the text has no tokens; give one with words in it")
    bos = llm.need_tokenizer().special_tokens["<|bos|>"]
    length = min(llm.context, other.context)
    parts = [_window([bos, *tokens[start : start + length]], llm, other) for start in range(0, len(tokens), length)]
    kl, same, surprise, other_surprise = (np.concatenate(values) for values in zip(*parts, strict=True))
    return Quality(
        kl=float(kl.mean()), kl_99=float(np.quantile(kl, 0.99)), top1=float(same.mean()),
        perplexity=math.exp(surprise.mean()), perplexity_ratio=math.exp(other_surprise.mean() - surprise.mean()),
        tokens=len(kl))


def _window(tokens: list[int], llm: Predictor, other: Predictor) -> tuple[NDArray[Any], ...]:
    """For each token but the first: KL, whether the best ones agree, and -log of both probabilities."""
    left, right, targets = llm.logits(tokens[:-1]), other.logits(tokens[:-1]), np.array(tokens[1:])
    parts = []
    for start in range(0, len(targets), _ROWS):
        rows = slice(start, start + _ROWS)
        p, q, wanted = _log_softmax(left[rows]), _log_softmax(right[rows]), targets[rows, None]
        parts.append(((np.exp(p) * (p - q)).sum(-1), left[rows].argmax(-1) == right[rows].argmax(-1),
                      -np.take_along_axis(p, wanted, -1)[:, 0], -np.take_along_axis(q, wanted, -1)[:, 0]))
    return tuple(np.concatenate(values) for values in zip(*parts, strict=True))


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """(M, V) -> (M, V)."""
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    normal: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return normal

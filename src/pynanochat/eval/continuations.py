"""What a model thinks of given continuations: -log of each token's probability, many prompts in one batch.

Continuations of one prompt are samples of one request, so that the prompt runs once, whatever follows it: a constraint
leaves each sample no token but its own, and the engine tells what the model itself gave it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pynanochat.engine.request import Request
from pynanochat.llm import LLM
from pynanochat.sampling import SamplingPolicy

BATCH = 32  # items that run together


class Continuation(NamedTuple):
    """Tokens after a prompt, both not empty."""

    prompt: tuple[int, ...]
    tokens: tuple[int, ...]

    @property
    def length(self) -> int:
        """Of both together."""
        return len(self.prompt) + len(self.tokens)

    def cropped(self, context: int) -> Continuation:
        """The last `context` tokens of both, one of them at least a prompt's. Source: karpathy/nanochat,
        nanochat/core_eval.py, evaluate_example."""
        tokens = self.tokens[-(context - 1):]
        room = context - len(tokens)
        return Continuation(self.prompt[-room:], tokens)


@dataclass(frozen=True)
class Judged:
    """How likely a continuation is."""

    nats: tuple[float, ...]  # -log of the probability of each token, given all before it
    best: tuple[bool, ...]  # whether the token is the most likely one there

    @property
    def mean(self) -> float:
        """Nats per token."""
        return sum(self.nats) / len(self.nats)


def likeliest(judged: Sequence[Judged]) -> int:
    """The place of the one with the fewest nats per token, the first of equal ones."""
    means = [one.mean for one in judged]
    return means.index(min(means))


def judge(llm: LLM, continuations: Sequence[Continuation]) -> list[Judged]:
    """What the model thinks of each, in order; those of one prompt share its run. All of them are in flight at once.

    Raises `ContextError` for one that the context does not hold: crop it first.
    """
    places: dict[tuple[int, ...], list[int]] = {}
    for place, one in enumerate(continuations):
        places.setdefault(one.prompt, []).append(place)
    most = llm.engine.scheduler.max_sequences
    groups = [held[at:at + most] for held in places.values() for at in range(0, len(held), most)]
    requests = [_request(llm, [continuations[place] for place in group]) for group in groups]
    judged: dict[int, Judged] = {}
    for group, output in zip(groups, llm.run(requests).drain(), strict=True):
        for place, sample in zip(group, output.samples, strict=True):
            wanted = continuations[place].tokens
            assert tuple(sample.tokens) == wanted, "the constraint left another token"
            said = [one for one in sample.logprobs or () if one is not None]
            judged[place] = Judged(nats=tuple(-one.logprob for one in said),
                                   best=tuple(one.top[0][0] == token for one, token in zip(said, wanted, strict=True)))
    return [judged[place] for place in range(len(continuations))]


def choose(
    llm: LLM,
    items: Sequence[Sequence[Continuation]],
    *,
    batch: int = BATCH,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[list[Judged]], int]:
    """What the model thinks of every item's continuations, `batch` items at once, each cropped to the context.

    The number is that of the items that had to be.
    """
    results: list[list[Judged]] = []
    too_long = sum(any(one.length > llm.context for one in item) for item in items)
    for at in range(0, len(items), batch):
        part = [[one.cropped(llm.context) for one in item] for item in items[at:at + batch]]
        judged = iter(judge(llm, [one for item in part for one in item]))
        results += [[next(judged) for _ in item] for item in part]
        if progress is not None:
            progress(len(results), len(items))
    return results, too_long


class _Given:
    """Allows the tokens of one continuation in their order, then the end; each copy takes the next continuation.

    The engine copies a request's constraint once for each sample, in their order.
    """

    def __init__(self, continuations: Sequence[tuple[int, ...]], vocab_size: int, end: int) -> None:
        self._continuations = continuations
        self._vocab_size = vocab_size
        self._end = end
        self._copies = 0
        self._tokens: tuple[int, ...] = ()
        self._at = 0

    def mask(self) -> NDArray[np.bool_]:
        """(V,) true at one token."""
        mask = np.zeros(self._vocab_size, np.bool_)
        mask[self._tokens[self._at] if self._at < len(self._tokens) else self._end] = True
        return mask

    def push(self, token: int) -> None:
        """Go on to the next token."""
        self._at += 1

    def copy(self) -> _Given:
        """The next sample's."""
        other = _Given(self._continuations, self._vocab_size, self._end)
        other._tokens = self._continuations[self._copies]
        self._copies += 1
        return other


def _request(llm: LLM, group: Sequence[Continuation]) -> Request:
    end = llm.need_tokenizer().bos
    tokens = [one.tokens for one in group]
    inside = {token for one in tokens for token in one}
    if end in inside:  # any token that none of them holds may end them
        end = next(token for token in range(llm.config.vocab_size) if token not in inside)
    return Request(prompt=group[0].prompt, max_tokens=max(map(len, tokens)), end_tokens=(end,),
                   policy=SamplingPolicy(temperature=0.0, n=len(group), logprobs=1, seed=0),
                   constraint=_Given(tokens, llm.config.vocab_size, end))

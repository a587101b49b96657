"""Sampling: from the logits of a row to a token, the same on every machine and every backend.

`sample` is the law: a pure function of logits (V,), policy, history and one uniform number. `target_probabilities` says
the same distribution in the plainest way; tests hold the two together. V is the size of the vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynanochat.errors import PolicyError, RequestError
from pynanochat.philox import fresh_seed, uniform

Logits = NDArray[np.float32]
Processor = Callable[[Logits, Sequence[int]], Logits]

_RANGES = {  # field: least, most
    "temperature": (0, 100),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "repetition_penalty": (0.01, 100),
    "presence_penalty": (-100, 100),
    "frequency_penalty": (-100, 100),
}
_MOST_BIAS = 1e6
_MOST_STOPS = 16
_FLOOR = -700.0  # exp of less is no normal float64: such tokens get no weight at all
_NUCLEUS_GUESS = 256  # tokens ranked before more are; holds the nucleus of most real distributions


@dataclass(frozen=True, kw_only=True)
class SamplingPolicy:
    """How tokens are chosen; raises `PolicyError` where a setting is out of range.

    nanochat-rs' seven policies are combinations of fields: Greedy is temperature=0; Temperature, TopK and TopP set one
    field; TempTopK, TempTopP and TempTopKTopP set two or three. A string for `stop` is one stop string.

    Source: top-k Fan et al. 2018 (arXiv:1805.04833); top-p Holtzman et al. 2019 (arXiv:1904.09751); min-p Nguyen et al.
    2024 (arXiv:2407.01082); repetition penalty Keskar et al. 2019 (CTRL, arXiv:1909.05858); presence and frequency
    penalty, logit bias and stop: OpenAI API reference.
    """

    temperature: float = 1.0  # 0: greedy, the token of the largest logit, ties to the lowest id
    top_k: int = 0  # keep this many of the largest logits; 0 or at least V: all
    top_p: float = 1.0  # keep the fewest most probable tokens that have this much of the probability; 1: all
    min_p: float = 0.0  # keep tokens with at least this share of the best token's probability
    repetition_penalty: float = 1.0  # tokens of prompt and output: divides logits above 0, multiplies the others
    presence_penalty: float = 0.0  # subtracted once from tokens in the output
    frequency_penalty: float = 0.0  # subtracted from tokens in the output, for each time
    logit_bias: Mapping[int, float] = field(default_factory=dict, hash=False)  # added to logits by id; -inf: never
    stop: Sequence[str] = ()  # ends where one of these strings appears
    stop_tokens: Sequence[int] = ()  # ends at one of these ids
    seed: int | None = None  # None: a new one for each request
    n: int = 1  # samples per prompt
    logprobs: int | None = None  # alternatives reported per token; 0: the token alone; None: nothing
    processors: Sequence[Processor] = ()  # each takes logits (V,) and all tokens so far, gives logits (V,)

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if not (_is_number(value) and least <= value <= most) or (name == "top_p" and value == 0):
                above = "above 0 and at most" if name == "top_p" else f"from {least} to"
                raise PolicyError(f"{name} is {value!r}; expected a number {above} {most}")
            object.__setattr__(self, name, float(value))
        for name, least, limit in (("top_k", 0, None), ("n", 1, 128), ("logprobs", 0, 64), ("seed", 0, 2**64 - 1)):
            value = getattr(self, name)
            if value is None and name in ("logprobs", "seed"):
                continue
            if not _is_count(value) or value < least or (limit is not None and value > limit):
                to = "on" if limit is None else f"to {limit}"
                raise PolicyError(f"{name} is {value!r}; expected a whole number from {least} {to}")
            object.__setattr__(self, name, int(value))
        stop = (self.stop,) if isinstance(self.stop, str) else _tuple("stop", self.stop or (), "strings")
        for text in stop:
            if not (isinstance(text, str) and text):
                raise PolicyError(f"stop holds {text!r}; expected strings that are not empty")
        if len(stop) > _MOST_STOPS:
            raise PolicyError(f"stop holds {len(stop)} strings; expected at most {_MOST_STOPS}")
        stop_tokens = _tuple("stop_tokens", self.stop_tokens, "token ids")
        for token in stop_tokens:
            if not _is_count(token):
                raise PolicyError(f"stop_tokens holds {token!r}; expected token ids")
        processors = _tuple("processors", self.processors, "functions")
        for processor in processors:
            if not callable(processor):
                raise PolicyError(f"processors holds {processor!r}; expected functions of (logits, tokens)")
        for name, value in (("stop", stop), ("stop_tokens", stop_tokens), ("processors", processors)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "logit_bias", _checked_bias(self.logit_bias))

    @classmethod
    def greedy(cls, **fields: Any) -> SamplingPolicy:
        """The policy that always takes the token of the largest logit."""
        return cls(temperature=0.0, **fields)

    def replace(self, **changes: Any) -> SamplingPolicy:
        """The same policy with other values for some fields."""
        return replace(self, **changes)

    def check_vocab(self, vocab_size: int) -> None:
        """Raise `PolicyError` if `logit_bias` names a token that a vocabulary of this size lacks."""
        ids, _ = self._bias
        if len(ids) and ids[-1] >= vocab_size:
            raise PolicyError(f"logit_bias names token {ids[-1]}; the vocabulary has ids 0 to {vocab_size - 1}")

    @cached_property
    def _bias(self) -> tuple[NDArray[np.int64], Logits]:
        ids = sorted(self.logit_bias)
        return np.array(ids, np.int64), np.array([self.logit_bias[i] for i in ids], np.float32)


def check_tokens(tokens: Sequence[int], vocab_size: int) -> None:
    """Raise `RequestError` if one of the tokens is none of the vocabulary's."""
    for token in (min(tokens), max(tokens)) if tokens else ():
        if not 0 <= token < vocab_size:
            raise RequestError(f"token {token} is not in the vocabulary; expected ids 0 to {vocab_size - 1}")


class History:
    """The tokens of one sequence, and how often each was output, for the penalties.

    Adding a token is adding to a list; the counts are made when a penalty first asks, and then follow.
    """

    def __init__(self, vocab_size: int, prompt_tokens: Iterable[int] = ()) -> None:
        self.vocab_size = vocab_size
        self.tokens: list[int] = [int(token) for token in prompt_tokens]  # prompt and output; add with `append` only
        self._prompt_length = len(self.tokens)
        check_tokens(self.tokens, vocab_size)
        self._slots: dict[int, int] = {}  # token: its place in the two arrays
        self._ids = np.empty(64, np.int64)
        self._counts = np.empty(64, np.int64)
        self._counted = 0  # tokens that the arrays cover

    def append(self, token: int) -> None:
        """Add an output token."""
        check_tokens((token,), self.vocab_size)
        self.tokens.append(token)

    def counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The distinct ids in prompt and output, and how often each is in the output; read them only."""
        for place in range(self._counted, len(self.tokens)):
            token = self.tokens[place]
            slot = self._slots.get(token)
            if slot is None:
                slot = self._slots[token] = len(self._slots)
                if slot == len(self._ids):
                    self._ids, self._counts = np.resize(self._ids, 2 * slot), np.resize(self._counts, 2 * slot)
                self._ids[slot], self._counts[slot] = token, 0
            self._counts[slot] += place >= self._prompt_length
        self._counted = len(self.tokens)
        size = len(self._slots)
        return self._ids[:size], self._counts[:size]


def sample(
    logits: Logits, policy: SamplingPolicy, history: History, uniform: float, mask: NDArray[np.bool_] | None = None
) -> int:
    """The token that `uniform`, a number in [0, 1), picks from logits (V,); `mask` (V,) is True where allowed.

    In this order: logit bias, repetition, presence and frequency penalty (float32), mask, processors; then, unless the
    temperature is 0, weights exp((logit - largest) / temperature) in float64, none below exp(-700), of
      - the top_k largest logits,
      - the fewest of the largest weights that have top_p of the mass of those left by top_k, at least one,
      - weights of at least min_p times the largest.
    Where tokens tie, the lowest ids stay. Of these, in the order of their ids, the first whose running sum exceeds
    `uniform` times the whole. Raises `RequestError` if the logits are not numbers or no token is allowed.
    """
    if not 0 <= uniform < 1:
        raise RequestError(f"uniform is {uniform!r}; expected a number from 0 up to, but not including, 1")
    row, largest = _adjusted(logits, policy, history, mask)
    if policy.temperature == 0:
        return int(row.argmax())
    ids, weights = _kept(row, largest, policy)
    running = np.cumsum(weights, out=weights)
    place = int(np.searchsorted(running, uniform * running[-1], side="right"))
    return place if ids is None else int(ids[place])


def target_probabilities(
    logits: Logits, policy: SamplingPolicy, history: History, mask: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """The probability (V,) of each token under `sample`, by sorting everything: its definition, not its speed."""
    row, largest = _adjusted(logits, policy, history, mask)
    vocab_size = len(row)
    probabilities = np.zeros(vocab_size)
    if policy.temperature == 0:
        probabilities[row.argmax()] = 1
        return probabilities
    with np.errstate(over="ignore"):
        scaled = (row.astype(np.float64) - largest) / policy.temperature
    weights = np.where(scaled >= _FLOOR, np.exp(np.maximum(scaled, _FLOOR)), 0)
    kept = np.arange(vocab_size)
    if policy.top_k:
        kept = np.sort(np.lexsort((kept, -row))[: policy.top_k])
    kept = kept[weights[kept] > 0]
    if policy.top_p < 1:
        ranked = kept[np.lexsort((kept, -weights[kept]))]
        mass_before = np.concatenate(([0.0], np.cumsum(weights[ranked])[:-1]))
        kept = np.sort(ranked[mass_before < policy.top_p * weights[kept].sum()])
    kept = kept[weights[kept] >= policy.min_p]  # the largest weight is 1
    probabilities[kept] = weights[kept] / weights[kept].sum()
    return probabilities


@dataclass(frozen=True, slots=True)
class Sampler:
    """The random choices of one sample of a request: a policy with its seed settled."""

    policy: SamplingPolicy
    seed: int
    index: int = 0  # which of the policy's n samples

    @classmethod
    def of(cls, policy: SamplingPolicy) -> tuple[Sampler, ...]:
        """One sampler for each of the policy's n samples, all under its seed, or under one new one."""
        seed = fresh_seed() if policy.seed is None else policy.seed
        return tuple(cls(policy, seed, index) for index in range(policy.n))

    def draw(self, logits: Logits, history: History, position: int, mask: NDArray[np.bool_] | None = None) -> int:
        """The token at output index `position`."""
        number = 0.0 if self.policy.temperature == 0 else uniform(self.seed, self.index, position)
        return sample(logits, self.policy, history, number, mask)


def log_softmax(logits: Logits) -> NDArray[np.float64]:
    """Natural logarithms (V,) of the probabilities that the model itself gives, before any policy."""
    row = _checked_row(logits)
    return row.astype(np.float64) - _log_sum_exp(row)


def top_logprobs(logits: Logits, token: int, k: int) -> tuple[float, list[tuple[int, float]]]:
    """What `log_softmax` has for `token`, and its k largest as (id, logprob), best first, ties to the lowest id."""
    row = _checked_row(logits)
    whole = _log_sum_exp(row)
    ids = _largest(row, k) if k else np.empty(0, np.int64)
    ids = ids[np.lexsort((ids, -row[ids]))]
    return float(row[token]) - whole, [(int(i), float(row[i]) - whole) for i in ids]


def _adjusted(
    logits: Logits, policy: SamplingPolicy, history: History, mask: NDArray[np.bool_] | None
) -> tuple[Logits, float]:
    """Logits (V,) after bias, penalties, mask and processors, never the caller's own array changed, and the largest."""
    row = given = _checked_row(logits)
    if len(row) != history.vocab_size:
        raise RequestError(f"{len(row)} logits, but the history's vocabulary has {history.vocab_size} tokens")
    if policy.logit_bias:
        policy.check_vocab(len(row))
        ids, bias = policy._bias
        row = row.copy()
        row[ids] += bias
    if policy.repetition_penalty != 1 or policy.presence_penalty or policy.frequency_penalty:
        row = row.copy() if row is given else row
        _penalize(row, policy, history)
    if mask is not None:
        if mask.shape != row.shape or mask.dtype != np.bool_:
            raise RequestError(f"mask is {mask.dtype} {mask.shape}; expected bool ({len(row)},)")
        row = np.where(mask, row, np.float32(-np.inf))
    for place, processor in enumerate(policy.processors):
        made = processor(row.copy() if row is given else row, list(history.tokens))
        name = f"processor {place} ({getattr(processor, '__name__', type(processor).__name__)})"
        if made is None:
            raise PolicyError(f"{name} gave nothing back; it has to return the logits")
        row = np.asarray(made, np.float32)
        if row.shape != given.shape:
            raise PolicyError(f"{name} gave logits of shape {row.shape}; expected {given.shape}")
    largest = float(row.max())
    if not largest < math.inf:
        raise RequestError("the policy made logits that are not finite numbers; look at its processors and penalties")
    if largest == -math.inf:
        raise RequestError("no token is allowed: the logit bias, the mask or a processor rules out all of them")
    return row, largest


def _penalize(row: Logits, policy: SamplingPolicy, history: History) -> None:
    ids, counts = history.counts()
    with np.errstate(over="ignore"):
        if policy.repetition_penalty != 1:
            penalty, values = np.float32(policy.repetition_penalty), row[ids]
            row[ids] = np.where(values > 0, values / penalty, values * penalty)
        if policy.presence_penalty or policy.frequency_penalty:
            output = np.flatnonzero(counts)
            minus = policy.presence_penalty + policy.frequency_penalty * counts[output]
            row[ids[output]] -= minus.astype(np.float32)


def _kept(row: Logits, largest: float, policy: SamplingPolicy) -> tuple[NDArray[np.intp] | None, NDArray[np.float64]]:
    """The ids that top-k, top-p and min-p keep, rising (None: all), and their weights; the largest weight is 1."""
    ids: NDArray[np.intp] | None = None
    if 0 < policy.top_k < len(row):
        ids = _largest(row, policy.top_k)
        row = row[ids]
    scaled = row.astype(np.float64)
    scaled -= largest
    with np.errstate(over="ignore"):
        scaled /= policy.temperature
    if scaled.min() < _FLOOR:
        ids, scaled = _select(ids, scaled, np.flatnonzero(scaled >= _FLOOR))
    weights = np.exp(scaled, out=scaled)
    if policy.top_p < 1:
        ids, weights = _select(ids, weights, _nucleus(weights, policy.top_p))
    if policy.min_p > 0:
        ids, weights = _select(ids, weights, np.flatnonzero(weights >= policy.min_p))
    return ids, weights


def _select(
    ids: NDArray[np.intp] | None, values: NDArray[np.float64], places: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    return places if ids is None else ids[places], values[places]


def _nucleus(weights: NDArray[np.float64], top_p: float) -> NDArray[np.intp]:
    """Places, rising, of the fewest largest weights whose sum, from the largest on, reaches top_p of the whole."""
    wanted = top_p * weights.sum()
    size = _NUCLEUS_GUESS
    while True:
        places = _largest(weights, size)
        running = np.cumsum(np.sort(weights[places])[::-1])
        if running[-1] >= wanted or len(places) == len(weights):
            break
        size *= 8
    return places[_largest(weights[places], int(np.searchsorted(running, wanted)) + 1)]


def _largest(values: NDArray[Any], n: int) -> NDArray[np.intp]:
    """Places, rising, of the n largest values, n >= 1; of equal ones at the end, those of the lowest places."""
    if n >= len(values):
        return np.arange(len(values))
    places: NDArray[np.intp] | None = None
    columns = len(values) // 64
    if columns > n:  # the n-th largest of all is no less than the n-th largest of 64-row columns' maxima
        maxima = values[: columns * 64].reshape(64, columns).max(axis=0)
        places = np.flatnonzero(values >= np.partition(maxima, columns - n)[columns - n])
        values = values[places]
    last = np.partition(values, len(values) - n)[len(values) - n]
    keep = values > last
    keep[np.flatnonzero(values == last)[: n - np.count_nonzero(keep)]] = True
    kept = np.flatnonzero(keep)
    return kept if places is None else places[kept]


def _checked_row(logits: Logits) -> Logits:
    row = np.asarray(logits, np.float32)
    if row.ndim != 1 or not row.size:
        raise RequestError(f"logits have shape {row.shape}; expected (V,), one row")
    if not -math.inf < row.max() < math.inf:
        raise RequestError("the model gave logits that are not numbers; its weights or its arithmetic are broken")
    return row


def _log_sum_exp(row: Logits) -> float:
    largest = float(row.max())
    shifted = row.astype(np.float64)
    shifted -= largest
    return largest + math.log(float(np.exp(shifted, out=shifted).sum()))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and int(value) >= 0


def _tuple(name: str, values: Any, of: str) -> tuple[Any, ...]:
    try:
        return tuple(values)
    except TypeError:
        raise PolicyError(f"{name} is {values!r}; expected a list of {of}") from None


def _checked_bias(bias: Any) -> dict[int, float]:
    if not isinstance(bias, Mapping):
        raise PolicyError(f"logit_bias is {bias!r}; expected numbers by token id")
    for token, value in bias.items():
        if not _is_count(token):
            raise PolicyError(f"logit_bias has a key {token!r}; expected token ids")
        if not _is_number(value) or not (-_MOST_BIAS <= value <= _MOST_BIAS or value == -math.inf):
            raise PolicyError(f"logit_bias of token {token} is {value!r}; "
                              f"expected a number up to {_MOST_BIAS:,.0f} either way, or -inf")
    return {int(token): float(value) for token, value in bias.items()}

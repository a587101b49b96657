"""M2, M8: draws follow the probabilities that a policy says, and nothing else decides them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynanochat.check.demo import Demo
from pynanochat.check.result import Check, Measure, equal
from pynanochat.philox import uniform
from pynanochat.sampling import History, SamplingPolicy, sample

V = 16
DRAWS = 20_000
_STEP = 0.16  # between the logits of neighbours
_LEAST_P = 1e-4
_POLICIES: dict[str, tuple[dict[str, Any], int]] = {  # nanochat-rs' names: fields, and how many tokens stay
    "Greedy": ({"temperature": 0}, 1),
    "Temperature": ({"temperature": 0.7}, V),
    "TopK": ({"top_k": 5}, 5),
    "TopP": ({"top_p": 0.6}, 6),
    "TempTopK": ({"temperature": 0.7, "top_k": 5}, 5),
    "TempTopP": ({"temperature": 0.7, "top_p": 0.6}, 4),
    "TempTopKTopP": ({"temperature": 1.3, "top_k": 8, "top_p": 0.7}, 5),
}


def follows(name: str, demo: Demo) -> Measure:
    """The p-value of a chi-square test of 20,000 draws against the exact distribution; only its tokens may come."""
    fields, size = _POLICIES[name]
    policy, logits = SamplingPolicy(**fields), _logits(demo)
    rank = np.argsort(np.argsort(-logits))
    wanted = np.where(rank < size, np.exp(-_STEP * rank / (policy.temperature or 1.0)), 0.0)
    wanted /= wanted.sum()
    draws = _draw(logits, policy, [uniform(demo.seed, 0, position) for position in range(DRAWS)])
    counts = np.bincount(draws, minlength=V)
    kept = wanted > 0
    support = f"{int((counts > 0).sum())} of {V} tokens came, expected {size}: {' '.join(map(str, counts[kept]))}"
    right = bool(((counts > 0) == kept).all())
    expected = wanted[kept] * DRAWS
    p = _chi_square_p(float(((counts[kept] - expected) ** 2 / expected).sum()), size - 1)
    return Measure(p, f"p > {_LEAST_P:g}, {DRAWS:,} draws", right and p > _LEAST_P, support)


def greedy_limits(demo: Demo) -> Measure:
    """top_k = 1 and a tiny top_p choose what temperature 0 chooses, whatever the uniform number."""
    logits = _logits(demo)
    best = {sample(logits, SamplingPolicy.greedy(), History(V), 0.5), int(logits.argmax())}
    for fields in ({"top_k": 1}, {"top_p": 1e-9}, {"min_p": 1.0}):
        best |= {sample(logits, SamplingPolicy(**fields), History(V), u) for u in (0.0, 0.3, 0.999999)}
    return equal(len(best), 1, "different tokens from temperature 0, top_k 1, top_p 1e-9 and min_p 1")


def seeds(demo: Demo) -> Measure:
    """The same seed gives the same answer, alone and beside another request; another seed gives another."""
    llm, prompt = demo.model, demo.tokens(5)
    policy = SamplingPolicy(seed=demo.seed)
    first = llm.generate(prompt, 24, policy=policy).tokens
    again = llm.generate([demo.tokens(9, 1), prompt], 24, policy=policy)[1].tokens
    other = llm.generate(prompt, 24, policy=policy.replace(seed=demo.seed + 1)).tokens
    same = sum(a == b for a, b in zip(first, again, strict=True))
    return Measure(f"{same} of 24", "24 tokens, another seed differs", same == 24 and other != first)


def _logits(demo: Demo) -> NDArray[np.float32]:
    """A geometric distribution in random order."""
    return np.random.default_rng(demo.seed).permutation(-_STEP * np.arange(V)).astype(np.float32)


def _draw(logits: NDArray[np.float32], policy: SamplingPolicy, uniforms: Sequence[float]) -> NDArray[np.int64]:
    """The token of each uniform number.

    Between two numbers that give the same token, all do: the law sums the kept tokens in the order of their ids. So
    most draws follow from their neighbours; every twentieth is made all the same, and must agree.
    """
    order = np.argsort(uniforms)
    tokens = np.full(len(order), -1)

    def at(place: int) -> int:
        if tokens[place] < 0:
            tokens[place] = sample(logits, policy, History(V), uniforms[order[place]])
        return int(tokens[place])

    spans = [(0, len(order) - 1)]
    while spans:
        first, last = spans.pop()
        if at(first) == at(last):
            tokens[first : last + 1] = tokens[first]
        elif last - first > 1:
            middle = (first + last) // 2
            spans += [(first, middle), (middle, last)]
    for place in range(0, len(order), 20):
        if sample(logits, policy, History(V), uniforms[order[place]]) != tokens[place]:
            raise ArithmeticError("a token does not follow from the order of the uniform numbers")
    return tokens


def _chi_square_p(statistic: float, freedom: int) -> float:
    """The probability of a larger statistic; by the series for whole degrees of freedom.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.4.4 and 26.4.5.
    """
    if freedom == 0:
        return 1.0
    half, odd = statistic / 2, freedom % 2
    total = math.erfc(math.sqrt(half)) if odd else 0.0
    term = math.sqrt(half) / math.gamma(1.5) if odd else 1.0
    for step in range(freedom // 2):
        total += math.exp(-half) * term
        term *= half / (step + 1 + odd / 2)
    return total


CHECKS = (
    *(Check("M2", name, partial(follows, name)) for name in _POLICIES),
    Check("M8", "limits of the policies are greedy", greedy_limits),
    Check("M8", "a seed settles the answer", seeds),
)

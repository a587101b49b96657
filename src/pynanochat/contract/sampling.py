"""How tokens are chosen: what repeats, and what has an effect."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pynanochat.contract.chat import answer, taken, text_of
from pynanochat.contract.clients import INSPECT, LANGCHAIN, LITELLM, LM_EVAL, SPECIFICATION
from pynanochat.contract.problem import Problem, quoted
from pynanochat.contract.result import Check
from pynanochat.contract.server import SHORT, Server

_BIASED = "65"  # a token that every vocabulary has


def greedy(server: Server) -> Iterator[Problem]:
    """Temperature 0, twice."""
    first, second = text_of(answer(server)), text_of(server.chat(max_tokens=2 * SHORT))
    if first != second:
        yield Problem("temperature", f"0 gave {quoted(first)}, then {quoted(second)}")


def seeded(server: Server) -> Iterator[Problem]:
    """One seed, twice."""
    first, second = _sample(server, 7), _sample(server, 7)
    if first != second:
        yield Problem("seed", f"7 gave {quoted(first)}, then {quoted(second)}")


def effect(server: Server) -> Iterator[Problem]:
    """Four seeds at a high temperature do not all give one answer."""
    found = {_sample(server, seed) for seed in (1, 2, 3, 4)}
    if len(found) == 1:
        yield Problem("temperature", f"1.5 with four seeds gave {quoted(found.pop())} each time")


def bias(server: Server) -> Iterator[Problem]:
    """A bias of 100 for one token changes the answer."""
    plain = text_of(answer(server))
    biased = text_of(server.chat(max_tokens=2 * SHORT, logit_bias={_BIASED: 100}))
    if plain == biased:
        yield Problem("logit_bias", f"of 100 for token {_BIASED} was ignored")


def _sample(server: Server, seed: int) -> str:
    return text_of(server.chat(temperature=1.5, seed=seed))


CHECKS = (
    Check("sampling", "temperature 0 repeats itself", "expected", (LM_EVAL, INSPECT), greedy),
    Check("sampling", "a seed repeats its answer", "expected", (SPECIFICATION, INSPECT), seeded),
    Check("sampling", "temperature and seed have an effect", "expected", (SPECIFICATION,), effect),
    Check("sampling", "logit_bias has an effect", "expected", (SPECIFICATION,), bias),
    Check("sampling", "top_p and penalties are taken", "expected", (SPECIFICATION, LANGCHAIN, LITELLM),
          partial(taken, {"top_p": 0.9, "temperature": 0.7, "presence_penalty": 0.5, "frequency_penalty": 0.5})),
    Check("sampling", "top_k, min_p, repetition_penalty are taken", "extension", (LITELLM,),
          partial(taken, {"top_k": 20, "min_p": 0.05, "repetition_penalty": 1.1, "temperature": 0.7})),
)

"""What lm-eval does with completions: token ids in, the log-probability of each of them out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from pynanochat.contract.clients import LM_EVAL, SPECIFICATION
from pynanochat.contract.completions import text_of
from pynanochat.contract.problem import Problem, quoted, shown
from pynanochat.contract.result import Check
from pynanochat.contract.server import Document, Server, pick
from pynanochat.contract.shape import counted

PROMPTS = ([72, 101, 108, 108, 111], [72, 101, 108])  # ids that every vocabulary has; the second begins the first
_CLOSE = 1e-3  # logprobs of the same tokens in two requests


def ids(server: Server) -> Iterator[Problem]:
    """A list of ids and a list of such lists give the same answer."""
    one, listed = text_of(server.complete(PROMPTS[0])), text_of(server.complete([PROMPTS[0]]))
    if one != listed:
        yield Problem("choices[0].text", f"is {quoted(one)} for a list of ids, {quoted(listed)} for a list of one")


def scored(server: Server) -> Iterator[Problem]:
    """The request of lm-eval's loglikelihood, and what it slices out of the answer."""
    document = server.complete(list(PROMPTS), max_tokens=1, logprobs=1, echo=True, seed=1234)
    choices = pick(document, "choices", kind=list)
    if len(choices) != len(PROMPTS):
        yield Problem("choices", f"has {counted(len(choices), 'item')} for {len(PROMPTS)} prompts")
        return
    for place, prompt in enumerate(PROMPTS):
        if pick(document, "choices", place, "index", kind=int) != place:
            yield Problem(f"choices[{place}].index", f"is not {place}, by which lm-eval sorts")
            return
        found = [*_sliced(document, place, prompt)]
        if found:
            yield from found
            return
    first, second = (choice["logprobs"]["token_logprobs"][1:3] for choice in choices)
    if any(abs(a - b) > _CLOSE for a, b in zip(first, second, strict=True)):
        yield Problem("choices[].logprobs.token_logprobs", f"of the same two tokens are {shown(first)} and "
                                                           f"{shown(second)} in prompts that go on differently")


def _sliced(document: Document, place: int, prompt: list[int]) -> Iterator[Problem]:
    field = f"choices[{place}].logprobs"
    values = pick(document, "choices", place, "logprobs", "token_logprobs", kind=list)
    tops = pick(document, "choices", place, "logprobs", "top_logprobs", kind=list)
    for name, found in (("token_logprobs", values), ("top_logprobs", tops)):
        if len(found) != len(prompt) + 1:
            yield Problem(f"{field}.{name}", f"has {counted(len(found), 'item')}; expected {len(prompt) + 1}, for the "
                                             "prompt and one token, as lm-eval takes all but the last")
            return
    if values[0] is not None:
        yield Problem(f"{field}.token_logprobs[0]", f"is {shown(values[0])}; expected null, as nothing comes before")
    for token, (value, top) in enumerate(zip(values, tops, strict=True)):
        if token == 0:
            continue
        if not _is_logprob(value):
            yield Problem(f"{field}.token_logprobs[{token}]", f"is {shown(value)}; expected a number of at most 0")
            return
        if not isinstance(top, dict) or not top or not all(map(_is_logprob, top.values())):
            yield Problem(f"{field}.top_logprobs[{token}]", f"is {shown(top)}; expected a token and its logprob")
            return
        if value > max(top.values()):
            yield Problem(f"{field}.top_logprobs[{token}]", f"is {shown(top)}; expected the likeliest token, but the "
                                                            f"prompt's own has {value}")
            return
    if values[-1] != max(tops[-1].values()):
        yield Problem(f"{field}.token_logprobs[{len(prompt)}]",
                      f"is {values[-1]}; expected exactly the largest of top_logprobs, {max(tops[-1].values())}, as "
                      "the token was chosen at temperature 0")


def _is_logprob(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value <= 0


CHECKS = (
    Check("completions", "token ids as a prompt", "expected", (SPECIFICATION, LM_EVAL), ids),
    Check("completions", "prompt logprobs as lm-eval slices them", "expected", (LM_EVAL,), scored),
)

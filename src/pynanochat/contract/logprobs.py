"""Log-probabilities of chat answers: one item per token, each with the tokens that were likelier or next."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pynanochat.contract.chat import text_of
from pynanochat.contract.clients import INSPECT, LANGCHAIN, OPENAI_PYTHON, SPECIFICATION
from pynanochat.contract.problem import AnswerError, NotOfferedError, Problem, quoted, shown
from pynanochat.contract.result import Check
from pynanochat.contract.server import Document, Server, pick
from pynanochat.contract.shape import LOGPROB, TEXT, counted, differences, nullable, record, sequence, within

TOP = 3
BYTES = nullable(sequence({"type": "integer", "minimum": 0, "maximum": 255}))
ALTERNATIVE = record(token=TEXT, logprob=LOGPROB, bytes=BYTES)
ITEM = record(token=TEXT, logprob=LOGPROB, bytes=BYTES, top_logprobs=sequence(ALTERNATIVE))
_PLACE = "choices[0].logprobs.content"
_CLOSE = 1e-3  # logprobs of one token, in a stream and not


def items(server: Server) -> Iterator[Problem]:
    """As many items as tokens, whose bytes are the text."""
    document = _answer(server)
    content = _content(document)
    found = [*differences(content, sequence(ITEM), _PLACE)]
    yield from found
    if found:
        return
    count = pick(document, "usage", "completion_tokens", kind=int)
    ended = pick(document, "choices", 0, "finish_reason", kind=str) == "stop"  # whose last token may be hidden
    if len(content) != count and not (ended and len(content) == count - 1):
        yield Problem(_PLACE, f"has {counted(len(content), 'item')}; expected one for each of "
                              f"{counted(count, 'token')}")
    if all(item["bytes"] is not None for item in content):
        together, text = bytes(byte for item in content for byte in item["bytes"]), text_of(document)
        if text not in (together.decode("utf-8", "replace"), together.decode("utf-8", "ignore")):
            yield Problem(f"{_PLACE}[].bytes", f"are {quoted(together.decode('utf-8', 'replace'))} together; "
                                               f"expected the answer, {quoted(text)}")


def alternatives(server: Server) -> Iterator[Problem]:
    """As many as asked for, the likeliest first, and the greedy token among them."""
    content = _content(_answer(server))
    for place, item in enumerate(content):
        field = within(within(_PLACE, place), "top_logprobs")
        top = pick(item, "top_logprobs", kind=list)
        if [*differences(top, sequence(record(logprob=LOGPROB, token=TEXT)))]:
            return  # which the check of the items tells
        values = [float(one["logprob"]) for one in top]
        if len(top) != TOP:
            yield Problem(field, f"has {counted(len(top), 'item')}; expected the {TOP} that were asked for")
        elif any(after > before for before, after in pairwise(values)):
            yield Problem(field, f"is not sorted: {', '.join(f'{value:.4g}' for value in values)}")
        elif sum(map(math.exp, values)) > 1.001:
            yield Problem(field, f"adds up to a probability of {sum(map(math.exp, values)):.4g}; expected at most 1")
        elif item.get("token") != top[0]["token"] and values[0] > values[1]:
            yield Problem(field, f"begins with {quoted(top[0]['token'])}; expected the token that was chosen at "
                                 f"temperature 0, {quoted(item.get('token'))}")
        else:
            continue
        return


def streamed(server: Server) -> Iterator[Problem]:
    """The items of all chunks are those of the answer that is not streamed."""
    whole = _content(_answer(server))
    together: list[Any] = []
    for _, choice in server.stream_chat(logprobs=True, top_logprobs=TOP).choices():
        logprobs = choice.get("logprobs")
        content = logprobs.get("content") if isinstance(logprobs, dict) else None
        together.extend(content if isinstance(content, list) else ())
    tokens, wanted = _tokens(together), _tokens(whole)
    if not tokens:
        yield Problem("choices[0].logprobs", "is in no chunk although logprobs is true")
    elif [token for token, _ in tokens] != [token for token, _ in wanted]:
        yield Problem(_PLACE, f"has the tokens {shown([token for token, _ in tokens])} in a stream; "
                              f"expected {shown([token for token, _ in wanted])}")
    else:
        worst = max((abs(a - b) for (_, a), (_, b) in zip(tokens, wanted, strict=True)), default=0.0)
        if worst > _CLOSE:
            yield Problem(f"{_PLACE}[].logprob", f"differs by {worst:.3g} in a stream; expected at most {_CLOSE:g}")


def _answer(server: Server) -> Document:
    return server.kept("logprobs", lambda: server.chat(logprobs=True, top_logprobs=TOP))


def _content(document: Document) -> list[Any]:
    choice = pick(document, "choices", 0, kind=dict)
    if choice.get("logprobs") is None:
        raise AnswerError("is not there although logprobs is true", "choices[0].logprobs")
    content = pick(document, "choices", 0, "logprobs", "content", kind=list)
    if not content:
        if not text_of(document):
            raise NotOfferedError("cannot be told: the answer is empty")
        raise AnswerError("is empty", _PLACE)
    return content


def _tokens(content: list[Any]) -> list[tuple[str, float]]:
    return [(str(item.get("token")), float(item["logprob"]) if isinstance(item.get("logprob"), (int, float)) else 0.0)
            for item in content if isinstance(item, dict)]


CHECKS = (
    Check("logprobs", "one item per token", "expected", (SPECIFICATION, OPENAI_PYTHON, LANGCHAIN, INSPECT), items),
    Check("logprobs", "top_logprobs, the likeliest first", "expected",
          (SPECIFICATION, OPENAI_PYTHON, LANGCHAIN, INSPECT), alternatives),
    Check("logprobs", "logprobs in a stream", "expected", (SPECIFICATION, OPENAI_PYTHON, LANGCHAIN), streamed),
)

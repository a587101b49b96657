"""What a server says to a request that is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from pynanochat.contract.clients import (
    LANGCHAIN,
    LITELLM,
    OPENAI_NPM,
    OPENAI_PYTHON,
    SPECIFICATION,
)
from pynanochat.contract.problem import AnswerError, NotOfferedError, Problem, quoted, shown
from pynanochat.contract.result import Check
from pynanochat.contract.server import CHAT, COMPLETIONS, SHORT, Document, Reply, Server, accepted, chat_request, told
from pynanochat.contract.shape import NAME, TEXT, Shape, differences, nullable, record

ERROR = record(error=record(
    message=NAME, type=TEXT, param=nullable(TEXT), code=nullable({"type": ["string", "integer"]})))
_BRIEF: Document = {"messages": [{"role": "user", "content": "Hello!"}], "max_tokens": SHORT}
_EXPECTED = '{"error": {"message": ...}}'
_LONGEST_CONTEXT = 200_000  # tokens that are sent to exceed it
WRONG: dict[str, Document] = {  # the field that is wrong, and what is sent instead of _BRIEF's
    "messages": {"messages": None},
    "messages as a text": {"messages": "Hello!"},
    "messages[0]": {"messages": ["Hello!"]},
    "messages[0].role": {"messages": [{"role": 7, "content": "Hello!"}]},
    "messages[0].content": {"messages": [{"role": "user", "content": 7}]},
    "temperature": {"temperature": "hot"},
    "top_p": {"top_p": [1]},
    "max_tokens": {"max_tokens": "many"},
    "max_tokens below 0": {"max_tokens": -5},
    "n": {"n": "two"},
    "seed": {"seed": "today"},
    "stop": {"stop": {"a": 1}},
    "stream": {"stream": "maybe"},
    "logit_bias": {"logit_bias": [1]},
    "logprobs": {"logprobs": {"a": 1}},
    "top_logprobs": {"logprobs": True, "top_logprobs": 1000},
    "response_format": {"response_format": {"type": "poem"}},
}


def shape(wanted: Shape, server: Server) -> Iterator[Problem]:
    """An error as OpenAI's clients take it apart."""
    reply = next((reply for reply in _replies(server).values() if reply.status >= 400), None)
    if reply is None:
        raise NotOfferedError("no wrong value is refused")
    return differences(reply.json(), wanted)


def unbroken(server: Server) -> Iterator[Problem]:
    """No wrong value is the server's own fault, and each refusal is JSON."""
    for field, reply in _replies(server).items():
        if reply.status >= 500:
            yield Problem(field, f"is wrong and answered with {reply.status}, {told(reply)}; expected 400")
        elif reply.status >= 400 and not _is_error(reply):
            yield Problem(field, f"is wrong and refused with {quoted(told(reply))}; expected {_EXPECTED}")


def refused(server: Server) -> Iterator[Problem]:
    """No wrong value is taken for something else."""
    for field, reply in _replies(server).items():
        if reply.status < 400:
            sent = {name: value for name, value in WRONG[field].items() if value is not None} or "missing"
            yield Problem(field, f"{shown(sent)} was answered with {reply.status}; expected 400")


def no_json(body: bytes, server: Server) -> Iterator[Problem]:
    """A body that cannot be read."""
    reply = server.request("POST", CHAT, body, {"Content-Type": "application/json"})
    return _wanted(reply, (400, 422), f"the body {quoted(body.decode('utf-8', 'replace'))}")


def unknown_model(server: Server) -> Iterator[Problem]:
    """A model that is not there."""
    reply = server.post(CHAT, {"model": "no-such-model-anywhere", **chat_request("Hello!", {})})
    return _wanted(reply, (404, 400), "an unknown model")


def unknown_path(server: Server) -> Iterator[Problem]:
    """A path that leads nowhere, and a method that does not belong to one."""
    yield from _wanted(server.get("/v1/no/such/path"), (404,), "an unknown path")
    yield from _wanted(server.get(CHAT), (405, 404), f"GET {CHAT}")


def too_long(server: Server) -> Iterator[Problem]:
    """A prompt of one token more than the context holds, where the server says how many that are."""
    models = accepted("/v1/models", server.get("/v1/models")).get("data")
    found = [model.get("max_model_len") for model in models if isinstance(model, dict)
             and model.get("id") == server.model] if isinstance(models, list) else []
    if not found or not isinstance(found[0], int) or not 0 < found[0] <= _LONGEST_CONTEXT:
        raise NotOfferedError("/v1/models tells no max_model_len")
    reply = server.post(COMPLETIONS, {"model": server.model, "prompt": [72] * (found[0] + 1), "max_tokens": 1})
    return _wanted(reply, (400, 413, 422), f"a prompt of {found[0] + 1} tokens in a context of {found[0]}")


def _wanted(reply: Reply, statuses: tuple[int, ...], what: str) -> Iterator[Problem]:
    if reply.status not in statuses:
        yield Problem("status", f"is {reply.status} for {what}; expected {' or '.join(map(str, statuses))}")
    elif not _is_error(reply):
        yield Problem("error", f"for {what} is {quoted(told(reply))}; expected {_EXPECTED}")


def _is_error(reply: Reply) -> bool:
    try:
        document: Any = reply.json()
    except AnswerError:
        return False
    return isinstance(document, dict) and "error" in document


def _replies(server: Server) -> dict[str, Reply]:
    def make() -> dict[str, Reply]:
        replies = {}
        for field, wrong in WRONG.items():
            body = {name: value for name, value in {"model": server.model, **_BRIEF, **wrong}.items()
                    if value is not None}
            replies[field] = server.post(CHAT, body)
        return replies

    return server.kept("refusals", make)


CHECKS = (
    Check("errors", "an error has a message", "required", (OPENAI_PYTHON, OPENAI_NPM, LITELLM, LANGCHAIN),
          partial(shape, record(error=record(message=NAME)))),
    Check("errors", "an error has type, param and code", "expected", (SPECIFICATION, OPENAI_PYTHON, OPENAI_NPM),
          partial(shape, ERROR)),
    Check("errors", "wrong values do not break the server", "required", (SPECIFICATION,), unbroken),
    Check("errors", "wrong values are refused", "expected", (SPECIFICATION,), refused),
    Check("errors", "a body that is no JSON is refused", "required", (SPECIFICATION,),
          partial(no_json, b'{"model": "x", "messages": [')),
    Check("errors", "an empty body is refused", "expected", (SPECIFICATION,), partial(no_json, b"")),
    Check("errors", "an unknown model is refused", "expected", (SPECIFICATION,), unknown_model),
    Check("errors", "a prompt beyond the context is refused", "extension", (), too_long),
    Check("errors", "an unknown path is an error, too", "expected", (SPECIFICATION,), unknown_path),
)

"""HTTP itself: headers, keys, connections and methods."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pynanochat.contract.chat import ANSWERED
from pynanochat.contract.clients import AI_SDK, EVERY_CHAT, GUIDELLM, LM_EVAL, OPENAI_PYTHON, SPECIFICATION
from pynanochat.contract.problem import NotOfferedError, Problem, quoted, shown
from pynanochat.contract.refusals import ERROR
from pynanochat.contract.result import Check
from pynanochat.contract.server import CHAT, Reply, Server, accepted, chat_request, parsed, told
from pynanochat.contract.shape import differences


def content_type(server: Server) -> Iterator[Problem]:
    """JSON is called JSON."""
    reply = server.get("/v1/models")
    name = reply.headers.get("content-type", "")
    if name.split(";")[0].strip().lower() != "application/json":
        yield Problem("content-type", f"is {quoted(name)}; expected application/json")
    if reply.headers.get("content-encoding", "identity") != "identity":
        yield Problem("content-encoding", f"is {shown(reply.headers['content-encoding'])}, which nobody asked for")


def authorization(server: Server) -> Iterator[Problem]:
    """Without a key every Authorization is taken, also an empty one; with a key no other one is."""
    if server.api_key is None:
        for header in ("Bearer ", "Bearer", "Bearer anything", None):
            reply = _hello(server, {"Authorization": header})
            if reply.status != 200:
                yield Problem("Authorization", f"{quoted(header)} is answered with {reply.status}: {told(reply)}")
        return
    for header in (None, "Bearer ", f"Bearer {server.api_key}x"):
        reply = _hello(server, {"Authorization": header})
        if reply.status != 401:
            told_key = "with a wrong key" if header and header.strip() != "Bearer" else repr(header)
            yield Problem("Authorization", f"{told_key} is answered with {reply.status}; expected 401")
        else:
            yield from differences(reply.json(), ERROR)


def lower_case(server: Server) -> Iterator[Problem]:
    """The names of headers in small letters, as some HTTP libraries send them."""
    headers: dict[str, str | None] = {"Content-Type": None, "content-type": "application/json", "Accept": None,
                                      "accept": "*/*"}
    if server.api_key is not None:
        headers |= {"Authorization": None, "authorization": f"Bearer {server.api_key}"}
    return differences(accepted(CHAT, _hello(server, headers)), ANSWERED)


def charset(server: Server) -> Iterator[Problem]:
    """A Content-Type that names its charset is JSON all the same."""
    return differences(accepted(CHAT, _hello(server, {"Content-Type": "application/json; charset=utf-8"})), ANSWERED)


def continued(server: Server) -> Iterator[Problem]:
    """Expect: 100-continue, which curl sends before a long body."""
    return differences(accepted(CHAT, _hello(server, {"Expect": "100-continue"})), ANSWERED)


def chunked(server: Server) -> Iterator[Problem]:
    """A body in chunks, whose length no header tells."""
    body = json.dumps({"model": server.model, **chat_request("Hello!", {"max_tokens": 1})}).encode()
    framed = b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (9, body[:9], len(body) - 9, body[9:])
    with server.connection() as (connection, headers):
        headers |= {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
        response = connection.request("POST", CHAT, headers, framed)
        return differences(accepted(CHAT, Reply(response.status, response.headers, response.read())), ANSWERED)


def kept_open(server: Server) -> Iterator[Problem]:
    """Two requests, one after the other, on one connection, unless the server said that it would close it."""
    body = json.dumps({"model": server.model, **chat_request("Hello!", {"max_tokens": 1})}).encode()
    with server.connection() as (connection, headers):
        headers["Content-Type"] = "application/json"
        first = connection.request("POST", CHAT, headers, body)
        first.read()
        if first.status != 200:
            raise NotOfferedError(f"{CHAT} answered {first.status}")
        if first.headers.get("connection", "").lower() == "close":
            raise NotOfferedError("the server says Connection: close")
        second = connection.request("POST", CHAT, headers, body)
        document: Any = parsed(second.read())
        yield from differences(document, ANSWERED)


def methods(server: Server) -> Iterator[Problem]:
    """HEAD gives no body, OPTIONS an answer, and neither breaks the server."""
    for method, path in (("HEAD", "/v1/models"), ("OPTIONS", CHAT)):
        reply = server.request(method, path)
        if reply.status >= 500 and reply.status != 501:
            yield Problem(method, f"{path} is answered with {reply.status}; expected 200, 204 or 405")


def health(server: Server) -> Iterator[Problem]:
    """GET /health."""
    reply = server.get("/health")
    if reply.status in (404, 405):
        raise NotOfferedError(f"/health answered {reply.status}")
    if reply.status != 200:
        yield Problem("/health", f"answered {reply.status}; expected 200")


def _hello(server: Server, headers: Mapping[str, str | None]) -> Reply:
    """A short question with headers of its own."""
    return server.post(CHAT, {"model": server.model, **chat_request("Hello!", {"max_tokens": 1})}, headers)


CHECKS = (
    Check("HTTP", "content-type application/json", "required", (OPENAI_PYTHON, AI_SDK), content_type),
    Check("HTTP", "Authorization", "required", (LM_EVAL, AI_SDK), authorization),
    Check("HTTP", "header names in small letters", "required", (OPENAI_PYTHON,), lower_case),
    Check("HTTP", "a charset in Content-Type", "required", EVERY_CHAT, charset),
    Check("HTTP", "Expect: 100-continue", "expected", (SPECIFICATION,), continued),
    Check("HTTP", "a request in chunks", "expected", (SPECIFICATION,), chunked),
    Check("HTTP", "two requests on one connection", "expected", EVERY_CHAT, kept_open),
    Check("HTTP", "HEAD and OPTIONS are answered", "expected", (SPECIFICATION,), methods),
    Check("HTTP", "/health", "extension", (GUIDELLM,), health),
)

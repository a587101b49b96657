"""Server: the one under examination, as the checks ask it."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar, cast

from pynanochat.contract.address import Address
from pynanochat.contract.connection import Connection, Response
from pynanochat.contract.events import Event, EventDecoder
from pynanochat.contract.problem import AnswerError, NotOfferedError, SilenceError, UnreachableError, shown

CHAT, COMPLETIONS, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
QUESTION = "Tell me a story about a dog and a red ball."
BEGINNING = "Once upon a time, there was"
SHORT = 12  # tokens of most answers
_MOST_SILENCES = 2  # answers of one kind that did not end in time, before no more are asked for
_MOST_EVENTS = 10_000  # of one stream
_MOST_REST = 20.0  # seconds, altogether, until a server has room that says it is too busy

_KINDS: dict[type, str] = {dict: "an object", list: "a list", str: "a string", int: "a whole number"}

Document = dict[str, Any]
T = TypeVar("T")


class Reply(NamedTuple):
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON; `AnswerError` where it is none."""
        return parsed(self.body)


class Server:
    """Asks the server; may be used by several threads. `timeout` is in seconds, for one request."""

    def __init__(self, address: Address, *, api_key: str | None = None, model: str = "default",
                 timeout: float = 60.0) -> None:
        self.address = address
        self.api_key = api_key
        self.model = model
        self.timeout = timeout
        self._kept: dict[str, Any] = {}
        self._silences: Counter[str] = Counter()
        self._rested = 0.0
        self._lock = threading.Lock()

    def request(self, method: str, path: str, body: bytes | None = None,
                headers: Mapping[str, str | None] | None = None) -> Reply:
        """Whatever comes back; a header of None is left out.

        Raises:
            AnswerError: nothing that is HTTP.
        """
        while True:
            with self._opened(method, path, body, headers, f"{method} {path}") as response:
                reply = Reply(response.status, response.headers, response.read())
            rest = _seconds(reply.headers.get("retry-after"))
            with self._lock:
                if method != "POST" or reply.status not in (429, 503) or self._rested + rest > _MOST_REST:
                    return reply
                self._rested += rest
            time.sleep(rest)

    def get(self, path: str) -> Reply:
        """The answer to GET."""
        return self.request("GET", path)

    def post(self, path: str, document: object, headers: Mapping[str, str | None] | None = None) -> Reply:
        """The answer to a POST of a JSON document."""
        return self.request("POST", path, _encoded(document), headers)

    def ask(self, path: str, document: Mapping[str, object]) -> Document:
        """The JSON object that a POST is answered with.

        Raises:
            NotOfferedError: the server refused it.
            AnswerError: anything else.
        """
        return accepted(path, self.post(path, {"model": self.model, **document}))

    def chat(self, messages: str | Sequence[Mapping[str, object]] = QUESTION, **fields: object) -> Document:
        """A chat answer: of 12 tokens and the most likely ones, unless `fields` say otherwise; None leaves one out."""
        return self.ask(CHAT, chat_request(messages, fields))

    def complete(self, prompt: object = BEGINNING, **fields: object) -> Document:
        """A completion, in the same way."""
        return self.ask(COMPLETIONS, completion_request(prompt, fields))

    def stream_chat(self, messages: str | Sequence[Mapping[str, object]] = QUESTION, **fields: object) -> Transcript:
        """All that a streamed chat answer sent."""
        return self.stream(CHAT, chat_request(messages, fields))

    def stream_completion(self, prompt: object = BEGINNING, **fields: object) -> Transcript:
        """All that a streamed completion sent."""
        return self.stream(COMPLETIONS, completion_request(prompt, fields))

    def stream(self, path: str, document: Mapping[str, object]) -> Transcript:
        """All events of a streamed answer."""
        with self.events(path, document) as (headers, events):
            return Transcript(headers, list(events))

    @contextmanager
    def events(self, path: str, document: Mapping[str, object]) -> Iterator[tuple[Mapping[str, str], Iterator[Event]]]:
        """The headers of a streamed answer, and its events as they come; leaving the block leaves the server."""
        body = _encoded({"model": self.model, **document, "stream": True})
        with self._opened("POST", path, body, {"Accept": "text/event-stream"}, f"stream {path}") as response:
            if response.status != 200:
                accepted(path, Reply(response.status, response.headers, response.read()))
                raise AnswerError(f"{path} answered a stream with {response.status}; expected 200")
            yield response.headers, _decoded(response)

    @contextmanager
    def connection(self) -> Iterator[tuple[Connection, dict[str, str]]]:
        """A connection for several requests, and the headers that each of them needs."""
        with Connection(self.address, self.timeout) as connection:
            yield connection, self._headers(None, None)

    def kept(self, name: str, make: Callable[[], T]) -> T:
        """What `make` gave the first time, for answers that several checks look at."""
        if name not in self._kept:
            self._kept[name] = make()
        return cast(T, self._kept[name])

    @contextmanager
    def _opened(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str | None] | None,
                kind: str) -> Iterator[Response]:
        with self._lock:
            if self._silences[kind] >= _MOST_SILENCES or self._silences[""] >= _MOST_SILENCES:
                raise AnswerError("was not asked for: answers of this kind did not end in time before")
        try:
            with Connection(self.address, self.timeout) as connection:
                yield connection.request(method, path, self._headers(body, headers), body)
        except (SilenceError, UnreachableError) as error:
            with self._lock:
                self._silences[kind if isinstance(error, SilenceError) else ""] += 1
            raise

    def _headers(self, body: bytes | None, more: Mapping[str, str | None] | None) -> dict[str, str]:
        headers: dict[str, str | None] = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self.api_key is not None:
            headers["Authorization"] = f"Bearer {self.api_key}"
        return {name: value for name, value in (headers | dict(more or {})).items() if value is not None}


class Transcript:
    """A streamed answer that has ended: its events, and the JSON objects in them."""

    def __init__(self, headers: Mapping[str, str], events: list[Event]) -> None:
        self.headers = headers
        self.events = events
        self.chunks: list[Document] = []
        for place, event in enumerate(events):
            if event.data != "[DONE]":
                chunk = parsed(event.data, f"event {place}")
                if not isinstance(chunk, dict):
                    raise AnswerError(f"is {shown(event.data)}; expected a JSON object", f"event {place}")
                if isinstance(chunk.get("error"), (dict, str)) and "choices" not in chunk and "type" not in chunk:
                    raise AnswerError(f"ended in an error: {shown(json.dumps(chunk['error']))}", f"event {place}")
                self.chunks.append(chunk)
        if not self.chunks:
            raise AnswerError("holds no event with data")

    def choices(self) -> Iterator[tuple[int, Document]]:
        """Each choice of each chunk that can be read as one, with the number of its chunk."""
        for place, chunk in enumerate(self.chunks):
            choices = chunk.get("choices")
            for choice in choices if isinstance(choices, list) else ():
                if isinstance(choice, dict):
                    yield place, choice

    def text(self, index: int = 0) -> str:
        """The text of one answer, put together."""
        parts = []
        for _, choice in self.choices():
            delta = choice.get("delta")
            part = delta.get("content") if isinstance(delta, dict) else choice.get("text")
            if choice.get("index", 0) == index and isinstance(part, str):
                parts.append(part)
        return "".join(parts)

    def usage(self) -> Document | None:
        """What the last chunk that tells it says."""
        found = [chunk["usage"] for chunk in self.chunks if isinstance(chunk.get("usage"), dict)]
        return found[-1] if found else None


def chat_request(messages: str | Sequence[Mapping[str, object]], fields: Mapping[str, object]) -> Document:
    """The body of a chat request without its model."""
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    return _settled({"messages": messages, "max_tokens": SHORT, "temperature": 0, **fields})


def completion_request(prompt: object, fields: Mapping[str, object]) -> Document:
    """The body of a completion request without its model."""
    return _settled({"prompt": prompt, "max_tokens": SHORT, "temperature": 0, **fields})


def accepted(path: str, reply: Reply) -> Document:
    """The JSON object of an answer with status 200."""
    if 400 <= reply.status < 500 or reply.status == 501:
        raise NotOfferedError(f"{path} answered {reply.status}: {told(reply)}")
    if reply.status != 200:
        raise AnswerError(f"{path} answered {reply.status}: {told(reply)}")
    document = reply.json()
    if not isinstance(document, dict):
        raise AnswerError(f"is {shown(document)}; expected a JSON object")
    return document


def told(reply: Reply) -> str:
    """What an error answer says."""
    try:
        error = reply.json()["error"]
        return shown(error["message"] if isinstance(error, dict) else error)
    except (AnswerError, KeyError, TypeError, IndexError):
        return shown(reply.body.decode("utf-8", "replace").strip()) or "nothing"


def parsed(data: bytes | str, field: str = "") -> Any:
    """A JSON value; `AnswerError` where it is none."""
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    try:
        return json.loads(text, parse_constant=_refused)
    except (ValueError, RecursionError):
        what = "is HTML" if text.lstrip()[:1] == "<" else "is empty" if not text.strip() else "is no JSON"
        raise AnswerError(f"{what}; expected JSON" + (f": {shown(text)}" if text.strip() else ""), field) from None


def pick(document: Any, *path: str | int, kind: type[T]) -> T:
    """The value at a place of a document; `AnswerError` where there is none of this kind."""
    field = ""
    for name in path:
        field = f"{field}[{name}]" if isinstance(name, int) else f"{field}.{name}".lstrip(".")
        try:
            document = document[name]
        except (KeyError, IndexError, TypeError):
            raise AnswerError("is missing", field) from None
    if not isinstance(document, kind) or (kind is int and isinstance(document, bool)):
        raise AnswerError(f"is {'null' if document is None else shown(document)}; expected {_KINDS[kind]}", field)
    return document


def _decoded(response: Response) -> Iterator[Event]:
    decoder = EventDecoder()
    count = 0
    for piece in response.pieces():
        for event in decoder.push(piece):
            count += 1
            if count > _MOST_EVENTS:
                raise AnswerError(f"goes on after {_MOST_EVENTS} events")
            yield event
    if decoder.unfinished:
        raise AnswerError("ended in the middle of an event; expected an empty line after each")


def _settled(document: Mapping[str, object]) -> Document:
    return {name: value for name, value in document.items() if value is not None}


def _encoded(document: object) -> bytes:
    return json.dumps(document).encode()


def _seconds(header: str | None) -> float:
    return min(max(int(header), 1), 5) if header is not None and header.isdecimal() else 0.5


def _refused(constant: str) -> Any:
    raise ValueError(constant)

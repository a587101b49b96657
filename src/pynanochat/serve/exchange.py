"""Exchange: one HTTP request and its answer, as a handler sees them; over any ASGI server."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from pynanochat.serve.errors import ApiError, Disconnected
from pynanochat.serve.json_bounds import check_json
from pynanochat.serve.limits import Limits

if TYPE_CHECKING:
    from pynanochat.serve.metrics import RequestRecord

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = Mapping[str, str]

JSON = "application/json"
MOST_HEADER = 2000  # characters of a header's value in an answer
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SINGLE = (b"host", b"origin", b"authorization", b"content-type", b"content-length")


class Exchange:
    """One request and its answer. `state` says more than the protocol does: "crowded" where it is one too many."""

    def __init__(self, scope: Mapping[str, Any], receive: Receive, send: Send, limits: Limits) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: str = scope.get("query_string", b"").decode("latin-1")
        self.version: str = scope.get("http_version", "1.1")
        self.state: Mapping[str, Any] = scope.get("state") or {}
        self.tenant = ""
        self.params: dict[str, str] = {}
        self.route = ""  # its pattern, for metrics and logs; never what the client wrote
        self.status = 0  # of the answer; 0 while there is none
        self.record: RequestRecord | None = None
        self.response_headers: dict[str, str] = {}  # of every answer; a handler's own come on top
        self.duplicate = ""  # a header that may come once, and came more often
        self.headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
            if key in self.headers:
                self.duplicate = self.duplicate or (key if name.lower() in _SINGLE else "")
                text = f"{self.headers[key]}, {text}"
            self.headers[key] = text
        wanted = self.headers.get("x-request-id", "")
        self.request_id = wanted if _ID.fullmatch(wanted) else f"req_{os.urandom(12).hex()}"
        self._limits = limits
        self._receive = receive
        self._send = send
        self._body: bytes | None = None
        self._unread = ("transfer-encoding" in self.headers
                        or self.headers.get("content-length", "0").strip() not in ("", "0"))
        self._left = False
        self._done = False
        self._callbacks: list[Callable[[], None]] = []
        self._watcher: asyncio.Task[None] | None = None
        self._task = asyncio.current_task()
        self._aborted: ApiError | None = None

    @property
    def started(self) -> bool:
        """Whether the answer has begun, so that no other can be given."""
        return self.status != 0

    async def body(self) -> bytes:
        """The whole body. Raises `ApiError` 413 as soon as it is too long, 408 when it takes too long."""
        if self._body is not None:
            return self._body
        if "content-encoding" in self.headers:
            raise ApiError(415, "the body is compressed; send it as it is, without Content-Encoding")
        length = self.headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self._limits.body_bytes:
            raise self._too_long()
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                self._body = await self._read()
        except TimeoutError:
            raise ApiError(408, f"the body did not come within {self._limits.body_seconds:g} s; send it at once",
                           code="request_timeout") from None
        return self._body

    async def json(self) -> bytes:
        """The body of a JSON request, its depth and its number of values bounded, its syntax unseen.

        Raises `ApiError` 415 where the content type is another, 400 beyond the bounds, and what `body` raises.
        """
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != JSON:
            raise ApiError(415, "the content type must be application/json", code="unsupported_media_type")
        text = await self.body()
        check_json(text, self._limits)
        return text

    async def send(self, body: bytes, content_type: str, status: int = 200, headers: Headers | None = None) -> None:
        """Answer with these bytes. Raises `Disconnected` where there is nobody to answer."""
        await self._begin(status, {"content-type": content_type, "content-length": str(len(body)), **(headers or {})})
        if self._unread:  # the client may still be sending: let it read the answer before the connection goes
            await self._write(body, more=True)
            await self._linger()
            body = b""
        await self._write(body, more=False)

    async def send_json(self, document: object, status: int = 200, headers: Headers | None = None) -> None:
        """Answer with a JSON document: bytes as they are, anything else as msgspec encodes it."""
        body = document if isinstance(document, bytes) else msgspec.json.encode(document)
        await self.send(body, JSON, status, headers)

    async def send_error(self, error: ApiError) -> None:
        """Answer with an error."""
        await self.send(error.document(), JSON, error.status, error.headers)

    async def send_empty(self, status: int, headers: Headers | None = None) -> None:
        """Answer without a body: 204 or 304."""
        await self._begin(status, headers or {})
        if self._unread:
            await self._linger()
        await self._write(b"", more=False)

    @asynccontextmanager
    async def events(
        self, headers: Headers | None = None, *, error_event: Callable[[ApiError], bytes] | None = None
    ) -> AsyncIterator[EventStream]:
        """An answer of server-sent events, which ends with the block.

        `Disconnected` comes out of a send when the client has left or stalled. Any other exception becomes the last
        event, all of which `error_event` makes (if left out: data with OpenAI's error document), and goes on up.
        """
        await self._begin(200, {"content-type": "text/event-stream", "cache-control": "no-store",
                                "x-accel-buffering": "no", **(headers or {})})
        self._start_watching()
        try:
            yield EventStream(self)
        except Disconnected:
            raise
        except BaseException as error:
            shown = self._aborted if isinstance(error, asyncio.CancelledError) else ApiError.of(error)
            if shown is None:  # cancelled from outside: the connection is cut, which no client takes for an end
                raise
            await self._write((error_event or _error_event)(shown), more=False)
            raise
        await self._write(b"", more=False)

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        """Have `callback` called on the event loop as soon as the client leaves before its answer is complete."""
        if self._left:
            callback()
            return
        self._callbacks.append(callback)
        if not self._unread:  # else the body comes first, the same way
            self._start_watching()

    def abort(self, error: ApiError) -> None:
        """End the request from outside: what runs is cancelled, the client is told `error`."""
        if self._aborted is None and not self._done and self._task is not None:
            self._aborted = error
            self._task.cancel()

    @property
    def aborted(self) -> ApiError | None:
        """What `abort` was called with."""
        return self._aborted

    def close(self) -> None:
        """The end of the exchange, answered or not."""
        self._done = True
        self._callbacks.clear()
        if self._watcher is not None:
            self._watcher.cancel()

    async def _read(self) -> bytes:
        parts: list[bytes] = []
        total = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._leave()
                raise Disconnected
            part = message.get("body", b"")
            total += len(part)
            if total > self._limits.body_bytes:
                raise self._too_long()
            parts.append(part)
            if not message.get("more_body", False):
                self._unread = False
                if self._callbacks:
                    self._start_watching()
                return b"".join(parts)

    def _too_long(self) -> ApiError:
        return ApiError(413, f"the body is longer than {self._limits.body_bytes} bytes; send less, or several requests",
                        code="request_too_large")

    def _start_watching(self) -> None:
        """Wait for the client to leave; a body that nobody has read is dropped."""
        if self._watcher is None:
            self._watcher = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._done:
            self._leave()

    def _leave(self) -> None:
        self._left = True
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    async def _linger(self) -> None:
        """Read on for a moment without looking, so that the connection's end does not overtake the answer."""
        left = 4 * self._limits.body_bytes
        try:
            async with asyncio.timeout(self._limits.linger_seconds):
                while left > 0:
                    message = await self._receive()
                    if message["type"] == "http.disconnect" or not message.get("more_body", False):
                        return
                    left -= len(message.get("body", b""))
        except TimeoutError:
            return

    async def _begin(self, status: int, headers: Headers) -> None:
        if self._left:
            raise Disconnected
        if self.started:
            raise RuntimeError("an exchange has one answer, which has begun already")
        self.status = status
        lines = {**self.response_headers, **headers, "x-request-id": self.request_id}
        if self._unread:
            lines["connection"] = "close"
        await self._send({"type": "http.response.start", "status": status, "headers": [
            (name.encode("latin-1"), _header_value(value)) for name, value in lines.items()]})

    async def _write(self, data: bytes, *, more: bool) -> None:
        if self._left:
            raise Disconnected
        if not more:
            self._done = True
        await self._send({"type": "http.response.body", "body": data, "more_body": more})


class EventStream:
    """Writes server-sent events; what is written together goes out together."""

    def __init__(self, exchange: Exchange) -> None:
        self._write = exchange._write

    async def __call__(self, data: bytes) -> None:
        """Send one event with this data, which holds no line end."""
        await self._write(b"data: %b\n\n" % data, more=True)

    async def write(self, events: bytes) -> None:
        """Send ready-made events, as many as there are."""
        if events:
            await self._write(events, more=True)


def _error_event(error: ApiError) -> bytes:
    return b"data: %b\n\n" % error.document()


def _header_value(text: str) -> bytes:
    """What a header can hold of a text: printable ASCII, at most so much."""
    if len(text) > MOST_HEADER:
        text = f"{text[:MOST_HEADER]}..."
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text).encode("ascii")

"""EdgeProtocol: uvicorn's HTTP/1.1 protocol on httptools, with the limits that it lacks.

Bounded while they are read: the request line, the headers, the time that both may take, the bytes on the wire behind
them, the number of connections. A reader that stalls is dropped. What is malformed gets an error in JSON, too.
Pipelined requests are not served: the first is answered, then the connection closes.
"""

from __future__ import annotations

import asyncio
import socket
import time
from http import HTTPStatus
from typing import Any, Protocol

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from pynanochat.serve.errors import ApiError
from pynanochat.serve.limits import Limits

_MOST_CONNECTIONS = 3  # times the limit: beyond, a connection is told so without being read
_SEND_BUFFER = 128 << 10  # bytes: the system would hold megabytes, and a stalled reader would go unnoticed
_KEEP_ALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))  # seconds, seconds, times


class Edge(Protocol):
    """What the protocol tells the application besides its requests."""

    def refused(self, status: int) -> None:
        """Something was refused before it became a request."""

    def stalled(self) -> None:
        """A reader was dropped."""


class _RefusedError(Exception):
    """What is being read is refused; raised through the parser."""


class EdgeProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any], limits: Limits,
                 edge: Edge) -> None:
        super().__init__(config, server_state, app_state)
        self.access_log = False  # it would hold what clients write
        self.idle_since = 0.0  # since when nothing has come; 0 while a request is there
        self._limits = limits
        self._edge = edge
        self._crowded = False
        self._deaf = False  # whatever still comes is dropped
        self._dropped = 0
        self._in_headers = True
        self._wire = 0  # bytes of the headers, then of what follows them
        self._unparsed = 0  # bytes of a body that the parser leaves alone, since the client offers another protocol
        self._refusal: ApiError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or say that there are too many."""
        super().connection_made(transport)
        _settle(transport.get_extra_info("socket"))
        most = self._limits.connections
        if len(self.connections) > most:
            idle = [other for other in self.connections if isinstance(other, EdgeProtocol) and other.idle_since]
            if idle:
                oldest = min(idle, key=lambda other: other.idle_since)
                oldest.idle_since = 0.0  # it is gone a moment later only
                oldest.transport.close()
            self._crowded = not idle
        if len(self.connections) > _MOST_CONNECTIONS * most:
            self._refuse(ApiError(503, "too many connections; try again in a moment", code="overloaded",
                                  headers={"retry-after": "1"}))
        else:
            self.idle_since = time.monotonic()
            self._arm(self._limits.header_seconds, self._headers_too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection; its request learns of it at once."""
        self._disarm()
        if self._write_timer is not None:
            self._write_timer.cancel()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, at most so many bytes of headers."""
        if self._deaf:
            self._drop(data)
            return
        self._unset_keepalive_if_required()
        if self.idle_since:
            self.idle_since = 0.0
            self._begin()
        if self._in_headers:
            room = self._limits.header_bytes - self._wire
            self._wire += len(data)
            self._feed(data[:room])
            if self._in_headers and len(data) > room and not self._deaf:
                self._refuse(ApiError(431, f"the headers are longer than {self._limits.header_bytes} bytes",
                                      code="headers_too_large"))
            data = data[room:]
        else:
            self._wire += len(data)
            if self._wire > 4 * self._limits.body_bytes + self._limits.header_bytes:  # chunks of a byte, or trailers
                self._refuse(ApiError(413, "the body takes too many bytes to send", code="request_too_large"))
        if data and not self._deaf and not self._in_headers:
            self._feed(data)

    def on_message_begin(self) -> None:
        """Begin a request, unless the one before it is still being answered."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
            self._deaf = True
            raise _RefusedError
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a part of the request line."""
        super().on_url(url)
        if len(self.url) > self._limits.url_bytes:
            raise self._refused(414, f"the path is longer than {self._limits.url_bytes} bytes", "url_too_long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what follows the body is left alone."""
        if not self._in_headers:
            return
        if len(self.headers) >= self._limits.headers:
            raise self._refused(431, f"there are more than {self._limits.headers} headers", "headers_too_large")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the application on the request."""
        if self.parser.get_http_version() not in ("1.0", "1.1"):
            raise self._refused(505, "the server speaks HTTP/1.1", "http_version")
        if not self.url.startswith(b"/"):
            raise self._refused(400, "the request's path does not begin with /", "bad_request")
        self._disarm()
        self._in_headers = False
        self._wire = 0
        self.scope["state"]["crowded"] = self._crowded
        super().on_headers_complete()
        if self._crowded:
            self.cycle.keep_alive = False
        if self.parser.should_upgrade():
            named = dict(self.headers)
            if b"transfer-encoding" in named:
                raise self._refused(501, "a body in chunks and an offer of another protocol do not go together",
                                    "not_implemented")
            self._unparsed = int(named.get(b"content-length", b"0"))

    def on_message_complete(self) -> None:
        """Hand on that the body is whole, where the parser has read it."""
        if not self._unparsed:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the last bytes to leave."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._arm(self._limits.stall_seconds, self._abort)
        else:
            self.idle_since = time.monotonic()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that has been silent."""
        super().timeout_keep_alive_handler()
        self._arm(self._limits.stall_seconds, self._abort)

    def pause_writing(self) -> None:
        """Have the application wait for the reader, but not for ever."""
        super().pause_writing()
        self._wait_for_reader()

    def resume_writing(self) -> None:
        """Let the application go on."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()

    def _begin(self) -> None:
        self._in_headers = True
        self._wire = 0
        self._arm(self._limits.header_seconds, self._headers_too_slow)

    def _feed(self, data: bytes) -> None:
        if self._unparsed:
            self._take(data)
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as error:  # to what is not spoken: answered as if it had not been offered
            self.cycle.keep_alive = False
            self._take(data[error.args[0]:])
        except (httptools.HttpParserError, _RefusedError):
            if not self._deaf:
                self._refuse(self._refusal or ApiError(400, "this is no sound HTTP/1.1", code="bad_request"))

    def _take(self, data: bytes) -> None:
        """Hand on a part of a body that the parser leaves alone; the connection closes after it."""
        part = data[: self._unparsed]
        self._unparsed -= len(part)
        if part:
            self.on_body(part)
            self.on_message_complete()
        self._deaf = not self._unparsed

    def _refused(self, status: int, message: str, code: str) -> _RefusedError:
        self._refusal = ApiError(status, message, code=code)
        return _RefusedError(message)

    def _refuse(self, error: ApiError) -> None:
        """Answer without the application, let the client read it, and close."""
        self._deaf = True
        self._edge.refused(error.status)
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self._abort()
                return
        if self.transport.is_closing():
            return
        self.transport.write(_answer(error))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._arm(self._limits.linger_seconds, self._abort)

    def _drop(self, data: bytes) -> None:
        self._dropped += len(data)
        if self._dropped > 4 * self._limits.body_bytes:
            self._abort()

    def _headers_too_slow(self) -> None:
        if self._wire:
            self._refuse(ApiError(408, f"the headers did not come within {self._limits.header_seconds:g} s",
                                  code="request_timeout"))
        else:  # a browser that connected in advance
            self.transport.close()

    def _wait_for_reader(self) -> None:
        """Drop the reader that takes nothing for so long; a slow one is waited for."""
        unsent = self.transport.get_write_buffer_size()
        self._write_timer = self.loop.call_later(self._limits.stall_seconds, self._look_at_reader, unsent)

    def _look_at_reader(self, unsent: int) -> None:
        if self.transport.get_write_buffer_size() < unsent:
            self._wait_for_reader()
        else:
            self._edge.stalled()
            self._abort()

    def _abort(self) -> None:
        self.transport.abort()

    def _arm(self, seconds: float, action: Any) -> None:
        self._disarm()
        self._timer = self.loop.call_later(seconds, action)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _answer(error: ApiError) -> bytes:
    document = error.document()
    headers = {"content-type": "application/json", "content-length": str(len(document)), "connection": "close",
               "x-content-type-options": "nosniff", **error.headers}
    lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}",
             *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("ascii") + document


def _settle(connection: socket.socket | None) -> None:
    """Have the system notice a peer that has vanished without a word, and hold little that is not read."""
    if connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE:
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

"""A server for the tests of the HTTP edge: real sockets, a fake engine, handlers that do what a test needs."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from pynanochat.errors import ContextError, RequestError
from pynanochat.serve import lifecycle
from pynanochat.serve.app import App
from pynanochat.serve.bridge import QueueFullError, Statistics
from pynanochat.serve.errors import ApiError, Disconnected
from pynanochat.serve.exchange import Exchange
from pynanochat.serve.guard import Guard
from pynanochat.serve.limits import Limits, Settings
from pynanochat.serve.server import ServedModel, Server

IDLE = Statistics(running=0, waiting=0, pages_used=0, pages_total=64, steps=7, prompt_tokens_computed=30,
                  prompt_tokens_cached=16, generated_tokens=5, preemptions=1, pending=False, failed="")


class FakeEngine:
    """Says what a test wants its counters to be."""

    def __init__(self) -> None:
        self.statistics = IDLE
        self.started = self.stopped = False

    def start(self) -> None:
        self.started = True

    async def stop(self, drain_seconds: float) -> None:
        self.stopped = True

    def set(self, **counters: Any) -> None:
        self.statistics = replace(self.statistics, **counters)


class Handlers:
    """Handlers, and what they have seen."""

    def __init__(self) -> None:
        self.left: list[float] = []  # when a client of `wait` or `count` left
        self.waiting = threading.Semaphore(0)
        self.release = threading.Event()
        self.ended: list[str] = []
        self.tenants: list[str] = []

    @property
    def routes(self) -> dict[tuple[str, str], Any]:
        return {("POST", "/v1/echo"): self.echo, ("POST", "/v1/wait"): self.wait, ("POST", "/v1/count"): self.count,
                ("POST", "/v1/flood"): self.flood, ("POST", "/v1/fail"): self.fail, ("GET", "/v1/big"): self.big,
                ("GET", "/v1/models/{model}"): self.model}

    async def echo(self, exchange: Exchange, server: Server) -> None:
        body = await exchange.json()
        self.tenants.append(exchange.tenant)
        await exchange.send_json({"length": len(body)}, headers={"x-nanochat-ignored": "a\r\nx: ü" + "y" * 5000})

    async def wait(self, exchange: Exchange, server: Server) -> None:
        """Answer when `release` is set."""
        exchange.on_disconnect(lambda: self.left.append(time.monotonic()))
        await exchange.body()
        self.waiting.release()
        with server.metrics.request("fake", exchange):
            while not self.release.is_set() and not self.left:
                await asyncio.sleep(0.01)
            await exchange.send_json({"done": True})

    async def count(self, exchange: Exchange, server: Server) -> None:
        """Stream numbers until `release` is set."""
        with server.metrics.request("fake", exchange) as record:
            record.prompt_tokens(11, 4)
            try:
                async with exchange.events({"x-nanochat-dropped-turns": "2"}) as send:
                    exchange.on_disconnect(lambda: self.left.append(time.monotonic()))
                    self.waiting.release()
                    number = 0
                    while not self.release.is_set():
                        await send(b"%d" % number)
                        record.tokens(1)
                        number += 1
                        await asyncio.sleep(0.01)
                    await send.write(b"data: last\n\ndata: [DONE]\n\n")
                    record.finished("stop")
            except BaseException as error:
                self.ended.append(type(error).__name__)
                raise

    async def flood(self, exchange: Exchange, server: Server) -> None:
        """Stream as fast as the reader takes it."""
        try:
            async with exchange.events() as send:
                self.waiting.release()
                while True:
                    await send(b"x" * 10_000)
                    await asyncio.sleep(0)
        except Disconnected:
            self.ended.append("Disconnected")
            raise

    async def fail(self, exchange: Exchange, server: Server) -> None:
        kind = (await exchange.body()).decode()
        problems: dict[str, Exception] = {
            "context": ContextError("too many tokens"), "request": RequestError("wrong\nfield"),
            "queue": QueueFullError(9, 2.2), "bug": KeyError("the user's secret"),
            "api": ApiError(422, "x" * 9000, param="p" * 900, code="c" * 900)}
        if kind == "stream":
            async with exchange.events() as send:
                await send(b"one")
                raise RuntimeError("the user's secret")
        raise problems[kind]

    async def big(self, exchange: Exchange, server: Server) -> None:
        await exchange.send(b"b" * (8 << 20), "text/plain")

    async def model(self, exchange: Exchange, server: Server) -> None:
        await exchange.send_json({"id": server.model(exchange.params["model"]).name})


class Client:
    """Connections to a server on this machine."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._opened: list[socket.socket] = []

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        self._opened.append(connection)
        return connection

    def hang_up(self) -> None:
        for connection in self._opened:
            connection.close()

    def send(self, raw: bytes) -> socket.socket:
        connection = self.connect()
        connection.sendall(raw)
        return connection

    def ask(self, raw: bytes) -> Reply:
        """The first answer to these bytes."""
        with self.send(raw) as connection:
            return read_reply(connection)

    def get(self, path: str, *headers: str) -> Reply:
        return self.ask(request("GET", path, *headers))

    def post(self, path: str, body: bytes = b"{}", *headers: str) -> Reply:
        return self.ask(request("POST", path, "Content-Type: application/json", *headers, body=body))

    def metric(self, line: str) -> float:
        """The value of one line of /metrics."""
        found = [one for one in self.get("/metrics").body.decode().splitlines() if one.rpartition(" ")[0] == line]
        return float(found[0].rpartition(" ")[2]) if found else 0.0

class Edge(Client):
    """A running server."""

    def __init__(self, limits: Limits, settings: Settings, guard: Guard, page: Any, kind: Callable[[], Any]) -> None:
        self.engine = FakeEngine()
        self.handlers = Handlers()
        model: Any = ServedModel(name="fake", llm=SimpleNamespace(), engine=self.engine, created=1)  # type: ignore[arg-type]
        self.server = Server(models={"fake": model, "owner/other": replace(model, name="owner/other")}, limits=limits,
                             settings=settings)
        self.app = App(self.server, guard, self.handlers.routes, page)
        listener = lifecycle.bind("127.0.0.1", 0)
        super().__init__(listener.getsockname()[1])
        self.lifecycle = lifecycle.Lifecycle(self.app, listener)
        self._ready = threading.Event()
        self._loop = kind
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self._ready.wait(20)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=self._loop) as runner:
            runner.run(self.lifecycle.serve(self._ready.set))

    def stop(self) -> None:
        self.handlers.release.set()
        self.lifecycle.stop()
        self.thread.join(20)
        self.hang_up()
        assert not self.thread.is_alive()


class Reply:
    """One answer: status, lower-case headers, body with its chunks joined; `complete` where it did not break off."""

    def __init__(self, head: bytes, body: bytes, complete: bool) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        self.body = body
        self.complete = complete


def request(method: str, path: str, *headers: str, body: bytes = b"", host: str = "localhost") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def read_reply(connection: socket.socket) -> Reply:
    """The next answer on a connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        assert part, f"no answer, only {data!r}"
        data += part
    head, _, rest = data.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 100"):
        raise AssertionError("100 Continue")
    reply = Reply(head, b"", True)
    if reply.status in (204, 304):
        return reply
    if "content-length" in reply.headers:
        length = int(reply.headers["content-length"])
        while len(rest) < length and (part := connection.recv(65536)):
            rest += part
        reply.body, reply.complete = rest, len(rest) == length
        return reply
    while not rest.endswith(b"0\r\n\r\n") and (part := connection.recv(65536)):
        rest += part
    reply.complete = rest.endswith(b"0\r\n\r\n")
    while rest and (size := int(rest.partition(b"\r\n")[0], 16)):
        start = rest.index(b"\r\n") + 2
        reply.body += rest[start : start + size]
        rest = rest[start + size + 2 :]
    return reply


def ends(connection: socket.socket, seconds: float = 10.0) -> bytes:
    """What still comes until the server closes; an `AssertionError` if it does not."""
    connection.settimeout(seconds)
    data = b""
    try:
        while part := connection.recv(65536):
            data += part
    except ConnectionError:
        pass
    except TimeoutError:
        raise AssertionError("the server did not close the connection") from None
    return data


def until(true: Callable[[], Any], seconds: float = 10.0) -> None:
    """Wait for something to hold."""
    stop = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < stop, "it never came"
        time.sleep(0.01)


@contextmanager
def edge(page: Any = None, kind: Callable[[], Any] = asyncio.new_event_loop, settings: Settings | None = None,
         guard: Guard | None = None, **limits: Any) -> Iterator[Edge]:
    """A running server with these limits."""
    running = Edge(Limits(**limits), settings or Settings(), guard or Guard(bound="127.0.0.1"), page, kind)
    try:
        yield running
    finally:
        running.stop()

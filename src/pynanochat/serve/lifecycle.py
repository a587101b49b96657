"""Lifecycle: a server from its socket to its last byte."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from types import FrameType

from uvicorn.config import Config
from uvicorn.server import ServerState

from pynanochat.errors import RequestError
from pynanochat.serve.app import App
from pynanochat.serve.errors import ApiError
from pynanochat.serve.http import EdgeProtocol
from pynanochat.serve.server import Server

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_FAREWELL_SECONDS = 2.0  # for cancelled requests to tell their clients
_HURRIED_SECONDS = 0.2  # the same, after a second signal
_FORCED_SECONDS = 0.8  # from a second signal to the end, whatever hangs


def bind(host: str, port: int) -> socket.socket:
    """A socket on this address that does not listen yet; port 0 takes a free one. Raises `RequestError`."""
    if not 0 <= port <= 65535:
        raise RequestError(f"--port is {port}; expected 0 to 65535")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise RequestError(f"--host {host!a} is no address of this machine; 127.0.0.1 is") from None
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise RequestError(f"cannot listen on {host} port {port}: {(error.strerror or str(error)).lower()}; choose "
                           "another --port (0 takes a free one) or --host") from None
    return listener


def url(listener: socket.socket) -> str:
    """Where a browser on this machine finds the server."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Lifecycle:
    """Runs an app on a socket until it is told to stop: once to finish what runs, twice to leave at once."""

    def __init__(self, app: App, listener: socket.socket) -> None:
        self._app = app
        self._server: Server = app.server
        self._listener = listener
        self._protocols = ServerState()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    def run(self, ready: Callable[[], None]) -> int:
        """Serve until SIGTERM or SIGINT; the exit code: 0, or that of a second signal, which cuts everything short."""
        caught: list[int] = []

        def on_signal(number: int, frame: FrameType | None) -> None:
            caught.append(number)
            self.stop()
            if len(caught) == 2:  # whatever hangs: a step of the engine, a thread of a library
                timer = threading.Timer(_FORCED_SECONDS, os._exit, [128 + number])
                timer.daemon = True
                timer.start()

        before = {number: signal.signal(number, on_signal) for number in _SIGNALS}
        try:
            with asyncio.Runner(loop_factory=_uvloop()) as runner:
                runner.run(self.serve(ready))
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return 128 + caught[1] if len(caught) > 1 else 0

    def stop(self) -> None:
        """Finish what runs and leave; when called again, leave at once. From any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe((self._hurry if self._stop.is_set() else self._stop).set)

    async def serve(self, ready: Callable[[], None]) -> None:
        """Serve until `stop`; `ready` is called when requests are answered."""
        server = self._server
        self._loop = asyncio.get_running_loop()
        config = Config(self._app, http=EdgeProtocol, ws="none", lifespan="off", log_config=None, access_log=False,
                        proxy_headers=False, server_header=False, timeout_keep_alive=server.limits.keep_alive_seconds)
        config.load()
        for model in server.models.values():
            model.engine.start()
            server.metrics.serve(model.name, model.engine)
        listening = await self._loop.create_server(
            lambda: EdgeProtocol(config, self._protocols, {}, server.limits, self._app), sock=self._listener,
            backlog=1024)
        ticking = asyncio.ensure_future(self._tick())
        try:
            server.state = "ready"
            ready()
            await self._stop.wait()
            server.state = "shutting_down"
            await self._drain()
        finally:
            listening.close()
            ticking.cancel()
            for model in server.models.values():
                with suppress(TimeoutError):
                    await asyncio.wait_for(model.engine.stop(0.0), _FAREWELL_SECONDS)
            await self._close_connections()

    async def _drain(self) -> None:
        """Let requests end by themselves for as long as settled, then tell those that have not."""
        server = self._server
        await self._until(lambda: not server.exchanges or self._hurry.is_set(), server.settings.shutdown_seconds)
        for exchange in list(server.exchanges):
            exchange.abort(ApiError(503, "the server is shutting down", code="shutting_down",
                                    headers={"retry-after": "5"}))
        await self._until(lambda: not server.exchanges, self._patience())

    async def _close_connections(self) -> None:
        """Close every connection once its last byte has left."""
        connections = self._protocols.connections
        for connection in list(connections):
            connection.shutdown()
        await self._until(lambda: not connections, self._patience())
        for connection in list(connections):
            connection.transport.abort()
        await asyncio.sleep(0)

    def _patience(self) -> float:
        return _HURRIED_SECONDS if self._hurry.is_set() else _FAREWELL_SECONDS

    async def _until(self, done: Callable[[], bool], seconds: float) -> None:
        until = time.monotonic() + seconds
        while not done() and time.monotonic() < until:
            await asyncio.sleep(0.01)

    async def _tick(self) -> None:
        while True:
            self._protocols.default_headers = [(b"date", formatdate(usegmt=True).encode())]
            self._app.health.look()
            await asyncio.sleep(min(1.0, self._server.limits.stuck_seconds / 4))


def _uvloop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's event loop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory

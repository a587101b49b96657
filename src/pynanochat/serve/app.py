"""App: the ASGI application. Finds out who asks for what, and hands the exchange to the handler of its route."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from typing import Any, TypeAlias

from pynanochat.serve.errors import ApiError, Disconnected
from pynanochat.serve.exchange import JSON, Exchange, Receive, Send
from pynanochat.serve.guard import Guard
from pynanochat.serve.health import Health
from pynanochat.serve.metrics import CONTENT_TYPE
from pynanochat.serve.page import POLICY, Page
from pynanochat.serve.server import Server

Handler: TypeAlias = Callable[[Exchange, Server], Awaitable[None]]
Routes: TypeAlias = Mapping[tuple[str, str], Handler]

_LOG = logging.getLogger("pynanochat.serve")
_HEADERS = {  # of every answer
    "x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin", "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
_OPEN = ("/health", "page")  # routes that need no API key


class App:
    """The application over a server, its guard and its page.

    `routes` are the handlers by method and path; a path may end in a {name} that takes the rest, slashes included.
    """

    def __init__(self, server: Server, guard: Guard, routes: Routes, page: Page | None = None) -> None:
        self.server = server
        self.health = Health(server)
        self._guard = guard
        self._page = page or Page()
        document = files("pynanochat.serve") / "openapi.json"
        self._openapi = document.read_bytes() if document.is_file() else None
        self._handlers: dict[str, dict[str, Handler]] = {}
        own: Routes = {("GET", "/health"): self._health, ("GET", "/metrics"): self._metrics,
                       ("GET", "/openapi.json"): self._description}
        for (method, path), handler in {**own, **routes}.items():
            self._handlers.setdefault(path, {})[method] = handler
        self._open_ended = [path for path in self._handlers if path.endswith("}")]

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request; nothing is ever raised to the protocol but a cancellation from outside."""
        if scope["type"] != "http":
            raise NotImplementedError(f"{scope['type']} is not served")
        started = time.perf_counter()
        exchange = Exchange(scope, receive, send, self.server.limits)
        exchange.response_headers = dict(_HEADERS)
        self.server.exchanges.add(exchange)
        try:
            await self._answer(exchange)
        finally:
            self.server.exchanges.discard(exchange)
            exchange.close()
            self._note(exchange, time.perf_counter() - started)

    def refused(self, status: int) -> None:
        """The protocol has refused what did not become a request."""
        self.server.metrics.refused.labels(str(status)).inc()

    def stalled(self) -> None:
        """The protocol has dropped a reader that stalled."""
        self.server.metrics.stalled.inc()

    async def _answer(self, exchange: Exchange) -> None:
        try:
            try:
                await self._handle(exchange)
            except Disconnected:
                pass
            except asyncio.CancelledError:
                if exchange.aborted is None:
                    raise
                if not exchange.started:
                    await exchange.send_error(exchange.aborted)
            except Exception as error:
                shown = ApiError.of(error)
                if shown.status == 500:
                    _log_failure(exchange, error)
                if not exchange.started:
                    await exchange.send_error(shown)
        except Disconnected:
            pass

    async def _handle(self, exchange: Exchange) -> None:
        guard, server = self._guard, self.server
        guard.check_host(exchange)
        guard.check_origin(exchange)
        handlers = self._route(exchange)
        if (preflight := guard.preflight(exchange)) is not None:
            await exchange.send_empty(204, preflight)
            return
        if exchange.route not in _OPEN:
            guard.check_key(exchange)
        method = "GET" if exchange.method == "HEAD" else exchange.method
        handler = handlers.get(method)
        if handler is None:
            allowed = ", ".join(sorted({*handlers, "OPTIONS", *(["HEAD"] if "GET" in handlers else [])}))
            if method == "OPTIONS":
                await exchange.send_empty(204, {"allow": allowed})
                return
            raise ApiError(405, f"{exchange.route if exchange.route != 'page' else 'this path'} takes {allowed}",
                           code="method_not_allowed", headers={"allow": allowed})
        if exchange.state.get("crowded") and exchange.route not in ("/health", "/metrics"):
            raise ApiError(503, "too many connections; try again in a moment", code="overloaded",
                           headers={"retry-after": "1"})
        if method == "POST" and server.state != "ready":
            what = "shutting down" if server.draining else "still loading"
            raise ApiError(503, f"the server is {what}", code=server.state,
                           headers={"retry-after": "5", **({"connection": "close"} if server.draining else {})})
        await handler(exchange, server)

    def _route(self, exchange: Exchange) -> Mapping[str, Handler]:
        """The handlers of the path by method; the exchange gets its route and parameters."""
        path = exchange.path
        if path in self._handlers and path not in self._open_ended:
            exchange.route = path
            return self._handlers[path]
        for pattern in self._open_ended:
            stem, _, name = pattern[:-1].partition("{")
            if path.startswith(stem) and len(path) > len(stem):
                exchange.route, exchange.params = pattern, {name: path[len(stem):]}
                return self._handlers[pattern]
        if path in self._page.assets:
            exchange.route = "page"
            return {"GET": self._asset}
        raise ApiError(404, "there is nothing at this path; the API lies below /v1, described at /openapi.json",
                       code="not_found")

    async def _asset(self, exchange: Exchange, server: Server) -> None:
        asset = self._page.assets[exchange.path]
        headers = {"etag": asset.etag, "cache-control": "no-cache", "content-security-policy": POLICY}
        known = [tag.strip().removeprefix("W/") for tag in exchange.headers.get("if-none-match", "").split(",")]
        if asset.etag in known or known == ["*"]:
            await exchange.send_empty(304, headers)
        else:
            await exchange.send(asset.body, asset.content_type, headers=headers)

    async def _health(self, exchange: Exchange, server: Server) -> None:
        status, document = self.health.report()
        await exchange.send_json(document, status, {} if status == 200 else {"retry-after": "5"})

    async def _metrics(self, exchange: Exchange, server: Server) -> None:
        await exchange.send(server.metrics.document(), CONTENT_TYPE)

    async def _description(self, exchange: Exchange, server: Server) -> None:
        if self._openapi is None:
            raise ApiError(404, "this installation holds no openapi.json", code="not_found")
        await exchange.send(self._openapi, JSON)

    def _note(self, exchange: Exchange, seconds: float) -> None:
        """Count the answer, and log it where that is wanted: never what the client wrote."""
        route = exchange.route or "none"
        method = exchange.method if exchange.method in ("GET", "HEAD", "POST", "OPTIONS") else "other"
        status = str(exchange.status or 499)  # nginx's number for a client that left
        self.server.metrics.responses.labels(method, route, status).inc()
        if self.server.settings.log_requests:
            record = exchange.record
            tokens = "" if record is None else (
                f" {record.model} {record.prompt}+{record.generated} tokens, {record.cached} cached")
            _LOG.info("%s %s %s %.1f ms%s %s", method, route, status, seconds * 1e3, tokens, exchange.request_id)


def _log_failure(exchange: Exchange, error: Exception) -> None:
    """The kind of an error and the lines that it passed; not its message, which may hold what a user wrote."""
    lines = "".join(traceback.format_list(traceback.extract_tb(error.__traceback__)))
    _LOG.error("%s in %s %s\n%s", type(error).__name__, exchange.route, exchange.request_id, lines)

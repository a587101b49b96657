"""The protocol: what it bounds while it reads, what it says to nonsense, how it lets go."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("uvicorn", reason="the extra serve is not installed")
pytest.importorskip("httptools", reason="the extra serve is not installed")

from edge_server import Edge, edge, ends, read_reply, request, until

LIMITS = {"header_seconds": 0.4, "body_seconds": 0.4, "stall_seconds": 0.5, "linger_seconds": 0.3,
          "keep_alive_seconds": 1, "connections": 12, "header_bytes": 4096, "url_bytes": 512, "headers": 20,
          "body_bytes": 20_000}


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def server(request: pytest.FixtureRequest) -> Iterator[Edge]:
    kind = asyncio.new_event_loop
    if request.param == "uvloop":
        kind = pytest.importorskip("uvloop", reason="uvloop is not installed").new_event_loop
    with edge(kind=kind, **LIMITS) as running:
        yield running


def error_of(body: bytes) -> dict[str, object]:
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert len(body) <= 8192
    return dict(error)


MALFORMED = [
    b"\x00\x01\x02\x03\r\n\r\n", b"GET\r\n\r\n", b"nonsense\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nA\x00B: c\r\n\r\n", b"GET / HTTP/1.1\r\n: empty\r\n\r\n",
    b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\nhello",
    b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"zz\r\nhello",
    b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /health HTTP/1.1\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: a b\r\n\r\n", b"GET /health HTTP/2.0\r\nHost: localhost\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /health HTTP/1.1\nHost: localhost\r\n\r\n\x00",
]


@pytest.mark.parametrize("raw", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_http_is_answered_in_json(server: Edge, raw: bytes) -> None:
    with server.send(raw) as connection:
        reply = read_reply(connection)
        assert reply.status in (400, 501, 505), reply.body
        assert error_of(reply.body)["type"] in ("invalid_request_error", "server_error")
    assert server.get("/health").status == 200


def test_every_byte_on_its_own_and_in_any_cut(server: Edge) -> None:
    raw = request("POST", "/v1/echo", "Content-Type: application/json", body=b'{"a": 1}')
    with server.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in raw:
            connection.sendall(bytes([byte]))
        assert json.loads(read_reply(connection).body) == {"length": 8}
        for cut in range(0, len(raw), 17):
            connection.sendall(raw[:cut])
            time.sleep(0.001)
            connection.sendall(raw[cut:])
            assert read_reply(connection).status == 200


def test_headers_are_bounded_while_they_are_read(server: Edge) -> None:
    endless = b"GET /health HTTP/1.1\r\nHost: localhost\r\nA: "
    with server.send(endless + b"x" * 5000) as connection:
        reply = read_reply(connection)
        assert (reply.status, error_of(reply.body)["code"]) == (431, "headers_too_large")
        ends(connection)
    assert server.get("/health", "A: " + "x" * 3500).status == 200
    assert server.get("/health", *[f"A{number}: x" for number in range(30)]).status == 431
    assert server.ask(request("GET", "/health", "A: " + "x" * 4090)).status == 431  # complete, and too long


def test_the_request_line_is_bounded(server: Edge) -> None:
    assert server.get("/health?" + "x" * 400).status == 200
    with server.send(b"GET /" + b"x" * 600) as connection:  # no line end needed
        assert read_reply(connection).status == 414


def test_slow_headers_are_told_so_and_a_silent_connection_is_closed(server: Edge) -> None:
    with server.connect() as silent, server.send(b"GET /health HTT") as slow:
        reply = read_reply(slow)
        assert (reply.status, error_of(reply.body)["code"]) == (408, "request_timeout")
        assert ends(silent) == b""


def test_one_header_after_another_does_not_win_time(server: Edge) -> None:
    with server.send(b"GET /health HTTP/1.1\r\n") as connection:
        connection.settimeout(0.05)
        started = time.monotonic()
        while time.monotonic() - started < 10:
            connection.sendall(b"A: b\r\n")
            try:
                assert connection.recv(100).startswith(b"HTTP/1.1 408")
                return
            except TimeoutError:
                continue
        raise AssertionError("the server waits for ever")


def test_a_slow_body_is_told_so(server: Edge) -> None:
    raw = request("POST", "/v1/echo", "Content-Type: application/json", body=b'{"a": 1}')
    with server.send(raw[:-2]) as connection:
        reply = read_reply(connection)
        assert (reply.status, error_of(reply.body)["code"]) == (408, "request_timeout")
        assert reply.headers["connection"] == "close"
        ends(connection)


def test_a_long_body_is_refused_before_it_is_there(server: Edge) -> None:
    head = b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with server.send(head + b"Content-Length: 20001\r\n\r\n") as told:  # by its length, with no byte of it
        assert read_reply(told).status == 413
    with server.send(head + b"Transfer-Encoding: chunked\r\n\r\n5000\r\n" + b"x" * 0x5000) as chunked:  # while it comes
        assert read_reply(chunked).status == 413
        ends(chunked)
    with server.send(head + b"Content-Length: 30000\r\nExpect: 100-continue\r\n\r\n") as careful:
        assert read_reply(careful).status == 413  # and no 100 Continue
    body = b'"' + b"x" * 19_998 + b'"'
    assert server.post("/v1/echo", body).status == 200


def test_a_refused_sender_can_read_why(server: Edge) -> None:
    """The connection's end must not overtake the answer while the client is still sending."""
    head = request("POST", "/v1/echo", "Content-Type: application/json").replace(b"Length: 0", b"Length: 60000")
    for _ in range(5):
        with server.send(head + b"x" * 60_000) as connection:
            assert read_reply(connection).status == 413
            ends(connection)


def test_a_body_in_chunks_of_a_byte_and_endless_trailers_cost_little(server: Edge) -> None:
    head = request("POST", "/v1/echo", "Content-Type: application/json").replace(
        b"Content-Length: 0", b"Transfer-Encoding: chunked")
    chunks = b"1;" + b"x" * 100 + b"\r\n{\r\n1\r\n}\r\n0\r\nT: " + b"y" * 100 + b"\r\n\r\n"
    assert server.ask(head + chunks).status == 200
    for endless in (b"1\r\nx\r\n", b"1;" + b"e" * 1000 + b"\r\nx\r\n"):
        with server.send(head) as connection:
            _push(connection, endless, 400_000)
            assert ends(connection)[:12] in (b"HTTP/1.1 413", b"")
    with server.send(head + b"2\r\n{}\r\n0\r\n") as connection:
        _push(connection, b"Trailer: x\r\n", 400_000)
        ends(connection)


def _push(connection: socket.socket, part: bytes, size: int) -> None:
    try:
        for _ in range(size // len(part) // 50):
            connection.sendall(part * 50)
    except ConnectionError:
        pass


def test_too_many_connections_are_told_so_and_health_still_answers(server: Edge) -> None:
    raw = request("POST", "/v1/wait", body=b"{}")
    server.handlers.release.clear()
    held = [server.send(raw) for _ in range(12)]
    try:
        for _ in held:
            assert server.handlers.waiting.acquire(timeout=10)
        reply = server.post("/v1/echo")
        assert (reply.status, error_of(reply.body)["code"]) == (503, "overloaded")
        assert reply.headers["retry-after"] == "1"
        assert reply.headers["connection"] == "close"
        assert server.get("/health").status == 200
        assert server.get("/metrics").status == 200
    finally:
        server.handlers.release.set()
        for one in held:
            assert read_reply(one).status == 200
            one.close()
        server.handlers.release.clear()
    until(lambda: server.post("/v1/echo").status == 200)


def test_far_too_many_connections_are_told_so_without_being_read() -> None:
    with edge(connections=4) as server:
        connections, held = server.lifecycle._protocols.connections, []
        for count in range(1, 13):
            held.append(server.send(b"POST /v1/e"))
            until(lambda: len(connections) == count and not any(one.idle_since for one in list(connections)))  # noqa: B023
        for _ in range(5):
            with server.connect() as one:
                assert one.recv(12) == b"HTTP/1.1 503"
        for one in held:
            one.close()


def test_connections_that_say_nothing_lock_nobody_out(server: Edge) -> None:
    silent = [server.connect() for _ in range(30)]
    for _ in range(5):
        assert server.post("/v1/echo").status == 200
    for one in silent:
        one.close()


def test_an_idle_connection_makes_room_for_a_new_one(server: Edge) -> None:
    idle = [server.send(request("GET", "/health")) for _ in range(12)]
    assert {read_reply(one).status for one in idle} == {200}
    assert server.post("/v1/echo").status == 200
    for one in idle:
        one.close()


def test_a_connection_is_kept_alive_and_then_closed(server: Edge) -> None:
    with server.connect() as connection:
        for _ in range(3):
            connection.sendall(request("GET", "/health"))
            assert read_reply(connection).status == 200
        started = time.monotonic()
        assert ends(connection) == b""
        assert time.monotonic() - started > 0.5


def test_pipelined_requests_get_one_answer(server: Edge) -> None:
    server.handlers.release.set()
    with server.send(request("POST", "/v1/wait", body=b"{}") * 3) as connection:
        reply = read_reply(connection)
        assert reply.status == 200
        assert reply.headers["connection"] == "close"
        assert ends(connection) == b""
    server.handlers.release.clear()


def test_bytes_behind_a_running_request_do_not_disturb_its_answer(server: Edge) -> None:
    server.handlers.release.clear()
    with server.send(request("POST", "/v1/count", body=b"{}")) as connection:
        assert server.handlers.waiting.acquire(timeout=10)
        connection.sendall(b"\x00 garbage \r\n\r\n")
        time.sleep(0.05)
        server.handlers.release.set()
        assert read_reply(connection).body.endswith(b"data: [DONE]\n\n")
    server.handlers.release.clear()


@pytest.mark.parametrize("extra", [("Connection: Upgrade", "Upgrade: websocket"),
                                   ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")])
def test_an_upgrade_is_not_taken(server: Edge, extra: tuple[str, ...]) -> None:
    assert server.get("/health", *extra).status == 200
    body = b'{"a": "%b"}' % (b"x" * 12_000)
    kind = "Content-Type: application/json"
    whole = request("POST", "/v1/echo", *extra, kind, body=body)
    for cut in (0, 10, len(whole) - len(body), len(whole) - len(body) + 5, len(whole) - 1):
        with server.send(whole[:cut] or whole) as connection:
            time.sleep(0.02)
            connection.sendall(whole[cut:] if cut else b"")
            reply = read_reply(connection)
            assert (reply.status, reply.body) == (200, b'{"length":%d}' % len(body))
            assert connection.recv(1) == b"", "the connection closes"
    chunked = request("POST", "/v1/echo", *extra, kind, "Transfer-Encoding: chunked")
    assert server.ask(chunked + b"2\r\n{}\r\n0\r\n\r\n").status in (400, 501)


def test_a_head_request_has_the_headers_alone(server: Edge) -> None:
    with server.send(request("HEAD", "/health", "Connection: close")) as connection:
        data = ends(connection)
    assert data.startswith(b"HTTP/1.1 200")
    assert data.endswith(b"\r\n\r\n")


def test_an_old_client_is_answered_and_closed(server: Edge) -> None:
    with server.send(b"GET /health HTTP/1.0\r\n\r\n") as connection:
        assert b'"status":"ok"' in ends(connection)


def test_a_stalled_reader_is_dropped_and_its_request_cancelled(server: Edge) -> None:
    before = server.metric("nanochat_stalled_readers_dropped_total")
    server.handlers.ended.clear()
    with server.send(request("POST", "/v1/flood", body=b"{}")):
        until(lambda: server.handlers.ended == ["Disconnected"])
    assert server.metric("nanochat_stalled_readers_dropped_total") == before + 1


def test_an_answer_that_is_never_read_is_dropped(server: Edge) -> None:
    connections = server.lifecycle._protocols.connections
    with server.send(request("GET", "/v1/big", "Connection: close")):
        until(lambda: len(connections) > 0)
        until(lambda: not connections)


def test_a_slow_reader_gets_everything(server: Edge) -> None:
    with server.send(request("GET", "/v1/big", "Connection: close")) as connection:
        size = 0
        while part := connection.recv(400_000):
            size += len(part)
            time.sleep(0.01)
    assert size > 8 << 20


@pytest.mark.parametrize("path", ["/v1/wait", "/v1/count"])
@pytest.mark.parametrize("how", ["close", "reset", "half"])
def test_a_client_that_leaves_is_noticed(server: Edge, path: str, how: str) -> None:
    server.handlers.release.clear()
    server.handlers.left.clear()
    connection = server.send(request("POST", path, body=b"{}"))
    assert server.handlers.waiting.acquire(timeout=10)
    time.sleep(0.05)
    gone = time.monotonic()
    if how == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    if how == "half":
        connection.shutdown(socket.SHUT_WR)
    else:
        connection.close()
    until(lambda: server.handlers.left)
    assert server.handlers.left[0] - gone < 0.5
    connection.close()
    until(lambda: not server.server.exchanges)
    server.handlers.left.clear()


def test_nothing_is_left_behind(server: Edge) -> None:
    until(lambda: not server.server.exchanges)
    until(lambda: not server.lifecycle._protocols.connections)
    assert not server.lifecycle._protocols.tasks

"""A server's beginning and end: what runs is finished, what waits is told, a second signal is obeyed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="the extra serve is not installed")

from edge_server import Client, edge, ends, read_reply, request, until

from pynanochat.errors import RequestError
from pynanochat.serve import lifecycle
from pynanochat.serve.limits import Settings

SCRIPT = """
import sys
from types import SimpleNamespace
from edge_server import FakeEngine, Handlers
from pynanochat.serve import lifecycle
from pynanochat.serve.app import App
from pynanochat.serve.guard import Guard
from pynanochat.serve.limits import Settings
from pynanochat.serve.server import ServedModel, Server

class Hanging(FakeEngine):
    async def stop(self, drain_seconds):
        import time
        time.sleep(60)

engine = Hanging() if "hang" in sys.argv else FakeEngine()
model = ServedModel(name="fake", llm=SimpleNamespace(), engine=engine, created=1)
server = Server(models={"fake": model}, settings=Settings(shutdown_seconds=float(sys.argv[1])))
listener = lifecycle.bind("127.0.0.1", 0)
app = App(server, Guard(bound="127.0.0.1"), Handlers().routes)
life = lifecycle.Lifecycle(app, listener)
sys.exit(life.run(lambda: print(listener.getsockname()[1], flush=True)))
"""


class Process(Client):
    """A server in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        self.process = subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments], stdout=subprocess.PIPE,
                                        env={**os.environ, "PYTHONPATH": paths}, text=True)
        assert self.process.stdout is not None
        super().__init__(int(self.process.stdout.readline()))


@contextmanager
def process(*arguments: str) -> Iterator[Process]:
    running = Process(*arguments)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.communicate()
        running.hang_up()


def test_a_drain_finishes_what_runs_and_takes_nothing_new() -> None:
    with edge() as running:
        stream = running.send(request("POST", "/v1/count", body=b"{}"))
        whole = running.send(request("POST", "/v1/wait", body=b"{}"))
        idle = running.send(request("GET", "/health"))
        assert read_reply(idle).status == 200
        for _ in range(2):
            assert running.handlers.waiting.acquire(timeout=10)
        running.lifecycle.stop()
        until(lambda: running.get("/health").status == 503)
        idle.sendall(request("GET", "/health"))
        assert json.loads(read_reply(idle).body)["status"] == "shutting_down"
        refused = running.post("/v1/echo")
        assert (refused.status, refused.headers["retry-after"], refused.headers["connection"]) == (503, "5", "close")
        running.handlers.release.set()
        reply = read_reply(stream)
        assert reply.complete
        assert reply.body.endswith(b"data: [DONE]\n\n")
        assert json.loads(read_reply(whole).body) == {"done": True}
        running.thread.join(10)
        assert not running.thread.is_alive()
        assert running.engine.stopped
        assert (ends(stream), ends(whole), ends(idle)) == (b"", b"", b"")


def test_what_outlasts_the_drain_is_told_so() -> None:
    with edge(settings=Settings(shutdown_seconds=0.3)) as running:
        stream = running.send(request("POST", "/v1/count", body=b"{}"))
        whole = running.send(request("POST", "/v1/wait", body=b"{}"))
        half = running.send(request("POST", "/v1/wait", body=b"{}")[:-1])
        for _ in range(2):
            assert running.handlers.waiting.acquire(timeout=10)
        running.lifecycle.stop()
        reply = read_reply(stream)
        assert reply.complete
        events = reply.body.strip().split(b"\n\n")
        assert json.loads(events[-1].removeprefix(b"data: "))["error"]["code"] == "shutting_down"
        assert [int(event.removeprefix(b"data: ")) for event in events[:-1]] == list(range(len(events) - 1))
        for connection in (whole, half):
            answer = read_reply(connection)
            assert (answer.status, json.loads(answer.body)["error"]["code"]) == (503, "shutting_down")
        running.thread.join(10)
        assert not running.thread.is_alive()
        assert running.handlers.ended == ["CancelledError"]


def test_a_second_stop_does_not_wait() -> None:
    with edge() as running:
        stream = running.send(request("POST", "/v1/count", body=b"{}"))
        assert running.handlers.waiting.acquire(timeout=10)
        running.lifecycle.stop()
        until(lambda: running.get("/health").status == 503)
        running.lifecycle.stop()
        running.thread.join(5)
        assert not running.thread.is_alive()
        assert b"shutting_down" in read_reply(stream).body


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_an_idle_server_ends_it_with_0(number: signal.Signals) -> None:
    with process("30") as running, running.connect() as silent:
        assert running.get("/health").status == 200
        running.process.send_signal(number)
        assert running.process.wait(10) == 0
        ends(silent)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_signal_to_a_busy_server_loses_nothing() -> None:
    with process("1") as running:
        streams = [running.send(request("POST", "/v1/count", body=b"{}")) for _ in range(5)]
        for stream in streams:
            assert stream.recv(12) == b"HTTP/1.1 200"
        running.process.send_signal(signal.SIGTERM)
        for stream in streams:
            assert b"shutting_down" in ends(stream)
        assert running.process.wait(10) == 0


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("how", ["runs", "hang"])
def test_a_second_signal_ends_the_process_at_once(how: str) -> None:
    with process("60", how) as running, running.send(request("POST", "/v1/count", body=b"{}")) as stream:
        assert stream.recv(12) == b"HTTP/1.1 200"
        running.process.send_signal(signal.SIGTERM)
        until(lambda: running.get("/health").status == 503)
        assert running.process.poll() is None
        started = time.monotonic()
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(10) == 128 + signal.SIGINT
        assert time.monotonic() - started < 3  # 1 s is meant; this machine may be busy


def test_a_port_in_use_is_one_clear_line() -> None:
    taken = lifecycle.bind("127.0.0.1", 0)
    taken.listen()
    port = taken.getsockname()[1]
    with pytest.raises(RequestError, match=f"cannot listen on 127.0.0.1 port {port}: address already in use"):
        lifecycle.bind("127.0.0.1", port)
    taken.close()


@pytest.mark.parametrize(("host", "port"), [("no.such.host.invalid", 8000), ("127.0.0.1", 70_000), ("\u2028", 1),
                                            ("8.8.8.8", 8000), ("x" * 300, 1)])
def test_a_wrong_address_is_one_clear_line(host: str, port: int) -> None:
    with pytest.raises(RequestError, match=r"host|port"):
        lifecycle.bind(host, port)


def test_the_url_is_one_that_a_browser_takes() -> None:
    for host in ("127.0.0.1", "0.0.0.0", "::1", "localhost"):
        try:
            listener = lifecycle.bind(host, 0)
        except RequestError:
            assert host == "::1"  # there is no IPv6 here
            continue
        port = listener.getsockname()[1]
        assert lifecycle.url(listener) in (f"http://127.0.0.1:{port}", f"http://[::1]:{port}")
        listener.close()

"""A server that sends anything, or nothing, ends no check in an exception and holds none up."""

import socket
import threading
import time
from contextlib import contextmanager

import pytest
from fake_server import Fault, serving
from faults import CHAT, answer, sent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_contract_shape import ANY

from pynanochat.contract import check_server
from pynanochat.errors import RequestError

TIMEOUT = 1.0  # seconds; what hangs is given up after it
BOUND = 30  # seconds for everything, on a busy machine
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
MODELS = b'HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n{"data":[{"id":"model"}]}'


@contextmanager
def raw(answer, models=True):
    """A server that answers each request with what `answer` does to its socket; the list of models may be good."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=64)
    over = threading.Event()

    def serve(client):
        with client:
            try:
                request = client.recv(65536)
                if models and request.startswith(b"GET /v1/models HTTP"):
                    client.sendall(MODELS)
                else:
                    answer(client, over)
            except OSError:
                pass

    def accept():
        while not over.is_set():
            try:
                client, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        over.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def bytes_of(data):
    return lambda client, over: client.sendall(data)


def page(client, over):
    body = b"<!doctype html><title>Welcome</title>"
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def silence(client, over):
    over.wait()


def drip(client, over):
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    while not over.wait(0.02):
        client.sendall(b": still here\n\n")


def drip_headers(client, over):
    client.sendall(b"HTTP/1.1 200 OK\r\n")
    while not over.wait(0.02):
        client.sendall(b"X: y\r\n")


def flood(client, over):
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    while not over.is_set():
        client.sendall(b"data: " + b"x" * 65536)


def repeated(client, over):
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    while not over.is_set():
        client.sendall(b'data: {"choices": []}\n\n' * 1000)


HOSTILE = {
    "a page": (page, "is HTML; expected JSON"),
    "garbage": (bytes_of(bytes(range(256)) * 8), "is no HTTP answer"),
    "nothing": (bytes_of(b""), "closed the connection without an answer"),
    "half an answer": (bytes_of(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"choices": ['), "ended in the middle"),
    "half a chunk": (bytes_of(CHUNKED + b"50\r\ndata: {"), "ended in the middle"),
    "no chunk": (bytes_of(CHUNKED + b"zz\r\n"), "ended in the middle"),
    "an empty body": (bytes_of(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "is empty; expected JSON"),
    "another length": (bytes_of(b"HTTP/1.1 200 OK\r\nContent-Length: -7\r\n\r\n{}"), "choices is missing"),
    "a list": (bytes_of(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"), "is []; expected a JSON object"),
    "not a number": (bytes_of(b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nNaN'), "is no JSON"),
    "deep": (bytes_of(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"[" * 200_000), "is no JSON"),
    "a long number": (bytes_of(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + b"1" * 9000), "is no JSON"),
    "many headers": (bytes_of(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n"), "is no HTTP answer"),
    "a long header": (bytes_of(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10**6), "is no HTTP answer"),
    "another protocol": (bytes_of(b"SSH-2.0-OpenSSH_9.2\r\n"), "is no HTTP answer"),
    "an odd status": (bytes_of(b"HTTP/1.1 999 Whatever\r\nContent-Length: 2\r\n\r\n{}"), "answered 999"),
    "a redirect": (bytes_of(b"HTTP/1.1 301 Moved\r\nLocation: http://host/\r\nContent-Length: 0\r\n\r\n"), "301"),
    "an escape": (bytes_of(b"HTTP/1.1 500 Oh\r\nContent-Length: 6\r\n\r\n\x1b[31m!"), r"answered 500: \x1b[31m!"),
    "silence": (silence, "did not end within 1 s"),
    "a drip": (drip, "did not end within 1 s"),
    "headers without end": (drip_headers, "did not end within 1 s"),
    "a flood": (flood, "is longer than 4 MiB"),
    "events without end": (repeated, "goes on after 10000 events"),
}

SLOW = {"silence": ["chat"], "a drip": ["[DONE] comes once, at the end"], "headers without end": ["max_tokens"]}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(name):
    behaviour, said = HOSTILE[name]
    started = time.monotonic()
    with raw(behaviour) as url:
        report = check_server(url, timeout=TIMEOUT if "1 s" in said else 5,
                              only=SLOW.get(name, ["chat", "stream", "models", "HTTP", "load"]))
    assert time.monotonic() - started < BOUND
    failed = [result for result in report.results if result.status == "FAIL"]
    assert not report.passed
    assert any(said in result.reason for result in failed), [result.reason for result in failed]
    assert not any("could not be examined" in result.reason for result in failed)
    assert all(result.reason.isprintable() for result in report.results)


def test_what_takes_connections_and_never_answers_is_no_server():
    with raw(silence, models=False) as url, pytest.raises(RequestError, match=r"did not answer within 1 s"):
        check_server(url, timeout=TIMEOUT)


def test_other_protocols_are_no_error_of_ours():
    with raw(HOSTILE["another protocol"][0], models=False) as url:
        assert not check_server(url, timeout=TIMEOUT, only=["models"]).passed


STREAMS = {  # what becomes of the events of a good stream, and what is said
    "cut": (lambda events: [*events[:3], events[3][:-5]], "in the middle of an event"),
    "broken off": (lambda events: [*events[:3], None], "ended in the middle"),
    "no JSON": (lambda events: [*events[:3], b"data: {oops\n\n"], "event 3 is no JSON"),
    "HTML": (lambda events: [b"<html>\n\n"], "holds no event"),
    "nothing": (lambda events: [], "holds no event"),
    "a list": (lambda events: [*events[:3], b"data: [1]\n\n"], "expected a JSON object"),
    "an error": (lambda events: [*events[:3], b'data: {"error": {"message": "out of memory"}}\n\n'], "out of memory"),
    "in one line": (lambda events: [b"".join(events).replace(b"\n", b"")], "in the middle of an event"),
}


@pytest.fixture(scope="module")
def server():
    with serving() as server:
        yield server


@pytest.mark.parametrize("name", STREAMS)
def test_streams_that_break(server, name):
    change, said = STREAMS[name]
    server.fault = sent(CHAT, change)
    failed = [result for result in check_server(server.url, only=["stream"], timeout=5).results
              if result.status == "FAIL"]
    assert len(failed) >= 9
    assert all(said in result.reason for result in failed), [result.reason for result in failed]


def test_events_in_pieces_are_events(server):
    server.fault = sent(CHAT, lambda events: [
        b"".join(events)[place : place + 7] for place in range(0, len(b"".join(events)), 7)])
    report = check_server(server.url, only=["stream"], timeout=5)
    assert all(result.status == "PASS" for result in report.results)


@given(ANY, st.sampled_from(["choices", "choices.0", "choices.0.message", "choices.0.message.content", "usage", "id",
                             "choices.0.logprobs", "choices.0.delta", "object", "output", "output.0", "data",
                             "tokens", "prompt", "error", "choices.0.text", "type", "response"]))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_in_any_place_ends_no_check(server, value, place):
    def put(document, *_):
        for where in (CHAT, "/v1/completions", "/v1/responses", "/v1/models", "/tokenize"):
            document = answer(where, place, lambda old: value).answer(document, where, 200)
        return document

    server.fault = Fault(answer=put, chunk=put)
    report = check_server(server.url, timeout=5, only=[
        "models", "chat", "sampling", "logprobs", "JSON", "stream", "completions", "responses", "tokens"])
    assert not [result for result in report.results if "could not be examined" in result.reason]


def test_a_busy_server_is_asked_again(server, monkeypatch):
    naps = []
    monkeypatch.setattr("pynanochat.contract.server.time.sleep", naps.append)
    calls = iter(range(1000))
    server.fault = Fault(answer=lambda document, at, status: (429, {"error": {"message": "full"}})
                         if at == CHAT and next(calls) < 3 else document)
    assert check_server(server.url, only=["usage adds up"]).passed
    assert naps == [0.5] * 3
    server.fault = Fault(answer=lambda document, at, status: (429, {"error": {"message": "full"}}))
    assert not check_server(server.url, only=["chat"]).passed
    assert len(naps) < 60

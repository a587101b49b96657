"""What a handler's request and answer come to: bodies, errors, events, counts, and what is never told."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("uvicorn", reason="the extra serve is not installed")

from edge_server import IDLE, Edge, edge, read_reply, request, until
from prometheus_client.parser import text_string_to_metric_families

from pynanochat.errors import BackendError
from pynanochat.serve.errors import ApiError
from pynanochat.serve.json_bounds import check_json
from pynanochat.serve.limits import Limits, Settings


@pytest.fixture
def server() -> Iterator[Edge]:
    with edge(body_bytes=1 << 20, settings=Settings(log_requests=True)) as running:
        yield running


def sound(text: bytes, **limits: int) -> bool:
    try:
        check_json(text, Limits(**limits))
    except ApiError:
        return False
    return True


@pytest.mark.parametrize(("text", "allowed"), [
    (b"[" * 32 + b"]" * 32, True), (b"[" * 33 + b"]" * 33, False), (b"[" * 5000, False), (b"]" * 1_000_000, True),
    (b'{"a":' * 33 + b"1" + b"}" * 33, False), (b'"' + b"[" * 1_000_000 + b'"', True), (b"", True),
    (b'["\\"[[[[", 1]', True), (b'["\\\\", [' + b"[" * 40 + b"]" * 42, False), (b'"unterminated ' + b"[" * 100, True),
    (b"[" + b"1," * 200_000 + b"1]", True), (b"[" + b"1," * 300_000 + b"1]", False),
    (b"[" + b"[]," * 9_998 + b"[]]", True), (b"[" + b"[]," * 10_001 + b"[]]", False),
    (b"[" + b'"",' * 9_990 + b'""]', True), (b"[" + b'"",' * 300_000 + b'""]', False),
    (b'["' + b'\\"' * 500_000 + b'"]', True), (b"[" + b'"\\\\",' * 200_000 + b'""]', False), (b'"' * 1_000_001, False),
    (b'"\\' * 500_000, True), (b"\\" * 1_000_000, True)])
def test_json_is_bounded_in_linear_time(text: bytes, allowed: bool) -> None:
    started = time.process_time()
    assert sound(text) is allowed
    assert time.process_time() - started < 1  # milliseconds each; a quadratic scan takes minutes


def test_the_token_ids_of_a_long_prompt_are_no_deep_json() -> None:
    body = json.dumps({"prompt": [[65_535] * 32_768] * 4, "max_tokens": 1}).encode()
    assert sound(body)


def test_bounds_are_told_over_http(server: Edge) -> None:
    reply = server.post("/v1/echo", b"[" * 200 + b"]" * 200)
    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (400, "json_too_deep")
    assert server.post("/v1/echo", b"[" + b"{}," * 20_000 + b"{}]").status == 400


@pytest.mark.parametrize(("kind", "status", "code"), [
    ("context", 400, "context_length_exceeded"), ("request", 400, None), ("queue", 429, "queue_full"),
    ("bug", 500, "internal_error"), ("api", 422, "c")])
def test_errors_have_openais_shape(server: Edge, kind: str, status: int, code: str | None) -> None:
    reply = server.ask(request("POST", "/v1/fail", body=kind.encode()))
    assert reply.status == status
    error = json.loads(reply.body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["code"] or "")[:1] == (code or "")[:1]
    assert len(reply.body) <= 8192
    assert "secret" not in reply.body.decode()
    if kind == "queue":
        assert reply.headers["retry-after"] == "3"
        assert error["type"] == "rate_limit_error"


def test_an_engine_that_has_failed_is_the_servers_fault() -> None:
    assert ApiError.of(BackendError("the engine has failed")).status == 503
    assert ApiError.of(MemoryError()).status == 500
    assert ApiError(404, "a\ud800\nb").document().isascii() is False  # and is valid UTF-8 on one line


def test_an_error_inside_a_stream_ends_it_with_an_event(server: Edge) -> None:
    reply = server.ask(request("POST", "/v1/fail", body=b"stream"))
    assert reply.complete
    assert reply.headers["content-type"] == "text/event-stream"
    first, last = reply.body.split(b"\n\n")[:2]
    assert first == b"data: one"
    assert json.loads(last.removeprefix(b"data: "))["error"]["type"] == "server_error"
    assert b"secret" not in reply.body


def test_logs_hold_no_user_text(server: Edge, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server.ask(request("POST", "/v1/fail?user=secret", body=b"bug"))
    server.ask(request("POST", "/v1/fail", body=b"stream"))
    server.get("/secret/path?q=secret", "X-Secret: secret")
    server.get("/v1/models/secret")
    server.ask(b"secret nonsense\r\n\r\n")
    until(lambda: len(caplog.records) >= 6)
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert "secret" not in text.replace("the user's secret\")", "")  # a line of this test's own source
    assert "KeyError in /v1/fail" in text
    assert "edge_server.py" in text
    assert "GET /v1/models/{model} 404" in text
    assert "GET none 404" in text


def test_without_log_requests_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with edge() as running:
        assert running.post("/v1/echo").status == 200
        assert running.ask(b"nonsense\r\n\r\n").status == 400
    assert not [record for record in caplog.records if record.name != "asyncio"]


def test_a_header_holds_what_a_header_can(server: Edge) -> None:
    ignored = server.post("/v1/echo").headers["x-nanochat-ignored"]
    assert ignored.startswith("a??x: ?y")
    assert len(ignored) < 2100


def test_a_model_is_found_by_a_name_with_slashes(server: Edge) -> None:
    assert json.loads(server.get("/v1/models/owner/other").body) == {"id": "owner/other"}
    assert json.loads(server.get("/v1/models/owner%2Fother").body) == {"id": "owner/other"}
    assert json.loads(server.get("/v1/models/default").body) == {"id": "fake"}
    reply = server.get("/v1/models/" + "x" * 3000)
    error = json.loads(reply.body)["error"]
    assert (reply.status, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert len(reply.body) < 500


@pytest.mark.parametrize(("method", "path", "allow"), [
    ("POST", "/health", "GET, HEAD, OPTIONS"), ("GET", "/v1/echo", "OPTIONS, POST"),
    ("DELETE", "/v1/echo", "OPTIONS, POST"),
    ("TRACE", "/", "GET, HEAD, OPTIONS"), ("PUT", "/v1/models/fake", "GET, HEAD, OPTIONS")])
def test_a_wrong_method_is_told_the_right_ones(server: Edge, method: str, path: str, allow: str) -> None:
    reply = server.ask(request(method, path))
    if path == "/" and reply.status == 404:
        pytest.skip("there is no page in this tree")
    assert (reply.status, reply.headers["allow"]) == (405, allow)
    assert json.loads(reply.body)["error"]["code"] == "method_not_allowed"
    assert server.ask(request("OPTIONS", path)).headers["allow"] == allow


def test_a_stream_comes_while_it_is_made(server: Edge) -> None:
    with server.send(request("POST", "/v1/count", body=b"{}")) as connection:
        data = b""
        while b"data: 5\n\n" not in data:
            data += connection.recv(65536)
        server.handlers.release.set()
        while b"0\r\n\r\n" not in data:
            data += connection.recv(65536)
    head = data.partition(b"\r\n\r\n")[0].decode().lower()
    assert "x-nanochat-dropped-turns: 2" in head
    assert "cache-control: no-store" in head


def test_health_tells_of_every_model(server: Edge) -> None:
    reply = server.get("/health")
    document = json.loads(reply.body)
    assert (reply.status, document["status"]) == (200, "ok")
    assert document["models"]["fake"] == {"status": "idle", "running": 0, "waiting": 0, "steps": 7,
                                          "generated_tokens": 5, "seconds_without_progress": 0.0}


def test_health_knows_a_stuck_engine_from_a_busy_one() -> None:
    with edge(stuck_seconds=0.3) as running:
        running.engine.set(pending=True, running=2)
        for step in range(60):  # busy: a step now and then
            running.engine.set(steps=100 + step)
            assert running.get("/health").status == 200
            time.sleep(0.01)
        until(lambda: running.get("/health").status == 503)  # no step any more
        document = json.loads(running.get("/health").body)
        assert (document["status"], document["models"]["fake"]["status"]) == ("no_progress", "no_progress")
        running.engine.set(pending=False)
        assert running.get("/health").status == 200
        time.sleep(0.5)  # idle for long
        running.engine.set(pending=True)
        assert running.get("/health").status == 200
        running.engine.set(failed="the engine has failed: MemoryError")
        assert json.loads(running.get("/health").body)["status"] == "engine_failed"


def test_health_is_no_when_the_server_is_not_ready(server: Edge) -> None:
    for state in ("loading", "shutting_down"):
        server.server.state = state  # type: ignore[assignment]
        reply = server.get("/health")
        assert (reply.status, json.loads(reply.body)["status"]) == (503, state)
        refused = server.post("/v1/echo")
        assert (refused.status, json.loads(refused.body)["error"]["code"]) == (503, state)
        assert "retry-after" in refused.headers


def test_health_answers_beside_a_crowd(server: Edge) -> None:
    held = [server.send(request("POST", "/v1/count", body=b"{}")) for _ in range(100)]
    for _ in held:
        assert server.handlers.waiting.acquire(timeout=20)
    assert server.get("/health").status == 200
    server.handlers.release.set()
    for one in held:
        assert read_reply(one).complete
        one.close()


def test_metrics_are_prometheus_text_under_vllms_names(server: Edge) -> None:
    server.engine.set(running=3, waiting=2, pages_used=16)
    threading.Timer(0.1, server.handlers.release.set).start()
    assert server.ask(request("POST", "/v1/count", body=b"{}")).complete
    server.handlers.release.clear()
    while server.handlers.waiting.acquire(blocking=False):  # those that came before
        pass
    with server.send(request("POST", "/v1/wait", body=b"{}")):
        assert server.handlers.waiting.acquire(timeout=10)
    until(lambda: not server.server.exchanges)
    reply = server.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(reply.body.decode())}
    values = {(sample.name, *sorted(sample.labels.items())): sample.value
              for family in families.values() for sample in family.samples}

    def value(name: str, **labels: str) -> float:
        return float(values[(name, *sorted({"model_name": "fake", **labels}.items()))])

    assert value("vllm:num_requests_running") == 3
    assert value("vllm:num_requests_waiting") == 2
    assert value("vllm:kv_cache_usage_perc") == 0.25
    assert value("vllm:prompt_tokens_total") == IDLE.prompt_tokens_computed + IDLE.prompt_tokens_cached
    assert value("vllm:prefix_cache_queries_total") == 46
    assert value("vllm:prefix_cache_hits_total") == 16
    assert value("vllm:generation_tokens_total") == 5
    assert value("vllm:num_preemptions_total") == 1
    assert value("vllm:request_success_total", finished_reason="stop") == 1
    assert value("vllm:time_to_first_token_seconds_count") == 1
    assert value("vllm:e2e_request_latency_seconds_count") == 1
    assert value("vllm:request_prompt_tokens_sum") == 11
    assert value("vllm:inter_token_latency_seconds_count") == value("vllm:request_generation_tokens_sum") - 1
    assert value("nanochat_prompt_tokens_computed_total") == 30
    assert sum(value("nanochat_requests_cancelled_total", reason=reason) for reason in ("disconnected",)) == 1
    assert values["nanochat_http_responses_total", ("method", "POST"), ("route", "/v1/count"), ("status", "200")] == 1


def test_metrics_have_no_labels_of_the_clients_making(server: Edge) -> None:
    for number in range(20):
        server.get(f"/made/up/{number}")
        server.get(f"/v1/models/made-up-{number}")
    text = server.get("/metrics").body.decode()
    assert "made" not in text
    assert server.metric('nanochat_http_responses_total{method="GET",route="none",status="404"}') == 20

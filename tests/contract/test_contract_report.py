"""The report: what passes, what it says to people and programs, and what is no server at all."""

import json
import socket

import pytest
from fake_server import Fault, serving
from faults import CHAT, LEAVING, answer, failures, refusing

from pynanochat import __version__
from pynanochat.cli import main
from pynanochat.contract import CHECKS, check_server, run
from pynanochat.contract.address import Address
from pynanochat.errors import RequestError


@pytest.fixture(scope="module")
def server():
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def good(server):
    server.fault = Fault()


def test_a_good_server_passes_everything(server):
    report = check_server(server.url + "/v1/")
    assert [(result.name, result.reason) for result in report.results if result.status != "PASS"] == []
    assert [result.name for result in report.results] == [check.name for check in CHECKS]
    assert report.passed
    assert (report.url, report.model) == (server.url, "fake/one")


def test_names_are_unique_and_checks_have_words():
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert len({check.name for check in CHECKS} | {check.area for check in CHECKS}) == len(CHECKS) + len(
        {check.area for check in CHECKS})
    assert all(len(check.name) <= 44 for check in CHECKS)


def test_a_key(capsys):
    with serving(key="secret") as locked:
        report = check_server(locked.url, api_key="secret", only=[
            "Authorization", "models", "header names in small letters"])
        assert [result.status for result in report.results] == ["PASS"] * 5
        with pytest.raises(RequestError, match=r"401: it wants an API key$"):
            check_server(locked.url)
        with pytest.raises(RequestError, match="other than this one"):
            check_server(locked.url, api_key="wrong")
        locked.key = None
        failed = failures_with_key(locked)
        assert "is answered with 200; expected 401" in failed["Authorization"]


def failures_with_key(server):
    report = check_server(server.url, api_key="secret", only=["HTTP"])
    return {result.name: result.reason for result in report.results if result.status == "FAIL"}


def test_refusing_an_empty_bearer_fails(server):
    server.fault = Fault()
    original = server.RequestHandlerClass.allowed

    def allowed(handler):
        if (handler.headers.get("authorization") or "x").strip() == "Bearer":
            handler.tell(401, {"error": {"message": "no key"}})
            return False
        return original(handler)

    server.RequestHandlerClass.allowed = allowed
    try:
        assert "'Bearer ' is answered with 401: no key" in failures(server, Fault(), ["HTTP"])["Authorization"]
    finally:
        server.RequestHandlerClass.allowed = original


def test_what_is_refused_is_not_offered_unless_it_is_required(server):
    server.fault = refusing(lambda document: document.get("n") == 3 or "stop" in document)
    results = {result.name: result for result in check_server(server.url, only=["chat"]).results}
    assert results["n answers"].status == "NOT OFFERED"
    assert results["n answers"].reason == "/v1/chat/completions answered 400: not here"
    assert results["stop as a text"].status == "FAIL"
    assert results["stop as a text"].problems[0].text == results["n answers"].reason


def test_a_server_of_chats_alone_offers_no_more(server):
    server.fault = Fault(answer=lambda document, at, status: (404, {"error": {"message": "no such path"}})
                         if not at.startswith(("/v1/chat", "/v1/models")) else document,
                         request=lambda document, at: {**document, "stream": False})
    report = check_server(server.url, only=["completions", "responses", "tokens", "/health"])
    assert {result.status for result in report.results} == {"NOT OFFERED"}
    assert report.passed


def test_the_report_for_people(server, capsys):
    server.fault = answer(CHAT, "choices.*.message.role")
    assert run(server.url) == 1
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == f"pynanochat {__version__}, {len(CHECKS)} checks of {server.url}"
    assert "  FAIL         fields that clients read                     required" in lines
    assert any(line.strip() == "choices[0].message.role is missing; expected 'assistant'" for line in lines)
    assert any(line.split() == ["openai-python", "fields", "that", "clients", "read"] for line in lines)
    assert lines[-1].startswith(f"{len(CHECKS) - 1} PASS, 1 FAIL, 0 NOT OFFERED in ")
    assert lines[-1].endswith(" with the model fake/one: required checks failed")
    assert (err, "\033" in out) == ("", False)


def test_the_report_for_programs(server, capsys):
    assert run(server.url, json=True) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert (out.count("\n"), err) == (1, "")
    assert document["version"] == __version__
    assert document["passed"] is True
    assert document["counts"] == {"PASS": len(CHECKS), "FAIL": 0, "NOT OFFERED": 0}
    assert document["clients"]["lm-eval"] == {"works": True, "missing": []}
    assert document["checks"][0] | {"seconds": 0} == {
        "area": "models", "name": "models are listed", "level": "required",
        "clients": ["openai-python", "openai-npm", "guidellm"], "status": "PASS", "reason": "", "problems": [],
        "seconds": 0}


def test_the_command(server, capsys):
    assert main(["serve", "--check", server.url, "fake/one", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "fake/one"
    assert main(["serve", "--check", "nowhere"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), err.startswith("nanochat: 'nowhere' is no URL")) == ("", 1, True)


def test_an_optional_failure_does_not_fail_the_command(server, capsys):
    server.fault = answer(CHAT, "choices.*.message.refusal")
    assert run(server.url, json=True) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["FAIL"] == 1


def test_streams_that_run_on_are_seen(monkeypatch):
    monkeypatch.setattr("pynanochat.contract.load._FREED_SECONDS", 0.2)
    with serving() as server:
        server.running = 3
        failed = failures(server, Fault(), list(LEAVING))
    assert failed == {
        "nothing runs on for clients that left": "num_requests_running is 3 0.2 s after all clients have left"}


def test_a_server_that_is_full_once_clients_left_is_seen(monkeypatch):
    monkeypatch.setattr("pynanochat.contract.server._MOST_REST", 0.0)
    with serving() as server:
        left = []
        fault = Fault(request=lambda document, at: left.append(at) or document if document.get("stream") else document,
                      answer=lambda document, at, status: (503, {"error": {"message": "full"}}) if left else document)
        failed = failures(server, fault, ["clients that leave make room"])
    assert failed == {"clients that leave make room": "/v1/chat/completions answered 503: full"}


@pytest.mark.parametrize(("url", "said"), [
    ("127.0.0.1:8000", "is no URL of an HTTP server"), ("", "is no URL of an HTTP server"),
    ("ftp://host", "is no URL of an HTTP server"), ("http://", "is no URL of an HTTP server"),
    ("http://host:99999", "is no URL"), ("http://[::1", "is no URL"), ("http://me:pw@host", "more than a server"),
    ("http://host/v1?key=1", "more than a server"), ("http://ho st", "letters that no URL has"),
    ("http://host/ä", "more than a server")])
def test_what_is_no_url(url, said):
    with pytest.raises(RequestError, match=said):
        check_server(url)


@pytest.mark.parametrize(("url", "meant"), [
    ("http://host", "http://host"), ("https://Host:443/v1/", "https://host"), ("http://host:80/v1", "http://host"),
    ("http://host:81/a/v1", "http://host:81/a"), ("http://[::1]:8000/", "http://[::1]:8000")])
def test_urls(url, meant):
    assert str(Address.parse(url)) == meant


def test_nobody_there():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        for scheme in (url, url.replace("http", "https")):
            with pytest.raises(RequestError, match=r"cannot be reached: Connection refused; start the server"):
                check_server(scheme)


def test_http_where_tls_was_expected(server):
    with pytest.raises(RequestError, match="cannot be reached"):
        check_server(server.url.replace("http", "https"), timeout=5)


@pytest.mark.parametrize(("options", "said"), [
    ({"only": ["chats"]}, "no check is named 'chats'; expected an area of models, chat"),
    ({"timeout": 0}, "timeout is 0"), ({"api_key": "a\nb"}, "API key")])
def test_options_that_cannot_be(server, options, said):
    with pytest.raises(RequestError, match=said):
        check_server(server.url, **options)

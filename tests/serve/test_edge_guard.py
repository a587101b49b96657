"""Who may ask: Host, Origin, API key; and what every answer says to a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="the extra serve is not installed")

from edge_server import Edge, edge, request

from pynanochat.serve.guard import Guard
from pynanochat.serve.page import Page

KEYS = ("sk-one", "schlüssel", "ключ")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    folder = tmp_path_factory.mktemp("web")
    (folder / "index.html").write_text("<!doctype html><title>chat</title>")
    (folder / "app.js").write_text("export {};")
    (folder / "secret.key").write_text("no")
    (folder / ".hidden.js").write_text("no")
    (folder / "vendor").mkdir()
    (folder / "vendor" / "marked.js").write_text("//")
    (folder / "vendor" / "LICENSE").write_text("MIT")
    (folder / "style.css").write_text("p { margin: 0 }")
    guard = Guard(bound="127.0.0.1", keys=KEYS, hosts=["chat.example"], origins=["https://app.example/"])
    with edge(Page(folder), guard=guard) as running:
        yield running


@pytest.fixture(scope="module")
def keyless() -> Iterator[Edge]:
    with edge() as running:
        yield running


def post(server: Edge, *headers: str, host: str = "localhost") -> Any:
    return server.ask(request("POST", "/v1/echo", "Content-Type: application/json", *headers, body=b"{}", host=host))


def code(reply: Any) -> str:
    return str(json.loads(reply.body)["error"]["code"])


HERE = ["localhost", "localhost:8000", "LOCALHOST:1", "127.0.0.1:8000", "127.9.9.9", "[::1]:8000", "a.localhost",
        "localhost.:8000"]
ELSEWHERE = ["evil.example", "evil.example:8000", "192.168.1.5", "127.0.0.1.evil.example", "localhost.evil.example",
             "notlocalhost", "[::2]", "0.0.0.0", "2130706433"]


@pytest.mark.parametrize("host", HERE)
def test_hosts_of_this_machine_are_answered(keyless: Edge, host: str) -> None:
    assert keyless.ask(request("GET", "/health", host=host)).status == 200


@pytest.mark.parametrize("host", ELSEWHERE)
def test_a_rebound_name_is_refused_everywhere(keyless: Edge, host: str) -> None:
    for path in ("/health", "/", "/metrics", "/v1/models/fake", "/nothing"):
        reply = keyless.ask(request("GET", path, host=host))
        assert (reply.status, code(reply)) == (403, "host_not_allowed")


@pytest.mark.parametrize("host", ["", "a b", "a@b", "local\u00e9", "localhost:99999999", "http://localhost", "[::1"])
def test_a_malformed_host_is_refused(keyless: Edge, host: str) -> None:
    assert keyless.ask(request("GET", "/health", host=host)).status == 400


@pytest.mark.parametrize(("bound", "keys", "hosts", "host", "allowed"), [
    ("127.0.0.1", (), (), "evil.example", False), ("127.0.0.1", ("k",), (), "evil.example", False),
    ("127.0.0.1", (), ("evil.example",), "evil.example:80", True), ("127.0.0.1", (), ("*",), "evil.example", True),
    ("localhost", (), (), "evil.example", False), ("::1", (), (), "[::1]:8000", True),
    ("0.0.0.0", (), (), "evil.example", False), ("0.0.0.0", (), (), "192.168.1.5:8000", True),
    ("0.0.0.0", ("k",), (), "evil.example", True), ("0.0.0.0", ("k",), ("chat.example",), "evil.example", False),
    ("0.0.0.0", ("k",), ("chat.example",), "chat.example", True), ("::", (), (), "[fe80::1]:8000", True)])
def test_which_names_are_answered(bound: str, keys: Any, hosts: Any, host: str, allowed: bool) -> None:
    with edge(guard=Guard(bound=bound, keys=keys, hosts=hosts)) as running:
        assert running.ask(request("GET", "/health", host=host)).status == (200 if allowed else 403)


@pytest.mark.parametrize("origin", ["http://localhost", "HTTP://LOCALHOST:80", "https://app.example"])
def test_pages_from_here_and_allowed_ones_may_ask(server: Edge, origin: str) -> None:
    reply = post(server, f"Origin: {origin}", "Authorization: Bearer sk-one")
    assert reply.status == 200
    assert reply.headers.get("access-control-allow-origin") == (origin if "app" in origin else None)
    assert "access-control-allow-credentials" not in reply.headers


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:3000", "http://localhost.evil",
                                    "file://", "https://app.example.evil", "chrome-extension://x", "", "http://app.example"])
def test_foreign_pages_may_not(server: Edge, origin: str) -> None:
    for raw in (request("GET", "/health", f"Origin: {origin}"),
                request("POST", "/v1/echo", f"Origin: {origin}", "Content-Type: application/json", body=b"{}"),
                request("OPTIONS", "/v1/echo", f"Origin: {origin}", "Access-Control-Request-Method: POST")):
        reply = server.ask(raw)
        assert (reply.status, code(reply)) == (403, "origin_not_allowed")
        assert "access-control-allow-origin" not in reply.headers


def test_a_preflight_is_answered_for_allowed_pages(server: Edge) -> None:
    reply = server.ask(request("OPTIONS", "/v1/echo", "Origin: https://app.example",
                               "Access-Control-Request-Method: POST",
                               "Access-Control-Request-Headers: authorization, content-type, x-stainless-os"))
    assert reply.status == 204
    assert reply.headers["access-control-allow-origin"] == "https://app.example"
    assert reply.headers["access-control-allow-headers"] == "authorization, content-type, x-stainless-os"
    assert "POST" in reply.headers["access-control-allow-methods"]
    refused = post(server, "Origin: https://app.example")  # an error is readable by the page, too
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, "https://app.example")


@pytest.mark.parametrize("headers", [
    (), ("Content-Type: text/plain",), ("Content-Type: application/x-www-form-urlencoded",),
    ("Content-Type: multipart/form-data; boundary=x",)])
def test_what_a_form_can_send_is_no_json(keyless: Edge, headers: tuple[str, ...]) -> None:
    reply = keyless.ask(request("POST", "/v1/echo", *headers, body=b"{}"))
    assert (reply.status, code(reply)) == (415, "unsupported_media_type")


def test_json_may_name_its_charset(keyless: Edge) -> None:
    raw = request("POST", "/v1/echo", "Content-Type: Application/JSON; charset=utf-8", body=b"{}")
    assert keyless.ask(raw).status == 200
    assert keyless.post("/v1/echo", b"{}", "Content-Encoding: gzip").status == 415


@pytest.mark.parametrize("authorization", [
    None, "", "Bearer", "Bearer ", "Bearer wrong", "Bearer sk-on", "Bearer sk-one x", "Basic sk-one", "sk-one",
    "Bearer " + "x" * 3000, "Bearer schl\u00fcsse", "Bearer \u20ac"])
def test_a_wrong_key_is_refused(server: Edge, authorization: str | None) -> None:
    headers = [] if authorization is None else [f"Authorization: {authorization}"]
    for raw in (request("GET", "/metrics", *headers), request("GET", "/openapi.json", *headers),
                request("GET", "/v1/models/fake", *headers),
                request("POST", "/v1/echo", "Content-Type: application/json", *headers, body=b"{}")):
        reply = server.ask(raw)
        assert (reply.status, code(reply)) == (401, "invalid_api_key")
        assert reply.headers["www-authenticate"].startswith("Bearer")


def test_any_of_the_keys_is_taken_in_either_coding(server: Edge) -> None:
    server.handlers.tenants.clear()
    for key in KEYS:
        assert post(server, f"Authorization: Bearer {key}").status == 200
    raw = request("POST", "/v1/echo", "Content-Type: application/json", "Authorization: bearer @", body=b"{}")
    assert server.ask(raw.replace(b"@", "schlüssel".encode("latin-1"))).status == 200
    tenants = server.handlers.tenants
    assert len(set(tenants)) == 3
    assert tenants[3] == tenants[1]
    assert all(len(tenant) == 64 and "sk" not in tenant for tenant in tenants)


def test_two_keys_at_once_are_refused(server: Edge) -> None:
    assert post(server, "Authorization: Bearer sk-one", "Authorization: Bearer wrong").status == 400


def test_without_keys_any_key_is_taken(keyless: Edge) -> None:
    keyless.handlers.tenants.clear()
    for header in ((), ("Authorization: Bearer ",), ("Authorization: Bearer sk-anything",)):
        assert post(keyless, *header).status == 200
    assert keyless.handlers.tenants == ["", "", ""]


def test_health_and_the_page_need_no_key(server: Edge) -> None:
    for path in ("/health", "/", "/app.js", "/vendor/marked.js"):
        assert server.get(path).status == 200, path


def test_the_page_is_served_as_it_is_and_strictly(server: Edge) -> None:
    reply = server.get("/")
    assert reply.body == b"<!doctype html><title>chat</title>"
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.strip().partition(" ")[::2] for part in reply.headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'", "script-src": "'self'", "connect-src": "'self'", "style-src": "'self'",
        "img-src": "'self' data:", "font-src": "'self'", "base-uri": "'none'", "form-action": "'none'",
        "frame-ancestors": "'none'", "require-trusted-types-for": "'script'",
        "trusted-types": "dompurify"}
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["cross-origin-opener-policy"] == "same-origin"
    kinds = {path: server.get(path).headers["content-type"] for path in ("/app.js", "/style.css", "/vendor/LICENSE")}
    assert [kind.partition(";")[0] for kind in kinds.values()] == ["text/javascript", "text/css", "text/plain"]


def test_the_page_is_not_sent_twice(server: Edge) -> None:
    etag = server.get("/app.js").headers["etag"]
    reply = server.get("/app.js", f'If-None-Match: "other", W/{etag}')
    assert (reply.status, reply.body) == (304, b"")
    assert server.get("/app.js", 'If-None-Match: "other"').status == 200


@pytest.mark.parametrize("path", [
    "/../app.py", "/%2e%2e/app.py", "/vendor/../../app.py", "/..%2fapp.py", "/..%5capp.py", "//etc/passwd",
    "/secret.key", "/.hidden.js", "/vendor", "/vendor/", "/app.js/", "/APP.JS", "/app.js%00", "/%00",
    "/index.html/..", "/%ff%fe", "/" + "a/" * 2000])
def test_no_other_file_is_reachable(server: Edge, path: str) -> None:
    reply = server.get(path)
    assert (reply.status, code(reply)) == (404, "not_found")


def test_every_answer_says_who_it_is_for(server: Edge) -> None:
    for reply in (server.get("/health"), server.get("/nothing"), post(server), server.get("/")):
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cross-origin-resource-policy"] == "same-origin"
        assert reply.headers["x-request-id"].startswith("req_")
        assert "server" not in reply.headers
    assert server.get("/health", "X-Request-Id: my-own.1").headers["x-request-id"] == "my-own.1"
    assert server.get("/health", "X-Request-Id: not fit; for logs").headers["x-request-id"].startswith("req_")


def test_the_installed_page_is_whole() -> None:
    """Whatever lies in web/ is reachable by its name, and index.html names nothing that is not there."""
    folder = Path(__file__).parents[2] / "src" / "pynanochat" / "serve" / "web"
    if not (folder / "index.html").is_file():
        pytest.skip("there is no page in this tree")
    assets = Page().assets
    assert assets["/"] is assets["/index.html"]
    files = {f"/{path.relative_to(folder).as_posix()}" for path in folder.rglob("*") if path.is_file()}
    assert files == set(assets) - {"/"}

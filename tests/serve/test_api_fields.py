"""Every field of OpenAI's is supported, named as ignored, or refused by name; wrong values are 400 naming the field."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("prometheus_client", reason="nanochat serve needs the extra serve")

from api_client import Api

CHAT, TEXT, RESPONSE = "/v1/chat/completions", "/v1/completions", "/v1/responses"
LEAST: dict[str, dict[str, Any]] = {
    CHAT: {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1},
    TEXT: {"prompt": "Hi", "max_tokens": 1},
    RESPONSE: {"input": "Hi", "max_output_tokens": 1},
}
FUNCTION = {"name": "python", "parameters": {"type": "object"}}

SUPPORTED: list[tuple[str, str, Any]] = [
    *((path, name, value) for path in LEAST for name, value in [
        ("model", "story5m"), ("model", ""), ("model", "default"), ("temperature", 0.5), ("top_p", 0.9), ("top_p", 0),
        ("stream", False), ("stop", "x"), ("stop", ["x", "y"]), ("stop", []), ("seed", 7), ("seed", -7), ("top_k", 5),
        ("top_k", -1), ("min_p", 0.1), ("repetition_penalty", 1.1), ("presence_penalty", 1), ("frequency_penalty", -1),
        ("logit_bias", {"5": 1.5}), ("ignore_eos", True), ("stop_token_ids", [3]), ("cache_salt", "s")]),
    *((CHAT, name, value) for name, value in [
        ("logprobs", True), ("top_logprobs", 3), ("max_completion_tokens", 1), ("n", 2), ("tool_choice", "none"),
        ("tool_choice", "auto"), ("tools", [{"type": "function", "function": FUNCTION}]), ("tools", []),
        ("response_format", {"type": "text"}), ("modalities", ["text"]), ("reasoning_effort", "none"),
        ("verbosity", "medium"), ("function_call", "none"), ("store", False), ("parallel_tool_calls", False),
        ("return_token_ids", True), ("show_tool_calls", False)]),
    *((TEXT, name, value) for name, value in [
        ("logprobs", 2), ("echo", True), ("best_of", 2), ("n", 2), ("prompt", [5, 6]), ("prompt", ["a", "b"]),
        ("prompt", [[5], [6, 7]]), ("prompt", None), ("return_token_ids", True),
        ("response_format", {"type": "text"})]),
    *((RESPONSE, name, value) for name, value in [
        ("instructions", "Be brief."), ("text", {"format": {"type": "text"}}), ("truncation", "auto"),
        ("truncation", "disabled"), ("tools", [{"type": "function", **FUNCTION}]), ("tool_choice", "none"),
        ("tools", [{"type": "code_interpreter", "container": {"type": "auto"}}]), ("metadata", {"a": "b"}),
        ("include", ["message.output_text.logprobs", "code_interpreter_call.outputs"]), ("top_logprobs", 2),
        ("store", False), ("background", False), ("parallel_tool_calls", False), ("reasoning", {"effort": None})]),
]

IGNORED: list[tuple[str, str, Any]] = [
    *((path, name, "x") for path in LEAST for name in (
        "user", "safety_identifier", "service_tier", "prompt_cache_key", "prompt_cache_retention", "surprise")),
    *((path, "prompt_cache_options", {"mode": "implicit"}) for path in (CHAT, RESPONSE)),
    (CHAT, "metadata", {"a": "b"}), (CHAT, "store", True), (CHAT, "parallel_tool_calls", True),
    (CHAT, "stream_options", {"include_usage": True}), (TEXT, "stream_options", {"include_usage": True}),
    (RESPONSE, "store", True), (RESPONSE, "parallel_tool_calls", True), (RESPONSE, "stream_options", {}),
    (RESPONSE, "max_tokens", 5), (CHAT, "best_of", 2), (TEXT, "tools", []),
]

REFUSED: list[tuple[str, str, Any]] = [
    *((CHAT, name, value) for name, value in [
        ("audio", {"voice": "a", "format": "wav"}), ("prediction", {"type": "content", "content": "x"}),
        ("functions", [{"name": "f"}]), ("function_call", {"name": "f"}), ("web_search_options", {}),
        ("moderation", {}), ("modalities[1]", ["text", "audio"]), ("reasoning_effort", "high"), ("verbosity", "low"),
        ("tool_choice", "required"), ("tool_choice", {"type": "function", "function": {"name": "python"}}),
        ("tools[0].function.name", [{"type": "function", "function": {"name": "get_weather"}}]),
        ("tools[0].type", [{"type": "custom", "custom": {"name": "x"}}])]),
    (TEXT, "suffix", "end"),
    *((RESPONSE, name, value) for name, value in [
        ("previous_response_id", "resp_1"), ("conversation", "conv_1"), ("prompt", {"id": "p"}), ("background", True),
        ("max_tool_calls", 1), ("context_management", []), ("background_options", {}), ("moderation", {}),
        ("reasoning.effort", {"effort": "low"}), ("text.verbosity", {"verbosity": "high"}), ("tool_choice", "required"),
        ("tools[0].type", [{"type": "web_search"}]), ("tools[0].name", [{"type": "function", "name": "f"}])]),
]

WRONG: list[tuple[str, str, Any]] = [
    *((path, name, value) for path in LEAST for name, values in {
        "temperature": [-0.1, 101, "1", True, [], {}], "top_p": [-0.1, 1.1, "x"], "top_k": [-2, 1.5, True, 2**31],
        "min_p": [-1, 2], "repetition_penalty": [0, 101], "presence_penalty": [2.1, -2.1], "seed": [2**63, 1.5, "1"],
        "frequency_penalty": [-2.1, 2.1], "stop": ["", ["a"] * 17, [""], "x" * 257, 5, [5]],
        "logit_bias": [{"x": 1}, {"1": 101}, {"1": "1"}, {"-1": 0}, [], {"5\n": 1}, {str(i): 0 for i in range(1025)}],
        "stop_token_ids": [[-1], ["1"], [2048], [True], [0] * 129], "stream": [1, "true"], "model": [5, {}],
        "ignore_eos": [1], "cache_salt": ["x" * 257, 5], "grammar": [5, "x" * 65537],
        "structured_outputs": [{}, {"regex": "a", "json": {}}, {"regex": 5}, "x"]}.items() for value in values),
    *((path, name, value) for path in (CHAT, TEXT) for name, values in {
        "n": [0, 17, "2", True, 1.5, -1, 10**30], "max_tokens": [-1, 1.5, "5", True, 2**31, 10**100],
        "stream_options": [5, {"include_usage": 1}], "response_format": [{"type": "xml"}, {}, 5],
        "return_token_ids": [1]}.items() for value in values),
    *((CHAT, name, value) for name, values in {
        "messages": [[], None, "hi", {}, [5], [{"role": "user", "content": "x"}] * 1001],
        "top_logprobs": [21, -1, True], "logprobs": [1, "yes"], "max_completion_tokens": [-1, True],
        "tools": [5, [{}], [{"type": "function"}]]}.items() for value in values),
    *((TEXT, name, value) for name, values in {
        "prompt": [[], [[]], [5, "x"], ["x", [5]], [-1], [2048], [[2048]], [True], {}, 5, ["x"] * 129, [1.5]],
        "logprobs": [21, -1, True, "1"], "best_of": [0, 17, True], "echo": [1]}.items() for value in values),
    *((RESPONSE, name, value) for name, values in {
        "input": [[], None, 5, [5], [{"role": "user"}], [{"type": "function_call", "call_id": "a"}]],
        "max_output_tokens": [-1, True], "truncation": ["never"], "metadata": [{"a": 5}], "include": [5, [5]],
        "text": [{"format": {"type": "json_schema"}}, 5], "top_logprobs": [21]}.items() for value in values),
]


def named(case: object) -> str:
    return json.dumps(case)[:60] if not isinstance(case, str) else case


def reply_to(api: Api, path: str, name: str, value: Any) -> Any:
    field = name.partition(".")[0].partition("[")[0]
    return api.post(path, LEAST[path] | {field: value})


@pytest.mark.parametrize(("path", "name", "value"), SUPPORTED, ids=named)
def test_supported(api: Api, path: str, name: str, value: Any) -> None:
    reply = reply_to(api, path, name, value)
    assert reply.status == 200, reply.body
    assert name not in reply.headers.get("x-nanochat-ignored", "").split(", ")


@pytest.mark.parametrize(("path", "name", "value"), IGNORED, ids=named)
def test_ignored_by_name(api: Api, path: str, name: str, value: Any) -> None:
    reply = reply_to(api, path, name, value)
    assert reply.status == 200, reply.body
    told = reply.headers["x-nanochat-ignored"].split(", ")
    assert [each.partition(".")[0] for each in told] == [name]
    assert "x-nanochat-ignored" not in reply_to(api, path, name, None).headers


@pytest.mark.parametrize(("path", "name", "value"), REFUSED, ids=named)
def test_refused_by_name(api: Api, path: str, name: str, value: Any) -> None:
    reply = reply_to(api, path, name, value)
    assert reply.status == 400
    assert reply.error["param"] == name
    assert reply.error["code"] == "unsupported_value"
    assert reply.error["type"] == "invalid_request_error"


@pytest.mark.parametrize(("path", "name", "value"), WRONG, ids=named)
def test_wrong_values(api: Api, path: str, name: str, value: Any) -> None:
    reply = reply_to(api, path, name, value)
    assert reply.status == 400, reply.body
    assert reply.error["param"].startswith(name)
    assert len(reply.body) < 4096


@pytest.mark.parametrize("path", LEAST)
def test_null_is_the_same_as_leaving_a_field_out(api: Api, path: str) -> None:
    needed = {"messages", "input"}
    fields = {name for where, name, _ in (*SUPPORTED, *IGNORED) if where == path} - needed
    reply = api.post(path, LEAST[path] | dict.fromkeys(fields - {"max_tokens", "max_output_tokens"}))
    assert reply.status == 200, reply.body
    assert "x-nanochat-ignored" not in reply.headers


@pytest.mark.parametrize("text", [
    b"", b"{", b"[]", b"5", b"null", b'"x"', b'{"temperature": NaN}', b'{"temperature": Infinity}', b"\xff", b"{}",
    b'{"temperature": 1e999}', b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
    b'{"x": ' + b"9" * 5000 + b"}",
    b'{"messages": [{"role": "user", "content": "\xff"}]}', b'{"model": "x"} {}', b"{'model': 1}", b"\xef\xbb\xbf{}",
    b'{"max_tokens": ' + b"9" * 400 + b"}", b'{"a":' * 20 + b"1", b'{"messages": [{"content": "x"}]}',
], ids=lambda text: repr(text[:40]))
def test_what_is_no_request_is_refused_cleanly(api: Api, text: bytes) -> None:
    for path in LEAST:
        reply = api.post(path, body=text)
        assert reply.status == 400, reply.body
        assert reply.error["type"] == "invalid_request_error"


def test_names_in_the_header_are_bounded_and_harmless(api: Api) -> None:
    odd = {f"né\r\nx-evil: {number}" + "y" * 200: 1 for number in range(60)}
    told = api.post(CHAT, LEAST[CHAT] | odd).headers["x-nanochat-ignored"]
    assert told.isascii()
    assert "\n" not in told
    assert told.endswith("and 28 more") or len(told) <= 2010
    nested = LEAST[CHAT] | {"messages": [{"role": "user", "name": "Ann", "content": [
        {"type": "text", "text": "Hi", "cache_control": {}}]}], "stream": True, "stream_options": {"x": 1}}
    assert set(api.post(CHAT, nested).headers["x-nanochat-ignored"].split(", ")) == {
        "stream_options.x", "messages.content.cache_control", "messages.name"}

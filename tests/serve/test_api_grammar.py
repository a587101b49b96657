"""Answers held to a form: JSON, schemas, choices, expressions and rules, by whichever field asks for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("prometheus_client", reason="nanochat serve needs the extra serve")
pytest.importorskip("llguidance", reason="grammars need the extra serve")

from api_client import Api

CHAT, TEXT, RESPONSE = "/v1/chat/completions", "/v1/completions", "/v1/responses"
LEAST: dict[str, dict[str, Any]] = {
    CHAT: {"messages": [{"role": "user", "content": "What is 3*4?"}], "max_tokens": 60},
    TEXT: {"prompt": "Once", "max_tokens": 60}, RESPONSE: {"input": "What is 3*4?", "max_output_tokens": 60},
}
PERSON = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 0, "maximum": 99},
                                           "name": {"enum": ["Ann", "Bob"]}},
          "required": ["age", "name"], "additionalProperties": False}


def said(reply: Any, path: str) -> str:
    assert reply.status == 200, reply.body
    answer = reply.json()
    if path == RESPONSE:
        (message,) = answer["output"]
        return str(message["content"][0]["text"])
    choice = answer["choices"][0]
    assert choice["finish_reason"] == "stop"
    return str(choice["message"]["content"] if path == CHAT else choice["text"])


@pytest.mark.parametrize("path", LEAST)
@pytest.mark.parametrize(("fields", "options"), [
    ({"grammar": 'start: "yes" | "no"'}, ("yes", "no")),
    ({"structured_outputs": {"choice": ["red", "green"]}}, ("red", "green")),
    ({"structured_outputs": {"regex": "[ab]{2}"}}, ("aa", "ab", "ba", "bb")),
    ({"structured_outputs": {"grammar": 'start: "x"'}}, ("x",)),
    ({"structured_outputs": {"json": {"const": 5}}}, ("5",)),
    ({"structured_outputs": {"json": '{"const": 5}'}}, ("5",)),
], ids=str)
def test_every_way_to_name_a_form(api: Api, path: str, fields: dict[str, Any], options: tuple[str, ...]) -> None:
    for seed in range(3):
        body = LEAST[path] | fields | {"seed": seed, "temperature": 1.5, "top_k": 0}
        assert said(api.post(path, body), path) in options
        assert said(api.post(path, body | {"ignore_eos": True}), path) in options


@pytest.mark.parametrize("path", LEAST)
def test_a_json_schema(api: Api, path: str) -> None:
    form: dict[str, Any] = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}
    fields = {"response_format": form}
    if path == RESPONSE:
        fields = {"text": {"format": {"type": "json_schema", "name": "person", "schema": PERSON, "strict": True}}}
    for seed in range(4):
        person = json.loads(said(api.post(path, LEAST[path] | fields | {"seed": seed}), path))
        assert list(person) == ["age", "name"]
        assert 0 <= person["age"] <= 99
        assert person["name"] in ("Ann", "Bob")
    if path == RESPONSE:
        told = api.post(path, LEAST[path] | fields).json()["text"]["format"]
        assert told == fields["text"]["format"] | {"description": None}


def test_a_json_object(api: Api) -> None:
    body = LEAST[CHAT] | {"response_format": {"type": "json_object"}, "stop_token_ids": [], "max_tokens": 120}
    found = [api.post(CHAT, body | {"seed": seed}).json()["choices"][0] for seed in range(4)]
    whole = [json.loads(choice["message"]["content"]) for choice in found if choice["finish_reason"] == "stop"]
    assert all(isinstance(value, dict) for value in whole)
    assert all(choice["message"]["content"].startswith("{") for choice in found)


def test_a_form_keeps_the_calculator_out_and_samples_apart(api: Api) -> None:
    body = LEAST[CHAT] | {"structured_outputs": {"regex": "[0-9]{1,4}"}, "n": 4, "seed": 1, "temperature": 1.5}
    choices = api.post(CHAT, body).json()["choices"]
    assert all(choice["message"]["content"].isdecimal() for choice in choices)
    assert all("tool_calls" not in choice["message"] for choice in choices)
    assert len({choice["message"]["content"] for choice in choices}) > 1
    tools = {"tools": [{"type": "function", "function": {"name": "python"}}]}
    assert api.post(CHAT, body | tools).json()["choices"] == choices


@pytest.mark.parametrize(("fields", "param"), [
    ({"grammar": "start: ("}, "grammar"),
    ({"grammar": ""}, "grammar"),
    ({"structured_outputs": {"regex": "("}}, "structured_outputs"),
    ({"structured_outputs": {"json": "{"}}, "structured_outputs"),
    ({"structured_outputs": {"json": {"type": "nonsense"}}}, "structured_outputs"),
    ({"structured_outputs": {"choice": ["a"], "regex": "a"}}, "structured_outputs"),
    ({"structured_outputs": {}}, "structured_outputs"),
    ({"structured_outputs": {"json_object": False}}, "structured_outputs"),
    ({"grammar": 'start: "a"', "structured_outputs": {"choice": ["a"]}}, "grammar"),
], ids=str)
def test_forms_that_cannot_be_used_are_refused_by_name(api: Api, fields: dict[str, Any], param: str) -> None:
    for path in LEAST:
        error = api.post(path, LEAST[path] | fields).error
        assert error["param"] == param
    body = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": 5}}}}
    assert api.post(CHAT, LEAST[CHAT] | body).error["param"] == "response_format"

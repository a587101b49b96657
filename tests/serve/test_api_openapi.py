"""openapi.json is what the code reads and writes: it is built from the same types, and answers fit its schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("prometheus_client", reason="nanochat serve needs the extra serve")

from api_client import Api

from pynanochat.serve import openapi
from pynanochat.serve.routes import ROUTES


@pytest.fixture(scope="module")
def document() -> Any:
    return json.loads(openapi.PLACE.read_text(encoding="utf-8"))


def test_the_file_is_what_the_types_say() -> None:
    assert openapi.PLACE.read_text(encoding="utf-8") == openapi.text(), (
        "a type has changed; run python -m pynanochat.serve.openapi")


def test_it_is_served(api: Api, document: Any) -> None:
    assert api.get("/openapi.json").json() == document


def test_it_describes_every_route_and_no_other(api: Api, document: Any) -> None:
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item
                 if method != "parameters"}
    own = {("GET", "/health"), ("GET", "/metrics"), ("GET", "/openapi.json")}
    assert described == set(ROUTES) | own


def test_every_reference_leads_somewhere_and_every_shape_is_used(document: Any) -> None:
    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for each in value.get("mapping", {}).values() if "propertyName" in value else ():
                yield each
            for each in value.values():
                yield from references(each)
        elif isinstance(value, list):
            for each in value:
                yield from references(each)

    used = set(references(document))
    for reference in used:
        place = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
    assert {f"#/components/schemas/{name}" for name in document["components"]["schemas"]} <= used


def test_answers_fit_their_schemas(api: Api, document: Any) -> None:
    validator = pytest.importorskip("jsonschema_rs", reason="schemathesis brings the validator")

    def check(name: str, value: Any) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        validator.Draft202012Validator(schema).validate(value)

    ask = {"messages": [{"role": "user", "content": "What is 3*4?"}], "temperature": 0, "max_tokens": 30}
    wide = {"logprobs": True, "top_logprobs": 2, "return_token_ids": True, "n": 2}
    usage = {"stream": True, "stream_options": {"include_usage": True, "continuous_usage_stats": True}}
    for extra in ({}, wide, {"tools": [{"type": "function", "function": {"name": "python"}}]}):
        check("ChatCompletion", api.post("/v1/chat/completions", ask | extra).json())
        for options in ({"stream": True}, usage):
            for chunk in api.post("/v1/chat/completions", ask | extra | options).chunks:
                check("ChatChunk", chunk)
    text = {"prompt": "Once", "max_tokens": 4}
    for extra in ({}, {"logprobs": 2, "echo": True, "return_token_ids": True, "n": 2}):
        check("Completion", api.post("/v1/completions", text | extra).json())
        for chunk in api.post("/v1/completions", text | extra | usage).chunks:
            check("CompletionChunk", chunk)
    for extra in ({}, {"max_output_tokens": 3}, {"top_logprobs": 1},
                  {"tools": [{"type": "function", "name": "python"}]}):
        given = {"input": "What is 3*4?", "temperature": 0, **extra}
        check("Response", api.post("/v1/responses", given).json())
        for event in api.post("/v1/responses", given | {"stream": True}).events:
            check("ResponseEvent", event)
    check("ModelList", api.get("/v1/models").json())
    check("Model", api.get("/v1/models/story5m").json())
    check("Tokenized", api.post("/tokenize", {"prompt": "a", "return_token_strs": True}).json())
    check("Tokenized", api.post("/tokenize", {"content": "é", "with_pieces": True}).json())
    check("Detokenized", api.post("/detokenize", {"tokens": [5]}).json())
    check("TokenizerInfo", api.get("/tokenizer_info").json())
    check("Health", api.get("/health").json())
    check("ErrorDocument", api.post("/v1/responses", {}).json())

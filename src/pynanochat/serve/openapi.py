"""The OpenAPI document: paths are written here, shapes are those that requests are read into and answers made of.

`python -m pynanochat.serve.openapi` writes openapi.json, which is checked in and served; a test holds the two together.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

import pynanochat
from pynanochat.serve.schema import ErrorDocument
from pynanochat.serve.schema_chat import ChatChunk, ChatCompletion, ChatRequest
from pynanochat.serve.schema_completions import PROMPT_SHAPES, Completion, CompletionChunk, CompletionRequest
from pynanochat.serve.schema_models import Model, ModelList
from pynanochat.serve.schema_response_events import ResponseEvent
from pynanochat.serve.schema_responses import Response, ResponseRequest
from pynanochat.serve.schema_tokens import (
    Detokenized,
    DetokenizeRequest,
    Tokenized,
    TokenizeRequest,
    TokenizerInfo,
)

PLACE = Path(__file__).with_name("openapi.json")
_REQUESTS: list[Any] = [ChatRequest, CompletionRequest, ResponseRequest, TokenizeRequest, DetokenizeRequest]
_ANSWERS: list[Any] = [
    ResponseEvent, ChatCompletion, ChatChunk, Completion, CompletionChunk, Response, ModelList, Model, Tokenized,
    Detokenized, TokenizerInfo, ErrorDocument,
]
_REFERENCE = "#/components/schemas/{name}"
_ABOUT = """OpenAI's API over nanochat models. What a field of OpenAI's would change and the model cannot do is refused
with 400, naming the field; every other field that has no effect is named in the header x-nanochat-ignored. Extensions:
top_k, min_p, repetition_penalty, stop_token_ids, ignore_eos, grammar, structured_outputs, cache_salt, return_token_ids,
show_tool_calls, continue_final_message and token_ids. The model may call its own calculator, a function named python:
the server runs it, unless the request declares it as a tool. Besides what the schemas say, 400 answers token ids
beyond the model's vocabulary, prompts beyond its context, conversations whose last message is not to be answered,
grammars that do not compile, more than one grammar, n above best_of, best_of above n in a stream, more than 128
samples."""
_STATUSES = {
    400: "The request is wrong; param names the field.", 401: "A valid API key is needed.",
    403: "The Host or Origin of the request is not answered.", 404: "There is no such model.",
    405: "The path takes other methods, named in the header allow.", 408: "The request did not come in time.",
    413: "The body is too long.", 414: "The URL is too long.", 415: "The body is not application/json.",
    417: "An expectation other than 100-continue.", 429: "Too many requests wait; ask again after retry-after seconds.",
    431: "The headers are too long.", 500: "The server failed.", 503: "The server starts, stops or is overloaded.",
}
_REQUEST_ID = {"x-request-id": {
    "description": "As the client sent it, or a new one.", "schema": {"type": "string"}, "required": True}}
_TOLD = _REQUEST_ID | {
    "x-nanochat-ignored": {"description": "Fields of the request that had no effect.", "schema": {"type": "string"}}}
_DROPPED = _TOLD | {"x-nanochat-dropped-turns": {
    "description": "How many of the oldest turns the context had no room for.", "schema": {"type": "string"}}}
_HEALTH = {
    "type": "object", "required": ["status", "models"], "properties": {
        "status": {"enum": ["ok", "loading", "shutting_down", "engine_failed", "no_progress"]},
        "models": {"type": "object", "additionalProperties": {
            "type": "object",
            "required": ["status", "running", "waiting", "steps", "generated_tokens", "seconds_without_progress"],
            "properties": {
                "status": {"enum": ["idle", "busy", "no_progress", "failed"]}, "running": {"type": "integer"},
                "waiting": {"type": "integer"}, "steps": {"type": "integer"}, "generated_tokens": {"type": "integer"},
                "seconds_without_progress": {"type": "number"}}}}}}
_ONE_OF_THREE = {"oneOf": [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in
                           ("prompt", "content", "messages")]}


def document() -> dict[str, Any]:
    """The whole document."""
    schemas = _schemas()
    return {
        "openapi": "3.1.0",
        "info": {"title": "nanochat serve", "version": pynanochat.__version__, "description": " ".join(_ABOUT.split()),
                 "license": {"name": "MIT", "identifier": "MIT"}},
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{"url": "/"}],
        "security": [{}, {"bearer": []}],
        "tags": [{"name": "Answers"}, {"name": "Models"}, {"name": "Tokens"}, {"name": "Server"}],
        "paths": {
            "/v1/chat/completions": {"post": _asking(
                "Answers", "createChatCompletion", "Answer a conversation.", "ChatRequest", "ChatCompletion", _DROPPED,
                events="ChatChunk")},
            "/v1/completions": {"post": _asking(
                "Answers", "createCompletion", "Continue texts or token ids.", "CompletionRequest", "Completion", _TOLD,
                events="CompletionChunk")},
            "/v1/responses": {"post": _asking(
                "Answers", "createResponse", "Answer a conversation, in items.", "ResponseRequest", "Response",
                _DROPPED, events="ResponseEvent")},
            "/v1/models": {"get": _getting("Models", "listModels", "The models that are served.", _json("ModelList"))},
            "/v1/models/{model}": {
                "parameters": [{"name": "model", "in": "path", "required": True, "description": "Its name.",
                                "schema": {"type": "string", "minLength": 1}}],
                "get": _getting("Models", "retrieveModel", "One of them.", _json("Model"), extra=(404,))},
            "/tokenize": {"post": _asking(
                "Tokens", "tokenize", "The tokens of a text or a conversation.", "TokenizeRequest", "Tokenized",
                _TOLD)},
            "/detokenize": {"post": _asking(
                "Tokens", "detokenize", "The text of tokens.", "DetokenizeRequest", "Detokenized", _TOLD)},
            "/tokenizer_info": {
                "parameters": [{"name": "model", "in": "query", "required": False, "schema": {"type": "string"},
                                "description": "A name from /v1/models; the first one if left out."}],
                "get": _getting("Tokens", "getTokenizerInfo", "What clients need to use the tokenizer.",
                                _json("TokenizerInfo"), extra=(400, 404))},
            "/health": {"get": _getting(
                "Server", "getHealth", "Whether the server answers and its models make progress.",
                {"application/json": {"schema": {"$ref": "#/components/schemas/Health"}}}, health=True)},
            "/metrics": {"get": _getting("Server", "getMetrics", "Counters in Prometheus' text format.",
                                         {"text/plain": {"schema": {"type": "string"}}})},
            "/openapi.json": {"get": _getting("Server", "getDescription", "This document.",
                                              {"application/json": {"schema": {"type": "object"}}}, extra=(404,))},
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {
                "type": "http", "scheme": "bearer", "description": "Where the server was started with API keys."}},
            "responses": {str(status): {
                "description": text, "headers": _REQUEST_ID,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorDocument"}}}}
                for status, text in _STATUSES.items()},
        },
    }


def _schemas() -> dict[str, Any]:
    """The shapes by name."""
    _, of_requests = msgspec.json.schema_components(_REQUESTS, ref_template=_REFERENCE)
    (events, *_), of_answers = msgspec.json.schema_components(_ANSWERS, ref_template=_REFERENCE)
    of_requests["TokenizeRequest"] |= _ONE_OF_THREE
    of_requests["CompletionRequest"]["properties"]["prompt"] |= PROMPT_SHAPES
    told = {name: _told(schema) for name, schema in of_answers.items() if name not in of_requests}
    return dict(sorted({**of_requests, **told, "ResponseEvent": events, "Health": _HEALTH}.items()))


def _told(schema: dict[str, Any]) -> dict[str, Any]:
    """An answer's shape: what has a default is always there, too."""
    if "properties" not in schema:
        return schema
    fields = schema["properties"]
    always = [name for name in fields if name in schema["required"] or "default" in fields[name]]
    return schema | {"required": always, "properties": {
        name: {key: value for key, value in field.items() if key != "default"} for name, field in fields.items()}}


def _asking(
    tag: str, name: str, summary: str, request: str, answer: str, headers: dict[str, Any], *, events: str | None = None
) -> dict[str, Any]:
    """A POST operation with a JSON body, and events as the other form of its answer."""
    content: dict[str, Any] = _json(answer)
    if events is not None:
        kinds: list[dict[str, Any]] = [{"type": "string", "contentMediaType": "application/json",
                                        "contentSchema": {"$ref": f"#/components/schemas/{events}"}}]
        if events != "ResponseEvent":
            kinds.insert(0, {"const": "[DONE]"})
        content["text/event-stream"] = {"schema": {
            "type": "object", "required": ["data"],
            "description": f"With stream: events whose data is a {events}, or an ErrorDocument as the last one.",
            "properties": {"event": {"type": "string"}, "data": {"anyOf": kinds}}}}
    return {
        "tags": [tag], "operationId": name, "summary": summary,
        "requestBody": {"required": True, "content": _json(request)},
        "responses": {"200": {"description": "The answer.", "headers": headers, "content": content},
                      **_errors(400, 401, 403, 404, 405, 408, 413, 414, 415, 417, 429, 431, 500, 503)}}


def _getting(
    tag: str, name: str, summary: str, content: dict[str, Any], *, extra: tuple[int, ...] = (), health: bool = False
) -> dict[str, Any]:
    """A GET operation."""
    answer = {"description": "The answer.", "headers": _REQUEST_ID, "content": content}
    codes = (400, 403, 405, 408, 414, 431, 500) if health else (400, 401, 403, 405, 408, 414, 431, 500, 503)
    responses = {"200": answer, **_errors(*sorted({*codes, *extra}))}
    if health:
        responses["503"] = answer | {"description": "The server starts, stops, or is stuck."}
    return {"tags": [tag], "operationId": name, "summary": summary, "responses": responses,
            **({"security": [{}]} if health else {})}


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _errors(*statuses: int) -> dict[str, Any]:
    return {str(status): {"$ref": f"#/components/responses/{status}"} for status in statuses}


def text() -> str:
    """The document as it is checked in."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PLACE.write_text(text(), encoding="utf-8")

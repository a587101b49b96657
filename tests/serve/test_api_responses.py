"""/v1/responses: the document, the order of its events, and that both tell the same."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

pytest.importorskip("prometheus_client", reason="nanochat serve needs the extra serve")

from api_client import Api, Reply, ScriptedApi

from pynanochat.serve.schema_response_events import ResponseEvent
from pynanochat.serve.schema_responses import Response

ASK = "What is 123 times 45?"
FUNCTION = {"type": "function", "name": "python", "parameters": {"type": "object"}, "strict": True}
LOGPROBS = "message.output_text.logprobs"


def respond(api: Api, given: Any = ASK, **fields: Any) -> Reply:
    return api.post("/v1/responses", {"input": given, "temperature": 0, **fields})


def without_names(value: Any) -> Any:
    """A document without what is new in every answer."""
    if isinstance(value, dict):
        return {key: without_names(each) for key, each in value.items()
                if key not in ("id", "created_at", "completed_at", "call_id", "item_id", "input_tokens_details")}
    return [without_names(each) for each in value] if isinstance(value, list) else value


def test_a_whole_answer_has_every_field_that_openai_requires(api: Api) -> None:
    answer = respond(api, instructions="Be brief.", metadata={"a": "b"}, max_output_tokens=60).json()
    assert set(answer) == set(Response.__struct_fields__)
    assert answer["object"] == "response"
    assert answer["id"].startswith("resp_")
    assert answer["status"] == "completed"
    assert answer["completed_at"] >= answer["created_at"]
    assert (answer["error"], answer["incomplete_details"], answer["previous_response_id"]) == (None, None, None)
    assert (answer["instructions"], answer["metadata"], answer["max_output_tokens"]) == ("Be brief.", {"a": "b"}, 60)
    assert answer["text"]["format"] == {"type": "text"}
    assert (answer["tool_choice"], answer["tools"], answer["truncation"]) == ("auto", [], "auto")
    assert (answer["temperature"], answer["top_p"], answer["store"]) == (0, 1, False)
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["output_tokens_details"] == {"reasoning_tokens": 0}
    assert usage["input_tokens_details"]["cached_tokens"] >= 0


def test_the_calculator_is_a_code_interpreter(api: Api) -> None:
    first, call, last = respond(api).json()["output"]
    for message in (first, last):
        assert set(message) == {"type", "id", "status", "role", "content"}
        assert (message["type"], message["status"], message["role"]) == ("message", "completed", "assistant")
        (part,) = message["content"]
        assert set(part) == {"type", "text", "annotations", "logprobs"}
        assert (part["type"], part["annotations"], part["logprobs"]) == ("output_text", [], [])
    assert "5535" in last["content"][0]["text"]
    assert {**call, "id": ""} == {
        "type": "code_interpreter_call", "id": "", "status": "completed", "code": "123*45", "container_id": "nanochat",
        "outputs": [{"type": "logs", "logs": "5535"}]}
    plain = respond(api, tool_choice="none").json()["output"]
    assert [item["type"] for item in plain] == ["message"]


def test_events_come_in_their_order_and_build_the_document(api: Api) -> None:
    reply = respond(api, stream=True, include=[LOGPROBS], top_logprobs=1)
    events = reply.events
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    names = [line.removeprefix("event: ") for line in reply.body.decode().split("\n") if line.startswith("event: ")]
    assert names == [event["type"] for event in events]
    for line in reply.data:
        assert msgspec.json.encode(msgspec.json.decode(line, type=ResponseEvent)).decode() == line
    steps = [name.removeprefix("response.") for place, name in enumerate(names)
             if place == 0 or names[place - 1] != name]
    message = ["output_item.added", "content_part.added", "output_text.delta", "output_text.done", "content_part.done",
               "output_item.done"]
    call = ["output_item.added", "code_interpreter_call.in_progress", "code_interpreter_call_code.delta",
            "code_interpreter_call_code.done", "code_interpreter_call.interpreting", "code_interpreter_call.completed",
            "output_item.done"]
    assert steps == ["created", "in_progress", *message, *call, *message, "completed"]

    items: list[Any] = []
    for event in events:
        kind = event["type"].removeprefix("response.")
        if kind == "output_item.added":
            assert event["output_index"] == len(items)
            items.append(event["item"])
        elif kind == "content_part.added":
            items[-1]["content"].append(event["part"])
        elif kind == "output_text.delta":
            items[event["output_index"]]["content"][event["content_index"]]["text"] += event["delta"]
            items[event["output_index"]]["content"][event["content_index"]]["logprobs"] += event["logprobs"]
        elif kind == "code_interpreter_call_code.delta":
            items[event["output_index"]]["code"] += event["delta"]
        elif kind == "output_item.done":
            done = event["item"]
            assert done["id"] == items[-1]["id"]
            built = items[-1] | {key: done[key] for key in ("status", "outputs") if key in done}
            assert built == done
            items[-1] = done
        if "item_id" in event:
            assert event["item_id"] == items[event["output_index"]]["id"]
    assert events[-1]["response"]["output"] == items
    assert events[0]["response"]["status"] == "in_progress"
    assert events[0]["response"]["output"] == []


@pytest.mark.parametrize("fields", [
    {}, {"include": [LOGPROBS]}, {"max_output_tokens": 4}, {"max_output_tokens": 0}, {"tools": [FUNCTION]},
    {"stop": ["e"]}, {"temperature": 1.2, "seed": 4},
], ids=str)
def test_a_stream_ends_with_the_whole_answer(api: Api, fields: dict[str, Any]) -> None:
    whole = respond(api, **fields).json()
    last = respond(api, stream=True, **fields).events[-1]
    assert last["type"] == f"response.{whole['status']}"
    assert without_names(last["response"]) == without_names(whole)
    short = "max_output_tokens" in fields
    assert whole["status"] == ("incomplete" if short else "completed")
    assert whole["incomplete_details"] == ({"reason": "max_output_tokens"} if short else None)
    assert [item["type"] for item in whole["output"]][:1] == ["message"]


def test_logprobs_come_with_every_token_of_a_message(scripted: ScriptedApi) -> None:
    ask = [{"role": "user", "content": "hi"}]
    tokens = [*scripted.spell("🙂 ok "), *scripted.spell("STOP")]
    scripted.script(tokens, messages=ask)
    for fields in ({"include": [LOGPROBS]}, {"top_logprobs": 2}):
        answer = scripted.post("/v1/responses", {"input": "hi", "temperature": 0, "stop": ["STOP"], **fields}).json()
        (part,) = answer["output"][0]["content"]
        assert part["text"] == "🙂 ok "
        assert b"".join(bytes(item["bytes"]) for item in part["logprobs"]).startswith("🙂 ok STOP".encode()[:-2])
        assert {len(item["top_logprobs"]) for item in part["logprobs"]} == {fields.get("top_logprobs", 0)}


def test_the_client_runs_the_calculator_it_declares(api: Api) -> None:
    output = respond(api, tools=[FUNCTION]).json()["output"]
    call = output[-1]
    assert set(call) == {"type", "id", "status", "call_id", "name", "arguments"}
    assert (call["type"], call["name"], json.loads(call["arguments"])) == (
        "function_call", "python", {"code": "123*45"})
    names = [event["type"] for event in respond(api, tools=[FUNCTION], stream=True).events]
    for name in ("delta", "done"):
        assert f"response.function_call_arguments.{name}" in names
    given = [{"role": "user", "content": ASK}, *output,
             {"type": "function_call_output", "call_id": call["call_id"], "output": "777"}]
    rest = respond(api, given, tools=[FUNCTION]).json()
    assert "777" in rest["output"][0]["content"][0]["text"]


def test_output_can_be_sent_back_as_input(api: Api) -> None:
    """The conversation of a second turn is laid out as the model made it: the tool's block stands where it stood."""
    first = respond(api).json()["output"]
    chat = api.chat(ASK, temperature=0, return_token_ids=True).json()
    exact = api.post("/v1/chat/completions", {"temperature": 0, "max_tokens": 1, "messages": [
        {"role": "user", "content": ASK},
        {"role": "assistant", "token_ids": chat["choices"][0]["token_ids"]},
        {"role": "user", "content": "And 2 + 2?"}]}).json()
    more = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "And 2 + 2?"}]}
    second = respond(api, [{"role": "user", "content": ASK}, *first, more], max_output_tokens=1).json()
    assert second["usage"]["input_tokens"] == exact["usage"]["prompt_tokens"]
    assert second["usage"]["input_tokens_details"]["cached_tokens"] > 30


def test_truncation_is_the_context_policy(api: Api) -> None:
    turns = [{"role": role, "content": f"It is {number}."} for number in range(60) for role in ("user", "assistant")]
    given = [*turns, {"role": "user", "content": ASK}]
    for truncation, told in ((None, "auto"), ("auto", "auto")):
        reply = respond(api, given, truncation=truncation, max_output_tokens=8)
        assert reply.json()["truncation"] == told
        assert int(reply.headers["x-nanochat-dropped-turns"]) > 0
    error = respond(api, given, truncation="disabled", max_output_tokens=8).error
    assert (error["code"], error["param"]) == ("context_length_exceeded", "input")


@pytest.mark.parametrize(("given", "param"), [
    ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "input[1]"),
    ([{"type": "function_call_output", "call_id": "c", "output": "1"}], "input[0].tool_call_id"),
    ([{"type": "function_call", "call_id": "c", "name": "python"}], "input[0].arguments"),
    ([{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}], "input[0].name"),
    ([{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}], "input[0].content[0].type"),
    ([{"type": "item_reference", "id": "x"}], "input[0].type"),
    ([{"type": "message", "role": "user"}], "input[0].content"),
])
def test_items_that_are_no_conversation_are_refused_by_place(api: Api, given: Any, param: str) -> None:
    assert respond(api, given).error["param"] == param


def test_a_failure_on_the_way_is_told_as_one(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from pynanochat.serve.response_items import ResponseItems
    from pynanochat.serve.responses import ResponseDocument

    taken, made, begun = ResponseItems.take, ResponseDocument.begun, []

    def fail(self: ResponseItems, piece: Any) -> None:
        if begun:
            raise RuntimeError("secret detail")
        taken(self, piece)

    def begin(self: ResponseDocument) -> Any:
        begun.append(self)
        return made(self)

    monkeypatch.setattr(ResponseItems, "take", fail)
    monkeypatch.setattr(ResponseDocument, "begun", begin)
    reply = respond(api, "Tell me a story.", stream=True, max_output_tokens=400, ignore_eos=True)
    last = reply.events[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["status"] == "failed"
    assert set(last["response"]["error"]) == {"code", "message"}
    assert last["response"]["error"]["code"] == "server_error"
    assert "secret" not in reply.body.decode()
    assert [event["sequence_number"] for event in reply.events] == list(range(len(reply.events)))

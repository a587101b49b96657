"""The responses API: its answer, and the order of its events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pynanochat.contract.clients import OPENAI_AGENTS, OPENAI_PYTHON, SPECIFICATION
from pynanochat.contract.problem import AnswerError, NotOfferedError, Problem, quoted, shown
from pynanochat.contract.result import Check
from pynanochat.contract.server import QUESTION, RESPONSES, SHORT, Document, Server, Transcript, parsed, pick
from pynanochat.contract.shape import (
    ANYTHING,
    COUNT,
    NAME,
    TEXT,
    differences,
    exactly,
    one_of,
    record,
    sequence,
)
from pynanochat.contract.structured import DOG

PART = record(type=exactly("output_text"), text=TEXT, annotations=sequence(ANYTHING))
MESSAGE = record(id=NAME, type=exactly("message"), role=exactly("assistant"),
                 status=one_of("completed", "incomplete"), content=sequence(PART, 1))
USAGE = record(input_tokens=COUNT, output_tokens=COUNT, total_tokens=COUNT)
RESPONSE = record(
    id=NAME, object=exactly("response"), created_at={"type": "number"}, model=NAME,
    status=one_of("completed", "incomplete"), output=sequence(record(type=NAME), 1), usage=USAGE,
    parallel_tool_calls={"type": "boolean"}, tool_choice=ANYTHING, tools=sequence(ANYTHING))
ORDER = ("response.created", "response.output_item.added", "response.content_part.added", "response.output_text.delta",
         "response.output_text.done", "response.content_part.done", "response.output_item.done")
_LAST = ("response.completed", "response.incomplete")


def fields(server: Server) -> Iterator[Problem]:
    """The fields of a response and of the message in it."""
    document = _response(server)
    yield from differences(document, RESPONSE)
    yield from differences(_message(document), MESSAGE, "output[].message")
    usage = document.get("usage")
    if isinstance(usage, dict) and not any(differences(usage, USAGE)) and (
            usage["input_tokens"] + usage["output_tokens"] != usage["total_tokens"]):
        yield Problem("usage.total_tokens", f"is {usage['total_tokens']}; expected {usage['input_tokens']} + "
                                            f"{usage['output_tokens']}")


def messages(server: Server) -> Iterator[Problem]:
    """A list of messages as input says the same as a text."""
    asked = server.ask(RESPONSES, {
        "input": [{"role": "user", "content": [{"type": "input_text", "text": QUESTION}]}],
        "max_output_tokens": 2 * SHORT, "temperature": 0})
    told, plain = text_of(asked), text_of(_response(server))
    if told != plain:
        yield Problem("input", f"as a list of messages is answered with {quoted(told)}; expected what the same text "
                               f"is answered with, {quoted(plain)}")


def formatted(server: Server) -> Iterator[Problem]:
    """A schema for the text."""
    document = server.ask(RESPONSES, {
        "input": "Describe the dog and its ball as a JSON object.", "max_output_tokens": 96, "temperature": 0,
        "text": {"format": {"type": "json_schema", "name": "dog", "schema": DOG, "strict": True}}})
    return differences(parsed(text_of(document), "output[].content[].text"), DOG, "output[].content[].text")


def remembered(server: Server) -> Iterator[Problem]:
    """A response to go on from that never was is an error."""
    try:
        server.ask(RESPONSES, {"input": QUESTION, "max_output_tokens": SHORT, "previous_response_id": "resp_never"})
    except NotOfferedError:
        _response(server)  # refused for this field, if the same without it is not
        return
    yield Problem("previous_response_id", "that never was is ignored; expected 400 or 404")


def ordered(server: Server) -> Iterator[Problem]:
    """The events in their order, named alike in both places, numbered."""
    transcript = _stream(server)
    types = [str(chunk.get("type")) for chunk in transcript.chunks]
    for wanted in ORDER:
        if wanted not in types:
            yield Problem("type", f"{wanted} never comes")
            return
    places = [types.index(wanted) for wanted in ORDER]
    if places != sorted(places):
        came = sorted(ORDER, key=types.index)
        yield Problem("type", f"comes in the order {', '.join(came)}; expected {', '.join(ORDER)}")
    if types[-1] not in _LAST:
        yield Problem("type", f"of the last event is {quoted(types[-1])}; expected response.completed or "
                              "response.incomplete")
    numbers = [chunk.get("sequence_number") for chunk in transcript.chunks]
    if not all(isinstance(number, int) for number in numbers) or numbers != sorted(set(map(int, map(str, numbers)))):
        yield Problem("sequence_number", f"is {shown(numbers)}; expected growing numbers")
    for event, chunk in zip([event for event in transcript.events if event.data != "[DONE]"], transcript.chunks,
                            strict=True):
        if event.name != chunk.get("type"):
            yield Problem("event", f"is {quoted(event.name)} for the type {quoted(str(chunk.get('type')))}")
            return


def streamed(server: Server) -> Iterator[Problem]:
    """The deltas are the text that the events at the end hold, and the text without a stream."""
    chunks = _stream(server).chunks
    deltas = [chunk for chunk in chunks if chunk.get("type") == "response.output_text.delta"]
    for name in ("item_id", "output_index", "content_index", "delta"):
        if any(name not in chunk for chunk in deltas):
            yield Problem(f"response.output_text.delta.{name}", "is missing")
            return
    together, wanted = "".join(str(chunk["delta"]) for chunk in deltas), text_of(_response(server))
    if together != wanted:
        yield Problem("response.output_text.delta.delta", f"is {quoted(together)} together; expected what the "
                                                          f"response is without a stream, {quoted(wanted)}")
    for chunk in chunks:
        if chunk.get("type") == "response.output_text.done" and chunk.get("text") != together:
            yield Problem("response.output_text.done.text", f"is {shown(chunk.get('text'))}; expected all deltas")
        if chunk.get("type") in _LAST:
            final = pick(chunk, "response", kind=dict)
            yield from (Problem(f"response.{problem.field}", problem.text) for problem in differences(final, RESPONSE))
            if text_of(final) != together:
                yield Problem("response.output", f"is {quoted(text_of(final))} in the last event; expected all deltas")


def text_of(document: Document) -> str:
    """The text of a response's message."""
    parts: list[Any] = pick(_message(document), "content", kind=list)
    return "".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))


def _message(document: Document) -> Document:
    output: list[Any] = pick(document, "output", kind=list)
    for item in output:
        if isinstance(item, dict) and item.get("type") == "message":
            return item
    raise AnswerError("holds no item of the type message", "output")


def _response(server: Server) -> Document:
    return server.kept("response", lambda: server.ask(
        RESPONSES, {"input": QUESTION, "max_output_tokens": 2 * SHORT, "temperature": 0}))


def _stream(server: Server) -> Transcript:
    return server.kept("response stream", lambda: server.stream(
        RESPONSES, {"input": QUESTION, "max_output_tokens": 2 * SHORT, "temperature": 0}))


CHECKS = (
    Check("responses", "fields of a response", "expected", (SPECIFICATION, OPENAI_PYTHON, OPENAI_AGENTS), fields),
    Check("responses", "messages as input", "expected", (SPECIFICATION, OPENAI_AGENTS), messages),
    Check("responses", "text.format json_schema", "expected", (SPECIFICATION, OPENAI_PYTHON, OPENAI_AGENTS),
          formatted),
    Check("responses", "previous_response_id is not ignored", "expected", (SPECIFICATION, OPENAI_AGENTS), remembered),
    Check("responses", "events come in their order", "expected", (SPECIFICATION, OPENAI_PYTHON, OPENAI_AGENTS),
          ordered),
    Check("responses", "events hold the whole text", "expected", (SPECIFICATION, OPENAI_PYTHON, OPENAI_AGENTS),
          streamed),
)

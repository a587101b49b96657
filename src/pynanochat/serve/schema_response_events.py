"""The events of a stream of /v1/responses, in the order in which they come; each has a number of its own."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from pynanochat.serve.schema_responses import OutputItem, OutputText, Response, ResponseLogprob


class _Event(Struct, kw_only=True, tag_field="type"):
    """Anything that a stream tells."""

    sequence_number: int


class Created(_Event, tag="response.created"):
    """The request has been read."""

    response: Response


class InProgress(_Event, tag="response.in_progress"):
    """The answer begins."""

    response: Response


class ItemAdded(_Event, tag="response.output_item.added"):
    """An item begins."""

    output_index: int
    item: OutputItem


class PartAdded(_Event, tag="response.content_part.added"):
    """A message's text begins."""

    item_id: str
    output_index: int
    content_index: int
    part: OutputText


class TextDelta(_Event, tag="response.output_text.delta"):
    """More of a message's text."""

    item_id: str
    output_index: int
    content_index: int
    delta: str
    logprobs: list[ResponseLogprob]


class TextDone(_Event, tag="response.output_text.done"):
    """A message's whole text."""

    item_id: str
    output_index: int
    content_index: int
    text: str
    logprobs: list[ResponseLogprob]


class PartDone(_Event, tag="response.content_part.done"):
    """A message's text has ended."""

    item_id: str
    output_index: int
    content_index: int
    part: OutputText


class ItemDone(_Event, tag="response.output_item.done"):
    """An item has ended."""

    output_index: int
    item: OutputItem


class CallInProgress(_Event, tag="response.code_interpreter_call.in_progress"):
    """The model begins to call its calculator."""

    item_id: str
    output_index: int


class CodeDelta(_Event, tag="response.code_interpreter_call_code.delta"):
    """More of what it asks."""

    item_id: str
    output_index: int
    delta: str


class CodeDone(_Event, tag="response.code_interpreter_call_code.done"):
    """All that it asks."""

    item_id: str
    output_index: int
    code: str


class CallInterpreting(_Event, tag="response.code_interpreter_call.interpreting"):
    """The calculator works."""

    item_id: str
    output_index: int


class CallCompleted(_Event, tag="response.code_interpreter_call.completed"):
    """The calculator has answered, or has nothing to say."""

    item_id: str
    output_index: int


class ArgumentsDelta(_Event, tag="response.function_call_arguments.delta"):
    """More of what the client is to calculate."""

    item_id: str
    output_index: int
    delta: str


class ArgumentsDone(_Event, tag="response.function_call_arguments.done"):
    """All that the client is to calculate."""

    item_id: str
    output_index: int
    name: str
    arguments: str


class Completed(_Event, tag="response.completed"):
    """The whole answer."""

    response: Response


class Incomplete(_Event, tag="response.incomplete"):
    """The answer, ended by a limit."""

    response: Response


class Failed(_Event, tag="response.failed"):
    """The answer came to no end."""

    response: Response


ResponseEvent: TypeAlias = (
    Created | InProgress | ItemAdded | PartAdded | TextDelta | TextDone | PartDone | ItemDone | CallInProgress
    | CodeDelta | CodeDone | CallInterpreting | CallCompleted | ArgumentsDelta | ArgumentsDone | Completed | Incomplete
    | Failed)

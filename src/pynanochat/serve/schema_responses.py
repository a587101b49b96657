"""Requests to and answers of /v1/responses."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

from pynanochat.serve.limits import Limits
from pynanochat.serve.schema import MOST_TOKEN_ID, JsonObjectFormat, Sampling, TextFormat

_PART = {"type": "object", "required": ["type", "text"], "properties": {
    "type": {"enum": ["input_text", "output_text", "text"]}, "text": {"type": "string"}}}
_TEXT = {"anyOf": [{"type": "string"}, {"type": "array", "items": _PART}]}
_ITEM_SHAPES: dict[str, Any] = {"anyOf": [  # the Struct below holds all of them; `responses` checks the rest
    {"type": "object", "required": ["role", "content"], "properties": {
        "type": {"enum": ["message", None]}, "content": _TEXT,
        "role": {"enum": ["user", "assistant", "system", "developer"]}}},
    {"type": "object", "required": ["type", "call_id", "name", "arguments"], "properties": {
        "type": {"const": "function_call"}, "call_id": {"type": "string"}, "name": {"const": "python"},
        "arguments": {"type": "string"}}},
    {"type": "object", "required": ["type", "call_id", "output"], "properties": {
        "type": {"const": "function_call_output"}, "call_id": {"type": "string"}, "output": _TEXT}},
    {"type": "object", "required": ["type", "id", "code"], "properties": {
        "type": {"const": "code_interpreter_call"}, "id": {"type": "string"}, "code": {"type": ["string", "null"]},
        "outputs": {"anyOf": [{"type": "null"}, {"type": "array", "items": {
            "type": "object", "required": ["type", "logs"], "properties": {
                "type": {"const": "logs"}, "logs": {"type": "string"}}}}]}}},
]}


class InputPart(Struct, kw_only=True):
    """A stretch of a message's text."""

    type: Literal["input_text", "output_text", "text"]
    text: str


class Logs(Struct, kw_only=True):
    """What the calculator answered."""

    type: Literal["logs"] = "logs"
    logs: str


class InputItem(Struct, kw_only=True):
    """One item of a conversation: a message, or a call of the calculator, or its output."""

    type: Literal["message", "function_call", "function_call_output", "code_interpreter_call"] | None = None
    id: str | None = None
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: str | list[InputPart] | None = None
    call_id: str | None = None
    name: Literal["python"] | None = None
    arguments: str | None = None
    output: str | list[InputPart] | None = None
    code: str | None = None
    outputs: list[Logs] | None = None
    status: str | None = None
    container_id: str | None = None


class NamedSchemaFormat(Struct, tag_field="type", tag="json_schema", kw_only=True):
    """JSON that a schema describes."""

    name: str
    schema: dict[str, Any]
    description: str | None = None
    strict: Annotated[bool | None, Meta(description="The answer always follows the schema.")] = None


class TextSettings(Struct, kw_only=True):
    """What the text of the answer may be."""

    format: TextFormat | JsonObjectFormat | NamedSchemaFormat | None = None
    verbosity: Literal["medium"] | None = None


class FunctionTool(Struct, tag_field="type", tag="function", kw_only=True):
    """The calculator, run by the client."""

    name: Literal["python"]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class CodeInterpreterTool(Struct, tag_field="type", tag="code_interpreter", kw_only=True):
    """The calculator, run by the server; it runs where no tool is named, too."""

    container: Any = None


Tool: TypeAlias = FunctionTool | CodeInterpreterTool


class ReasoningSettings(Struct, kw_only=True):
    """The model has no reasoning apart from its answer."""

    effort: Literal["none"] | None = None
    summary: str | None = None


class ResponseRequest(Sampling, kw_only=True):
    """A conversation to be answered."""

    input: Annotated[
        str | Annotated[
            list[Annotated[InputItem, Meta(extra_json_schema=_ITEM_SHAPES)]],
            Meta(min_length=1, max_length=Limits.messages)],
        Meta(description="A user's text, or a conversation whose last item is a user's message or a call's output.")]
    instructions: Annotated[str | None, Meta(description="The system prompt.")] = None
    max_output_tokens: Annotated[
        Annotated[int, Meta(ge=0, le=MOST_TOKEN_ID)] | None,
        Meta(description="The longest answer; it ends at the end of the context in any case.")] = None
    text: TextSettings | None = None
    tools: Annotated[list[Tool], Meta(max_length=16)] | None = None
    tool_choice: Annotated[
        Literal["auto", "none"] | None, Meta(description="none: the model has no calculator.")] = None
    include: Annotated[
        Annotated[list[str], Meta(max_length=32)] | None,
        Meta(description="message.output_text.logprobs: tell the probability of each token.")] = None
    top_logprobs: Annotated[
        Annotated[int, Meta(ge=0, le=Limits.logprobs)] | None,
        Meta(description="For each token the most probable ones.")] = None
    truncation: Annotated[
        Literal["auto", "disabled"] | None,
        Meta(description="auto: a conversation too long for the context loses its oldest turns; disabled: it is "
                         "refused; left out: as the model's context policy says.")] = None
    metadata: Annotated[
        Annotated[dict[str, str], Meta(max_length=16)] | None, Meta(description="Comes back as it is.")] = None
    store: Annotated[bool | None, Meta(description="Nothing is ever kept.")] = None
    parallel_tool_calls: Annotated[bool | None, Meta(description="The model makes one call after the other.")] = None
    background: Annotated[bool, Meta(extra_json_schema={"const": False})] | None = None
    reasoning: ReasoningSettings | None = None
    previous_response_id: None = None
    conversation: None = None
    prompt: None = None
    max_tool_calls: None = None
    context_management: None = None
    background_options: None = None
    moderation: None = None


class ResponseTopLogprob(Struct, kw_only=True):
    """A token that could have come, and its probability."""

    token: str
    logprob: Annotated[float, Meta(le=0)]
    bytes: Annotated[list[int], Meta(description="Of UTF-8; empty for special tokens.")]


class ResponseLogprob(ResponseTopLogprob, kw_only=True):
    """A token that came, its probability, and what else could have come."""

    top_logprobs: list[ResponseTopLogprob]


class OutputText(Struct, kw_only=True):
    """The text of a message."""

    type: Literal["output_text"] = "output_text"
    text: str
    annotations: Annotated[list[dict[str, Any]], Meta(max_length=0)] = []
    logprobs: list[ResponseLogprob] = []


Status: TypeAlias = Literal["in_progress", "completed", "incomplete"]


class OutputMessage(Struct, tag_field="type", tag="message", kw_only=True):
    """What the model says."""

    id: str
    status: Status
    role: Literal["assistant"] = "assistant"
    content: list[OutputText]


class CodeInterpreterCall(Struct, tag_field="type", tag="code_interpreter_call", kw_only=True):
    """A call of the calculator that the server ran."""

    id: str
    status: Literal["in_progress", "interpreting", "completed", "incomplete"]
    code: str
    container_id: str = "nanochat"
    outputs: list[Logs] | None


class FunctionCall(Struct, tag_field="type", tag="function_call", kw_only=True):
    """A call of the calculator that the client is to run."""

    id: str
    status: Status
    call_id: str
    name: str = "python"
    arguments: str


OutputItem: TypeAlias = OutputMessage | CodeInterpreterCall | FunctionCall


class InputTokensDetails(Struct, kw_only=True):
    """Where the prompt's tokens came from."""

    cached_tokens: Annotated[int, Meta(ge=0)]
    cache_write_tokens: Annotated[int, Meta(ge=0, description="Not counted: always 0.")] = 0


class OutputTokensDetails(Struct, kw_only=True):
    """What the answer's tokens were for."""

    reasoning_tokens: Annotated[int, Meta(ge=0, description="Always 0.")] = 0


class ResponseUsage(Struct, kw_only=True):
    """Counts in tokens."""

    input_tokens: Annotated[int, Meta(ge=0)]
    input_tokens_details: InputTokensDetails
    output_tokens: Annotated[int, Meta(ge=0)]
    output_tokens_details: OutputTokensDetails
    total_tokens: Annotated[int, Meta(ge=0)]


class ResponseFailure(Struct, kw_only=True):
    """Why an answer failed."""

    code: str
    message: str


class IncompleteDetails(Struct, kw_only=True):
    """Why an answer is not whole."""

    reason: Literal["max_output_tokens"] = "max_output_tokens"


class Response(Struct, kw_only=True):
    """An answer, or the beginning of one."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None = None
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    background: bool = False
    error: ResponseFailure | None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: None = None
    metadata: dict[str, str]
    model: str
    output: list[OutputItem] = []
    parallel_tool_calls: bool = False
    previous_response_id: None = None
    reasoning: ReasoningSettings
    store: bool = False
    temperature: float
    text: TextSettings
    tool_choice: Literal["auto", "none"]
    tools: list[Tool]
    top_logprobs: int
    top_p: float
    truncation: Literal["auto", "disabled"]
    usage: ResponseUsage | None = None
    user: None = None

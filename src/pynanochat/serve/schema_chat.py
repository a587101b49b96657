"""Requests to and answers of /v1/chat/completions."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from pynanochat.serve.limits import Limits
from pynanochat.serve.schema import MOST_TOKEN_ID, Generation, TokenId, TokenLogprob, Usage

Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]
ChatFinishReason: TypeAlias = Literal["stop", "length", "tool_calls"]


class TextPart(Struct, kw_only=True):
    """A stretch of a message's text."""

    type: Literal["text"]
    text: str


class CalledFunction(Struct, kw_only=True):
    """The calculator, called with {"code": "..."} as JSON."""

    name: Literal["python"]
    arguments: str


class ToolCall(Struct, kw_only=True):
    """A call of the calculator."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction
    index: int | None = None  # as a stream told it


class ToolOutput(Struct, kw_only=True):
    """What the server's calculator answered."""

    tool_call_id: str
    output: str
    index: int | None = None


class ChatMessage(Struct, kw_only=True):
    """One message of a conversation."""

    role: Role
    content: Annotated[
        str | list[TextPart] | None, Meta(description="Parts are joined; null is the same as no text.")] = None
    tool_calls: list[ToolCall] | None = None
    tool_outputs: Annotated[
        list[ToolOutput] | None, Meta(description="As the server told them; without them it calculates again.")] = None
    tool_call_id: Annotated[str | None, Meta(description="Of a tool's message: the call that it answers.")] = None
    token_ids: Annotated[
        list[TokenId] | None,
        Meta(description="Of an assistant's message: exactly these tokens stand for it, not its content.")] = None


class DeclaredFunction(Struct, kw_only=True):
    """The function that the client runs."""

    name: Literal["python"]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Struct, kw_only=True):
    """A tool that the client runs; where none is declared, the server runs the calculator."""

    type: Literal["function"]
    function: DeclaredFunction


class ChatRequest(Generation, kw_only=True):
    """A conversation to be answered."""

    messages: Annotated[
        list[ChatMessage],
        Meta(min_length=1, max_length=Limits.messages,
             description="The last one is the user's or a tool's, or, with continue_final_message, the assistant's.")]
    max_completion_tokens: Annotated[
        Annotated[int, Meta(ge=0, le=MOST_TOKEN_ID)] | None,
        Meta(description="The newer name of max_tokens, before which it goes.")] = None
    logprobs: Annotated[bool | None, Meta(description="Tell the probability of each token.")] = None
    top_logprobs: Annotated[
        Annotated[int, Meta(ge=0, le=Limits.logprobs)] | None,
        Meta(description="For each token the most probable ones; given alone, it stands for logprobs, too.")] = None
    tools: Annotated[list[Tool], Meta(max_length=16)] | None = None
    tool_choice: Annotated[
        Literal["auto", "none"] | None, Meta(description="none: the model has no calculator.")] = None
    show_tool_calls: Annotated[
        bool | None, Meta(description="false: say nothing of what the server's calculator did.")] = None
    continue_final_message: Annotated[
        bool | None, Meta(description="Go on with the last message, which is the assistant's.")] = None
    modalities: Annotated[list[Literal["text"]], Meta(max_length=4)] | None = None
    reasoning_effort: Literal["none"] | None = None
    verbosity: Literal["medium"] | None = None
    audio: None = None
    prediction: None = None
    functions: None = None
    function_call: Literal["none", "auto"] | None = None
    store: Annotated[bool | None, Meta(description="Nothing is ever kept.")] = None
    parallel_tool_calls: Annotated[bool | None, Meta(description="The model makes one call after the other.")] = None
    web_search_options: None = None
    moderation: None = None


class ChatLogprobs(Struct, kw_only=True):
    """One item for each token of the text, also where its text is not told: before a stop string, or half a letter."""

    content: list[TokenLogprob]
    refusal: None = None


class ShownFunction(Struct, kw_only=True):
    """What the model asked its calculator: {"code": "..."} as JSON."""

    name: str
    arguments: str


class ShownToolCall(Struct, kw_only=True):
    """A tool block of the model."""

    id: str
    type: Literal["function"] = "function"
    function: ShownFunction


class ShownToolOutput(Struct, kw_only=True):
    """What the server's calculator answered to a call."""

    tool_call_id: str
    output: str


class AssistantMessage(Struct, kw_only=True):
    """The answer."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    tool_calls: list[ShownToolCall] | UnsetType = UNSET
    tool_outputs: list[ShownToolOutput] | UnsetType = UNSET


class Choice(Struct, kw_only=True):
    """One of the n answers."""

    index: int
    message: AssistantMessage
    logprobs: ChatLogprobs | None
    finish_reason: Annotated[
        ChatFinishReason, Meta(description="tool_calls: the client is to run python and to send its output.")]
    token_ids: Annotated[list[int] | UnsetType, Meta(description="With return_token_ids.")] = UNSET


class ChatCompletion(Struct, kw_only=True):
    """The answers to a conversation."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[Choice]
    usage: Usage
    prompt_token_ids: Annotated[list[int] | UnsetType, Meta(description="With return_token_ids.")] = UNSET


class FunctionDelta(Struct, kw_only=True):
    """More of a call; the name comes once."""

    name: str | UnsetType = UNSET
    arguments: str


class ToolCallDelta(Struct, kw_only=True):
    """More of a call; id and type come once."""

    index: int
    id: str | UnsetType = UNSET
    type: Literal["function"] | UnsetType = UNSET
    function: FunctionDelta


class ToolOutputDelta(Struct, kw_only=True):
    """What the server's calculator answered to a call."""

    index: int
    tool_call_id: str
    output: str


class Delta(Struct, kw_only=True):
    """What came since the last chunk."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType = UNSET
    tool_calls: list[ToolCallDelta] | UnsetType = UNSET
    tool_outputs: list[ToolOutputDelta] | UnsetType = UNSET


class ChunkChoice(Struct, kw_only=True):
    """More of one of the n answers."""

    index: int
    delta: Delta
    logprobs: ChatLogprobs | None = None
    finish_reason: ChatFinishReason | None = None
    token_ids: Annotated[list[int] | UnsetType, Meta(description="That this chunk covers.")] = UNSET


class ChatChunk(Struct, kw_only=True):
    """The data of one event of a stream; the last one is [DONE] instead."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChunkChoice]
    usage: Usage | UnsetType | None = UNSET
    prompt_token_ids: Annotated[list[int] | UnsetType, Meta(description="In the first chunk only.")] = UNSET

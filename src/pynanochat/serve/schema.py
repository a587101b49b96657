"""What requests share: how they are read, the fields that say how to sample, and what answers say of tokens.

A request is decoded into a Struct whose types and bounds are also what openapi.json says of it. Fields that the Struct
lacks are never refused; their names come back, to be told in a header.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeAlias, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from pynanochat.serve.errors import ApiError
from pynanochat.serve.limits import Limits

T = TypeVar("T")

LONG_BYTES = 1 << 15  # of a body; what a longer one holds takes the loop too long to encode, so a thread does it
MOST_TOKEN_ID = 2**31 - 1
MOST_IGNORED = 32  # names in the header
_ONE_FUNCTION = ("the model knows one function, python, its calculator: declare only that one, or nothing to let the "
                 "server run it")

REFUSED = {  # fields of OpenAI's that would change the answer, and that nothing here could do; their type is null
    "suffix": "the model only continues texts, it cannot fill a gap; leave it out",
    "audio": "the model speaks text only; leave it out",
    "prediction": "predicted outputs are not supported; leave it out",
    "functions": "deprecated; declare python in tools, or nothing to let the server run the calculator",
    "web_search_options": "the server searches nothing; leave it out",
    "moderation": "the server moderates nothing; leave it out",
    "max_tool_calls": "calls of the calculator are not counted; leave it out",
    "background_options": "answers are given at once and kept nowhere; leave it out",
    "previous_response_id": "the server keeps no answers; send the whole conversation as input",
    "conversation": "the server keeps no conversations; send the whole conversation as input",
    "prompt": "the server keeps no prompts; send instructions and input",
    "context_management": "long conversations lose their oldest turns; use truncation",
}
EXPECTED = {  # what can be done with a field, where OpenAI's could do more
    "function_call": "deprecated; use tool_choice",
    "modalities": 'the model answers in text only; expected ["text"]',
    "modalities[]": 'the model answers in text only; expected "text"',
    "reasoning_effort": 'the model does not reason apart from its answer; leave it out, or send "none"',
    "reasoning.effort": 'the model does not reason apart from its answer; leave it out, or send "none"',
    "verbosity": 'the model cannot be told how long to speak; leave it out, or send "medium"',
    "text.verbosity": 'the model cannot be told how long to speak; leave it out, or send "medium"',
    "tool_choice": 'expected "auto" or "none": the model cannot be made to call its calculator',
    "tools[].type": _ONE_FUNCTION,
    "tools[].function.name": _ONE_FUNCTION,
    "tools[].name": _ONE_FUNCTION,
    "messages[].role": "expected system, developer, user, assistant or tool",
    "messages[].content[].type": "the model reads text only; expected parts of type text",
    "messages[].tool_calls[].function.name": "the model knows one function, python; expected no call of another",
    "input[].type": "expected message, function_call, function_call_output or code_interpreter_call",
    "input[].content[].type": "the model reads text only; expected parts of type input_text or output_text",
    "input[].name": "the model knows one function, python; expected no call of another",
}

TokenId: TypeAlias = Annotated[int, Meta(ge=0, le=MOST_TOKEN_ID)]
StopString: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]
Stop: TypeAlias = StopString | Annotated[list[StopString], Meta(max_length=Limits.stops)]
LogitBias: TypeAlias = Annotated[
    dict[Annotated[str, Meta(pattern=r"^[0-9]{1,9}$")], Annotated[float, Meta(ge=-100, le=100)]],
    Meta(max_length=Limits.logit_bias)]


class StreamOptions(Struct, kw_only=True):
    """What a stream tells besides the answer."""

    include_usage: Annotated[bool | None, Meta(description="A last chunk with the usage.")] = None
    continuous_usage_stats: Annotated[bool | None, Meta(description="The usage so far in every chunk.")] = None


class TextFormat(Struct, tag_field="type", tag="text"):
    """Any text."""


class JsonObjectFormat(Struct, tag_field="type", tag="json_object"):
    """A JSON object."""


class JsonSchema(Struct, kw_only=True):
    """A JSON schema with a name."""

    name: str
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: Annotated[bool | None, Meta(description="The answer always follows the schema.")] = None


class JsonSchemaFormat(Struct, tag_field="type", tag="json_schema"):
    """JSON that a schema describes."""

    json_schema: JsonSchema


class StructuredOutputs(Struct, kw_only=True):
    """What the answer may be, in vLLM's words; exactly one of these."""

    json: dict[str, Any] | str | None = None
    regex: Annotated[str, Meta(max_length=8192)] | None = None
    choice: Annotated[list[Annotated[str, Meta(max_length=4096)]], Meta(min_length=1, max_length=256)] | None = None
    grammar: Annotated[str, Meta(max_length=65536)] | None = None
    json_object: bool | None = None


class Sampling(Struct, kw_only=True):
    """How to answer: the fields that all endpoints share. null is the same as leaving a field out."""

    model: Annotated[str | None, Meta(description="A name from /v1/models; the first one if left out.")] = None
    temperature: Annotated[
        Annotated[float, Meta(ge=0, le=100)] | None, Meta(description="0 is greedy; 0.6 if left out.")] = None
    top_p: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None,
        Meta(description="Keep the fewest tokens with this much probability.")] = None
    top_k: Annotated[
        Annotated[int, Meta(ge=-1, le=MOST_TOKEN_ID)] | None,
        Meta(description="Keep this many tokens; 0 and -1 are all; 50 if left out.")] = None
    min_p: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None,
        Meta(description="Keep tokens with this share of the best one's probability.")] = None
    repetition_penalty: Annotated[
        Annotated[float, Meta(ge=0.01, le=100)] | None, Meta(description="Above 1: against every token so far.")] = None
    presence_penalty: Annotated[
        Annotated[float, Meta(ge=-2, le=2)] | None, Meta(description="Against tokens in the answer, once.")] = None
    frequency_penalty: Annotated[
        Annotated[float, Meta(ge=-2, le=2)] | None,
        Meta(description="Against tokens in the answer, each time.")] = None
    logit_bias: Annotated[LogitBias | None, Meta(description="Added to logits, by token id.")] = None
    seed: Annotated[
        Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None,
        Meta(description="The same request with the same seed has the same answer.")] = None
    stop: Annotated[Stop | None, Meta(description="The answer ends before one of these texts.")] = None
    stop_token_ids: Annotated[
        Annotated[list[TokenId], Meta(max_length=128)] | None,
        Meta(description="The answer ends before one of these tokens.")] = None
    ignore_eos: Annotated[bool | None, Meta(description="Go on after the token that ends an answer.")] = None
    stream: Annotated[bool | None, Meta(description="Send the answer while it is made, as server-sent events.")] = None
    structured_outputs: StructuredOutputs | None = None
    grammar: Annotated[
        Annotated[str, Meta(max_length=65536)] | None,
        Meta(description="A grammar in llguidance's Lark that the answer follows.")] = None
    cache_salt: Annotated[
        Annotated[str, Meta(max_length=256)] | None,
        Meta(description="Share cached prompts only with requests of the same salt.")] = None


class Generation(Sampling, kw_only=True):
    """How to answer: the fields that chat and completions share."""

    max_tokens: Annotated[
        Annotated[int, Meta(ge=0, le=MOST_TOKEN_ID)] | None,
        Meta(description="The longest answer; it ends at the end of the context in any case.")] = None
    n: Annotated[
        Annotated[int, Meta(ge=1, le=Limits.samples)] | None,
        Meta(description="How many answers to each prompt.")] = None
    stream_options: StreamOptions | None = None
    response_format: TextFormat | JsonObjectFormat | JsonSchemaFormat | None = None
    return_token_ids: Annotated[
        bool | None, Meta(description="Tell the tokens of prompt and answer, those of tool blocks included.")] = None


class PromptTokensDetails(Struct, kw_only=True):
    """Where the prompt's tokens came from."""

    cached_tokens: Annotated[int, Meta(ge=0, description="Found in the prefix cache, not computed again.")]


class Usage(Struct, kw_only=True):
    """Counts in tokens."""

    prompt_tokens: Annotated[int, Meta(ge=0)]
    completion_tokens: Annotated[int, Meta(ge=0)]
    total_tokens: Annotated[int, Meta(ge=0)]
    prompt_tokens_details: PromptTokensDetails


class TopLogprob(Struct, kw_only=True):
    """A token that could have come, and its probability."""

    token: str
    logprob: Annotated[float, Meta(le=0)]
    bytes: Annotated[list[int] | None, Meta(description="Of UTF-8; null for special tokens.")]
    token_id: Annotated[int | UnsetType, Meta(description="With return_token_ids.")] = UNSET


class TokenLogprob(Struct, kw_only=True):
    """A token that came, its probability under the model before any sampling setting, and what else could have come."""

    token: str
    logprob: Annotated[float, Meta(le=0)]
    bytes: Annotated[list[int] | None, Meta(description="Of UTF-8; null for special tokens.")]
    top_logprobs: list[TopLogprob]
    token_id: Annotated[int | UnsetType, Meta(description="With return_token_ids.")] = UNSET
    position: Annotated[int | UnsetType, Meta(description="Index into the choice's token_ids.")] = UNSET


class ErrorBody(Struct, kw_only=True):
    """What was wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorDocument(Struct, kw_only=True):
    """Every answer with a status of 400 or more."""

    error: ErrorBody


FinishReason: TypeAlias = Literal["stop", "length"]


def read(body: bytes, kind: type[T]) -> tuple[T, list[str]]:
    """The request in a body, and the names of fields that it has no use for.

    Raises `ApiError` 400 naming the field that is wrong.
    """
    try:
        given = msgspec.json.decode(body)
        try:
            made = msgspec.convert(given, kind)
        except msgspec.ValidationError as error:
            if "got `float`" not in str(error):
                raise
            given = _whole(given)
            made = msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise _refusal(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"the body is no JSON that can be read: {error}", code="invalid_json") from None
    return made, list(dict.fromkeys(_unknown(given, made, "")))


def ignored_header(names: list[str]) -> dict[str, str]:
    """The header that names what had no effect."""
    if not names:
        return {}
    shown = [quote(name[:64], safe="._-[]") for name in names[:MOST_IGNORED]]
    more = [] if len(names) <= MOST_IGNORED else [f"and {len(names) - MOST_IGNORED} more"]
    return {"x-nanochat-ignored": ", ".join([*shown, *more])}


def _refusal(text: str) -> ApiError:
    """The answer to what msgspec says of a value: 'Expected `int`, got `str` - at `$.n`'."""
    what, _, where = text.partition(" - at ")
    names = re.findall(r"`([^`]*)`", where)
    path = names[-1].removeprefix("$").lstrip(".").replace("[...]", "") if names else ""
    missing = re.match(r"Object missing required field `([^`]*)`", what)
    if missing:
        path = f"{path}.{missing[1]}" if path else missing[1]
        return ApiError(400, f"{path} is missing", param=path, code="missing_required_parameter")
    if not path:
        return ApiError(400, f"the body is wrong: {_lower(what)}")
    reasons = REFUSED if what.startswith("Expected `null`") else EXPECTED
    reason = reasons.get(re.sub(r"\[\d+\]", "[]", path), "")
    if not reason:
        return ApiError(400, f"{path}: {_lower(what)}", param=path, code="invalid_value")
    return ApiError(400, f"{path}: {reason}", param=path, code="unsupported_value")


def _whole(value: Any) -> Any:
    """The same with whole numbers for 1.0 and the like, which JSON does not tell from 1."""
    if isinstance(value, dict):
        return {key: _whole(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**63 else value


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _unknown(given: Any, made: Any, path: str) -> Iterator[str]:
    """Names in `given` that the Struct made of it has no field for; those that are null say nothing."""
    if isinstance(made, Struct):
        names = dict(zip(made.__struct_encode_fields__, made.__struct_fields__, strict=True))
        tag = made.__struct_config__.tag_field
        for name, value in given.items():
            if name in names:
                yield from _unknown(value, getattr(made, names[name]), f"{path}{name}.")
            elif value is not None and name != tag:
                yield path + name
    elif isinstance(made, list) and made and isinstance(made[0], Struct):
        for one, each in zip(given, made, strict=True):
            yield from _unknown(one, each, path)

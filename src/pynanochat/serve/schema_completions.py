"""Requests to and answers of /v1/completions."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from pynanochat.serve.limits import Limits
from pynanochat.serve.schema import MOST_TOKEN_ID, FinishReason, Generation, TokenId, TokenLogprob, Usage

_ID: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": MOST_TOKEN_ID}
_IDS: dict[str, Any] = {"type": "array", "items": _ID, "minItems": 1}
PROMPT_SHAPES: dict[str, Any] = {"anyOf": [  # the Python type below allows mixtures as well; `prompts_of` does not
    {"type": "string"}, _IDS, {"type": "null"},
    {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": Limits.prompts},
    {"type": "array", "items": _IDS, "minItems": 1, "maxItems": Limits.prompts},
]}

PromptItem: TypeAlias = str | TokenId | Annotated[list[TokenId], Meta(min_length=1)]


class CompletionRequest(Generation, kw_only=True):
    """Texts to be continued."""

    prompt: Annotated[
        str | Annotated[list[PromptItem], Meta(min_length=1)] | None,
        Meta(description="A text, token ids, or a list of texts or of lists of token ids; null begins a new document.")
    ]
    max_tokens: Annotated[
        Annotated[int, Meta(ge=0, le=MOST_TOKEN_ID)] | None,
        Meta(description="The longest continuation, 16 if left out; it ends at the end of the context in any case.")
    ] = None
    echo: Annotated[bool | None, Meta(description="Begin with the prompt, its logprobs included.")] = None
    best_of: Annotated[
        Annotated[int, Meta(ge=1, le=Limits.samples)] | None,
        Meta(description="Make so many, answer with the n whose tokens are the most probable.")] = None
    logprobs: Annotated[
        Annotated[int, Meta(ge=0, le=Limits.logprobs)] | None,
        Meta(description="Tell the probability of each token, and of so many of the most probable ones.")] = None
    suffix: None = None


class CompletionLogprobs(Struct, kw_only=True):
    """One item per token in each list."""

    tokens: list[str]
    token_logprobs: Annotated[list[float | None], Meta(description="null where no token comes before it.")]
    top_logprobs: Annotated[
        list[dict[str, float] | None], Meta(description="By the tokens' texts; the token that came is always there.")]
    text_offset: Annotated[list[int], Meta(description="Where in text each token begins, in characters.")]
    content: Annotated[
        list[TokenLogprob] | UnsetType,
        Meta(description="With return_token_ids: the answer's tokens as chat tells them.")] = UNSET


class CompletionChoice(Struct, kw_only=True):
    """One of the n continuations of one of the prompts."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: FinishReason
    token_ids: Annotated[list[int] | UnsetType, Meta(description="With return_token_ids.")] = UNSET
    prompt_token_ids: Annotated[list[int] | UnsetType, Meta(description="With return_token_ids.")] = UNSET


class Completion(Struct, kw_only=True):
    """The continuations."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[CompletionChoice]
    usage: Usage
    prompt_token_ids: Annotated[
        list[int] | UnsetType, Meta(description="With return_token_ids: those of the first prompt.")] = UNSET


class CompletionChunkChoice(Struct, kw_only=True):
    """More of one continuation."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None = None
    finish_reason: FinishReason | None = None
    token_ids: Annotated[list[int] | UnsetType, Meta(description="That this chunk covers.")] = UNSET
    prompt_token_ids: Annotated[list[int] | UnsetType, Meta(description="In the choice's first chunk.")] = UNSET


class CompletionChunk(Struct, kw_only=True):
    """The data of one event of a stream; the last one is [DONE] instead."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[CompletionChunkChoice]
    usage: Usage | UnsetType | None = UNSET
    prompt_token_ids: Annotated[list[int] | UnsetType, Meta(description="In the first chunk only.")] = UNSET

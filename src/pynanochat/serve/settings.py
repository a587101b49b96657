"""What a request's fields mean for the engine: a sampling policy, a grammar, a limit, a share of the prefix cache."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, TypeAlias

from pynanochat.errors import ContextError, NanochatError
from pynanochat.sampling import SamplingPolicy
from pynanochat.serve.errors import ApiError
from pynanochat.serve.schema import (
    JsonObjectFormat,
    JsonSchemaFormat,
    Sampling,
    StructuredOutputs,
    TextFormat,
    ignored_header,
)
from pynanochat.serve.schema_responses import NamedSchemaFormat

if TYPE_CHECKING:
    from pynanochat.grammar import Grammar
    from pynanochat.llm import LLM

Format: TypeAlias = TextFormat | JsonObjectFormat | JsonSchemaFormat | NamedSchemaFormat | None

DEFAULTS: dict[str, Any] = {  # of fields that a request leaves out, as in `nanochat chat`
    "temperature": 0.6, "top_k": 50, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
_LEAST_TOP_P = 1e-9  # 0 is OpenAI's way to say: the most probable token alone
_BLOCKS = ("<|python_start|>", "<|output_start|>")
_SEEDS = 2**64  # OpenAI's may be negative


def policy_of(
    asked: Sampling, llm: LLM, *, n: int = 1, logprobs: int | None = None, stop_tokens: tuple[int, ...] = (),
    tools: bool = True,
) -> SamplingPolicy:
    """How the request wants to sample; `ApiError` 400 where it names tokens that the model lacks.

    Without `tools`, the model never begins a tool block.
    """
    chosen = {name: _or(getattr(asked, name), value) for name, value in DEFAULTS.items()}
    chosen["top_k"] = max(0, chosen["top_k"])
    chosen["top_p"] = max(_LEAST_TOP_P, chosen["top_p"])
    given = asked.stop_token_ids or []
    check_ids(given, llm, "stop_token_ids")
    if any(token.endswith("\n") for token in asked.logit_bias or ()):  # which the pattern's $ lets through
        raise ApiError(400, "logit_bias: expected token ids as keys", param="logit_bias", code="invalid_value")
    bias = {int(token): value for token, value in (asked.logit_bias or {}).items()}
    check_ids(list(bias), llm, "logit_bias")
    if not tools and llm.tokenizer is not None:
        special = llm.tokenizer.special_tokens
        bias |= {special[name]: -math.inf for name in _BLOCKS if name in special}
    return SamplingPolicy(
        **chosen, logit_bias=bias, stop=asked.stop or (), stop_tokens=(*given, *stop_tokens),
        seed=None if asked.seed is None else asked.seed % _SEEDS, n=n, logprobs=logprobs)


def check_ids(tokens: list[int], llm: LLM, param: str) -> None:
    """Raise `ApiError` 400 if one of these is no token of the model."""
    most = llm.config.vocab_size - 1
    if tokens and not 0 <= min(tokens) <= max(tokens) <= most:
        wrong = next(token for token in tokens if not 0 <= token <= most)
        raise ApiError(400, f"{param}: there is no token {wrong}; the model has ids 0 to {most}", param=param,
                       code="invalid_value")


def salt_of(tenant: str, cache_salt: str | None) -> str:
    """Whose prompts in the prefix cache a request may meet: its API key's, and of these those of its own salt."""
    return f"{tenant}\n{cache_salt}" if cache_salt else tenant


async def grammar_of(asked: Sampling, llm: LLM, form: Format, param: str) -> Grammar | None:
    """What the answer may be, compiled in a thread of its own; `ApiError` 400 naming the field it comes from.

    `form` is the format that the request names in its field `param`.
    """
    outputs = asked.structured_outputs
    form = None if isinstance(form, TextFormat) else form
    given = [name for name, value in ((param, form), ("structured_outputs", outputs), ("grammar", asked.grammar))
             if value is not None]
    if not given:
        return None
    if len(given) > 1:
        raise ApiError(400, f"{given[0]} and {given[1]} cannot both say what the answer may be; send one of them",
                       param=given[1], code="invalid_value")
    if isinstance(outputs, StructuredOutputs):
        _check_one(outputs)
    from pynanochat.grammar import Grammar

    return await asyncio.to_thread(_compiled, Grammar, llm, asked, form, given[0])


def _compiled(kind: type[Grammar], llm: LLM, asked: Sampling, form: Format, param: str) -> Grammar:
    """The grammar that the request's fields stand for."""
    tokenizer, outputs = llm.need_tokenizer(), asked.structured_outputs
    try:
        if isinstance(form, JsonSchemaFormat | NamedSchemaFormat):
            schema = form.json_schema.schema if isinstance(form, JsonSchemaFormat) else form.schema
            return kind.json(tokenizer, {"type": "object"} if schema is None else schema)
        if isinstance(form, JsonObjectFormat):
            return kind.json(tokenizer, {"type": "object"})
        if outputs is None:
            return kind.lark(tokenizer, asked.grammar or "")
        if outputs.json is not None:
            return kind.json(tokenizer, outputs.json)
        if outputs.regex is not None:
            return kind.regex(tokenizer, outputs.regex)
        if outputs.choice is not None:
            return kind.choice(tokenizer, outputs.choice)
        if outputs.grammar is not None:
            return kind.lark(tokenizer, outputs.grammar)
        return kind.json(tokenizer, {"type": "object"})
    except NanochatError as error:
        raise ApiError(400, f"{param}: {error}", param=param, code="invalid_grammar") from None


def headers_of(asked: Sampling, ignored: list[str], grammar: Grammar | None, dropped: int = 0) -> dict[str, str]:
    """The headers that name what had no effect: unknown fields, and known ones beside others; and turns left out."""
    names = [name for name in ("store", "parallel_tool_calls") if getattr(asked, name, None)]
    if asked.ignore_eos and grammar is not None:
        names.append("ignore_eos")
    if getattr(asked, "stream_options", None) is not None and not asked.stream:
        names.append("stream_options")
    told = ignored_header([*ignored, *names])
    return told | {"x-nanochat-dropped-turns": str(dropped)} if dropped else told


def too_long(error: ContextError, context: int, param: str) -> ApiError:
    """The answer to a prompt that does not fit the context, in words that LiteLLM knows it by."""
    return ApiError(400, f"This model's maximum context length is {context} tokens: {error}", param=param,
                    code="context_length_exceeded")


def _check_one(outputs: StructuredOutputs) -> None:
    named = [name for name in outputs.__struct_fields__ if getattr(outputs, name) not in (None, False)]
    if len(named) != 1:
        raise ApiError(400, f"structured_outputs names {' and '.join(named) or 'nothing'}; expected exactly one of "
                       "json, regex, choice, grammar and json_object", param="structured_outputs", code="invalid_value")


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value

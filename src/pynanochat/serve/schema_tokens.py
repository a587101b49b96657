"""Requests to and answers of /tokenize, /detokenize and /tokenizer_info: vLLM's names, and llama.cpp's."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from pynanochat.serve.limits import Limits
from pynanochat.serve.schema import TokenId
from pynanochat.serve.schema_chat import ChatMessage


class TokenizeRequest(Struct, kw_only=True):
    """A text or a conversation: exactly one of prompt, content and messages."""

    model: Annotated[str | None, Meta(description="A name from /v1/models; the first one if left out.")] = None
    prompt: Annotated[str | None, Meta(description="A text.")] = None
    content: Annotated[str | None, Meta(description="A text, under llama.cpp's name.")] = None
    messages: Annotated[
        Annotated[list[ChatMessage], Meta(min_length=1, max_length=Limits.messages)] | None,
        Meta(description="A conversation, whole, however long it is.")] = None
    add_special_tokens: Annotated[
        bool | None,
        Meta(description="Begin with <|bos|>, unless the server's policy is never; true if left out.")] = None
    add_special: Annotated[
        bool | None, Meta(description="The same for content; false if left out.")] = None
    parse_special: Annotated[
        bool | None, Meta(description="Read names of special tokens as such; true if left out.")] = None
    add_generation_prompt: Annotated[
        bool | None, Meta(description="End where the answer to messages begins; true if left out.")] = None
    continue_final_message: Annotated[
        bool | None, Meta(description="Leave the last message, the assistant's, without its end.")] = None
    return_token_strs: Annotated[bool | None, Meta(description="Tell each token's text, too.")] = None
    with_pieces: Annotated[
        bool | None, Meta(description="Tell tokens as objects of id and piece, as llama.cpp does.")] = None


class Piece(Struct, kw_only=True):
    """A token and its text, or its bytes where they are no text alone."""

    id: int
    piece: str | list[int]


class Tokenized(Struct, kw_only=True):
    """The tokens of a text or a conversation."""

    tokens: list[int | Piece]
    count: int
    max_model_len: Annotated[int, Meta(description="Tokens of context.")]
    token_strs: list[str] | UnsetType = UNSET


class DetokenizeRequest(Struct, kw_only=True):
    """Tokens."""

    tokens: list[TokenId]
    model: Annotated[str | None, Meta(description="A name from /v1/models; the first one if left out.")] = None


class Detokenized(Struct, kw_only=True):
    """Their text, special tokens by name; the same under vLLM's name and llama.cpp's."""

    prompt: str
    content: str


class TokenizerInfo(Struct, kw_only=True):
    """What clients need to know to use the tokenizer."""

    tokenizer_class: Literal["nanochat"] = "nanochat"
    model: str
    vocab_size: int
    model_max_length: int
    bos_token: str
    eos_token: Annotated[str, Meta(description="It ends an answer.")]
    pad_token: None = None
    unk_token: None = None
    add_bos_token: Annotated[bool, Meta(description="Whether the server puts <|bos|> in front of a text prompt.")]
    bos_policy: Annotated[
        Literal["auto", "always", "never"],
        Meta(description="Of /v1/completions. auto: texts get <|bos|>, ids are taken as they are; always: ids get it, "
                         "too, where it is missing; never: neither gets it.")]
    special_tokens: Annotated[dict[str, int], Meta(description="Ids by name.")]
    chat_template: Annotated[str, Meta(description="nanochat's layout of conversations, in Jinja.")]

"""/tokenize, /detokenize and /tokenizer_info: the tokenizer for clients that count or score tokens.

Here, unlike in prompts and messages, names of special tokens in a text stand for these tokens: lm-eval asks for the id
of <|bos|> that way.
"""

from __future__ import annotations

import asyncio
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from msgspec import UNSET, json

from pynanochat.serve.conversation import whole_conversation
from pynanochat.serve.errors import ApiError
from pynanochat.serve.schema import LONG_BYTES, ignored_header, read
from pynanochat.serve.schema_tokens import (
    Detokenized,
    DetokenizeRequest,
    Piece,
    Tokenized,
    TokenizeRequest,
    TokenizerInfo,
)
from pynanochat.serve.settings import check_ids

if TYPE_CHECKING:
    from pynanochat.serve.exchange import Exchange
    from pynanochat.serve.limits import BosPolicy
    from pynanochat.serve.server import Server
    from pynanochat.tokenizer import Tokenizer


async def handle_tokenize(exchange: Exchange, server: Server) -> None:
    """Answer POST /tokenize."""
    body = await exchange.json()
    asked, ignored = read(body, TokenizeRequest)
    model = server.model(asked.model)
    tokenizer = model.llm.need_tokenizer()
    given = [name for name in ("prompt", "content", "messages") if getattr(asked, name) is not None]
    if len(given) != 1:
        raise ApiError(400, f"{' and '.join(given) or 'nothing'} is given; expected prompt, content or messages",
                       param=given[0] if given else "prompt", code="invalid_value")
    if asked.messages is not None:
        tokens = await whole_conversation(
            model.llm, asked.messages, goes_on=bool(asked.continue_final_message),
            answer=asked.add_generation_prompt is not False, long=len(body) > LONG_BYTES)
    else:
        text = asked.prompt if asked.prompt is not None else asked.content or ""
        with_bos = (asked.add_special_tokens is not False) if asked.prompt is not None else bool(asked.add_special)
        work = (text, tokenizer, asked.parse_special is not False, with_bos, server.settings.bos)
        tokens = _encoded(*work) if len(body) <= LONG_BYTES else await asyncio.to_thread(_encoded, *work)
    told = (asked, tokens, tokenizer, model.llm.context)
    document = _document(*told) if len(body) <= LONG_BYTES else await asyncio.to_thread(_document, *told)
    await exchange.send_json(document, headers=ignored_header(ignored))


async def handle_detokenize(exchange: Exchange, server: Server) -> None:
    """Answer POST /detokenize."""
    body = await exchange.json()
    asked, ignored = read(body, DetokenizeRequest)
    llm = server.model(asked.model).llm
    tokenizer = llm.need_tokenizer()
    check_ids(asked.tokens, llm, "tokens")
    text = (tokenizer.decode(asked.tokens) if len(body) <= LONG_BYTES
            else await asyncio.to_thread(tokenizer.decode, asked.tokens))
    await exchange.send_json(Detokenized(prompt=text, content=text), headers=ignored_header(ignored))


async def handle_info(exchange: Exchange, server: Server) -> None:
    """Answer GET /tokenizer_info, about the first model or the one that ?model= names."""
    model = server.model(parse_qs(exchange.query).get("model", [""])[0])
    tokenizer = model.llm.need_tokenizer()
    special = dict(tokenizer.special_tokens)
    bos = server.settings.bos
    await exchange.send_json(TokenizerInfo(
        model=model.name, vocab_size=tokenizer.vocab_size, model_max_length=model.llm.context, bos_token="<|bos|>",
        eos_token="<|assistant_end|>" if "<|assistant_end|>" in special else "<|bos|>", add_bos_token=bos != "never",
        bos_policy=bos, special_tokens=special, chat_template=chat_template()))


def chat_template() -> str:
    """nanochat's layout as a Jinja template, for clients that render conversations themselves."""
    return (files("pynanochat.serve") / "chat_template.jinja").read_text(encoding="utf-8").rstrip("\n")


def encode_with_names(tokenizer: Tokenizer, text: str) -> list[int]:
    """The tokens of a text in which names of special tokens stand for these tokens."""
    special = tokenizer.special_tokens
    if not special:
        return tokenizer.encode(text)
    tokens: list[int] = []
    for stretch in re.split(f"({'|'.join(map(re.escape, special))})", text):
        tokens += [special[stretch]] if stretch in special else tokenizer.encode(stretch) if stretch else []
    return tokens


def _encoded(text: str, tokenizer: Tokenizer, named: bool, with_bos: bool, bos: BosPolicy) -> list[int]:
    tokens = encode_with_names(tokenizer, text) if named else tokenizer.encode(text)
    if with_bos and bos != "never" and tokens[:1] != [tokenizer.bos]:
        return [tokenizer.bos, *tokens]
    return tokens


def _document(asked: TokenizeRequest, tokens: list[int], tokenizer: Tokenizer, context: int) -> bytes:
    told: list[Any] = [_piece(tokenizer, token) for token in tokens] if asked.with_pieces else tokens
    strings = [tokenizer.id_to_token(token) for token in tokens] if asked.return_token_strs else UNSET
    return json.encode(Tokenized(tokens=told, count=len(tokens), max_model_len=context, token_strs=strings))


def _piece(tokenizer: Tokenizer, token: int) -> Piece:
    octets = tokenizer.decode_bytes([token])
    try:
        return Piece(id=token, piece=octets.decode())
    except UnicodeDecodeError:
        return Piece(id=token, piece=list(octets))

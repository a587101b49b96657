"""Text to tokens and back, as vLLM serves it and lm-eval asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pynanochat.contract.clients import LM_EVAL
from pynanochat.contract.problem import Problem, quoted, shown
from pynanochat.contract.result import Check
from pynanochat.contract.server import Document, Server, accepted, pick
from pynanochat.contract.shape import TEXT, differences, nullable, record

_TEXTS = ("Once upon a time, there was a dog.", "  two  spaces\n\n\tand a tab", "Grüße, 日本 🐶")


def round_trip(server: Server) -> Iterator[Problem]:
    """A text comes back as it was."""
    for text in _TEXTS:
        tokens = _tokens(server, text)
        back = pick(server.ask("/detokenize", {"tokens": tokens}), "prompt", kind=str)
        if not tokens:
            yield Problem("tokens", f"of {quoted(text)} are none")
        elif back != text:
            yield Problem("prompt", f"is {quoted(back)} after the way there and back; expected {quoted(text)}")


def information(server: Server) -> Iterator[Problem]:
    """The special tokens by their names, each of which is one token."""
    document = accepted("/tokenizer_info", server.get("/tokenizer_info"))
    yield from differences(document, record(
        {"bos_token": nullable(TEXT), "pad_token": nullable(TEXT), "chat_template": nullable(TEXT)}, eos_token=TEXT))
    for name in ("eos_token", "bos_token"):
        special = document.get(name)
        if isinstance(special, str) and special and len(tokens := _tokens(server, special)) != 1:
            yield Problem(name, f"{quoted(special)} becomes {len(tokens)} tokens; expected one")


def content(server: Server) -> Iterator[Problem]:
    """The same text under llama.cpp's name for it."""
    document: Document = server.ask("/tokenize", {"content": _TEXTS[0]})
    wanted = _tokens(server, _TEXTS[0])
    if pick(document, "tokens", kind=list) != wanted:
        yield Problem("tokens", f"of content are {shown(document['tokens'])}; expected those of prompt, "
                                f"{shown(wanted)}")


def _tokens(server: Server, text: str) -> list[Any]:
    return pick(server.ask("/tokenize", {"prompt": text, "add_special_tokens": False}), "tokens", kind=list)


CHECKS = (
    Check("tokens", "tokenize and detokenize", "extension", (LM_EVAL,), round_trip),
    Check("tokens", "tokenizer_info", "extension", (LM_EVAL,), information),
    Check("tokens", "tokenize takes llama.cpp's content", "extension", (), content),
)

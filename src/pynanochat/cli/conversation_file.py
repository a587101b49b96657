"""A chat as a JSON file: {"system", "messages", "model", "vocab_size", "answers"}.

`messages` are nanochat's, so that other programs can use them; `answers` are the tokens that the model said, so that
the same model goes on from exactly those.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pynanochat.chat import render_conversation, user_turn
from pynanochat.errors import ConversationError
from pynanochat.session import Chat, Turn
from pynanochat.tokenizer import Tokenizer

_LIMIT_BYTES = 64 << 20


def write(path: Path, chat: Chat) -> None:
    """Write the conversation; `ConversationError` where the file cannot be written."""
    document = {
        "system": chat.system, "messages": chat.messages, "model": chat.llm.checkpoint.path.name,
        "vocab_size": chat.llm.config.vocab_size, "answers": [turn.answer for turn in chat.turns],
    }
    try:
        path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConversationError(f"{path} cannot be written: {error.strerror or error}") from None


def read(path: Path, chat: Chat) -> None:
    """Put the conversation of a file in place of the chat's own; `ConversationError` where it holds none.

    Any file with nanochat's messages will do, alone as a list or under "messages".
    """
    document = _document(path)
    messages = document.get("messages") if isinstance(document, dict) else document
    tokenizer = chat.llm.need_tokenizer()
    if messages:
        try:
            render_conversation(tokenizer, messages)  # says what is wrong with them
        except ConversationError as error:
            raise ConversationError(f"{path}: {error}") from None
    elif messages != []:
        raise ConversationError(f"{path} holds no messages; expected what /save writes, or a list of messages")
    spoken = list(messages)
    first = spoken.pop(0) if spoken and spoken[0]["role"] == "system" else None
    if len(spoken) % 2:
        raise ConversationError(f"{path}: the last message is not answered; expected pairs of user and assistant")
    turns = [_turn(tokenizer, user, answer) for user, answer in zip(spoken[::2], spoken[1::2], strict=True)]
    if isinstance(document, dict) and document.get("model") == chat.llm.checkpoint.path.name:
        _restore(turns, document.get("answers"), chat.llm.config.vocab_size)
    chat.clear()
    chat.turns += turns
    chat.system = first["content"] if first else document.get("system") if isinstance(document, dict) else None


def _document(path: Path) -> Any:
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise ConversationError(f"{path} is over {_LIMIT_BYTES >> 20} MiB; expected a conversation")
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConversationError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise ConversationError(f"{path} is no JSON; expected what /save writes") from None


def _turn(tokenizer: Tokenizer, user: dict[str, Any], answer: dict[str, Any]) -> Turn:
    before = 1 + len(user_turn(tokenizer, user["content"]))  # <|bos|> and the question
    tokens, _ = render_conversation(tokenizer, [user, answer], 1 << 30)
    return Turn(user["content"], tokens[before:-1], answer["content"])


def _restore(turns: list[Turn], answers: Any, vocab_size: int) -> None:
    """The answers' own tokens, where the file has one list of them for each."""
    if not isinstance(answers, list) or len(answers) != len(turns):
        return
    for turn, tokens in zip(turns, answers, strict=True):
        if isinstance(tokens, list) and all(type(t) is int and 0 <= t < vocab_size for t in tokens):
            turn.answer = tokens

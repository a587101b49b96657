"""A chat as a JSON file: {"system", "messages", "model", "vocab_size", "answers"}.

`messages` are nanochat's, so that other programs can use them; `answers` are the tokens that the model said, so that
the same model goes on from exactly those.
"""

from __future__ import annotations

import json
import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from pynanochat.chat import parts_of, render_conversation, user_turn
from pynanochat.cli.terminal import say
from pynanochat.errors import ConversationError, TokenizerError
from pynanochat.session import Chat, Turn
from pynanochat.tokenizer import Tokenizer

_LIMIT_BYTES = 64 << 20
_LETTERS = {"<|python_start|>": "p", "<|python_end|>": "P", "<|output_start|>": "o", "<|output_end|>": "O"}
_ANSWER = re.compile(r"(?:\.|p\.*P(?:o\.*O)?)*+")  # a dot is a token of text


def check_replaceable(path: Path) -> None:
    """Raise `ConversationError` where something else than a conversation stands at the path and would be lost."""
    if not path.exists() or (path.is_file() and not path.stat().st_size):
        return
    try:
        document = _document(path)
    except ConversationError:
        document = None
    if not isinstance(document, list) and not (isinstance(document, dict) and "messages" in document):
        raise ConversationError(f"{path} is there already and holds no conversation; choose another name")


def write(path: Path, chat: Chat) -> None:
    """Write the conversation; `ConversationError` where that cannot be done, or would replace something else."""
    check_replaceable(path)
    document = {
        "system": chat.system, "messages": chat.messages if chat.turns else [], "model": chat.llm.checkpoint.path.name,
        "vocab_size": chat.llm.config.vocab_size, "answers": [turn.answer for turn in chat.turns],
    }
    draft = path.parent / f".{path.name}.{os.getpid()}"
    try:
        draft.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8", errors="replace")
        draft.replace(path)
    except (OSError, ValueError) as error:
        with suppress(OSError, ValueError):
            draft.unlink()
        raise ConversationError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from None


def read(path: Path, chat: Chat) -> None:
    """Put the conversation of a file in place of the chat's own; `ConversationError` where it holds none.

    Any file with nanochat's messages will do, alone as a list or under "messages". A note on stderr says where the
    tokens in the file are not those of its messages, which are encoded instead.
    """
    document = _document(path)
    if not isinstance(document, dict):
        document = {"messages": document}
    messages, system = document.get("messages"), document.get("system")
    if system is not None and not isinstance(system, str):
        raise ConversationError(f"{path}: system is a {type(system).__name__}; expected str or null")
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
    unused = 0 if document.get("answers") is None else len(turns) - _restore(turns, document, chat)
    if unused:
        say(f"note: the stored tokens of {unused} of {len(turns)} answers do not fit this model and the messages, so "
            "they are not used; the messages are encoded again", "dim")
    chat.clear()
    chat.turns += turns
    chat.system = first["content"] if first else system


def _document(path: Path) -> Any:
    try:
        data = _read(path)
    except OSError as error:
        raise ConversationError(f"{path} cannot be read: {error.strerror or error}") from None
    if len(data) > _LIMIT_BYTES:
        raise ConversationError(f"{path} is over {_LIMIT_BYTES >> 20} MiB; expected a conversation")
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        raise ConversationError(f"{path} is no JSON; expected what /save writes") from None


def _read(path: Path) -> bytes:
    """The bytes of a file, or just more of them than there may be."""
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except ValueError as error:  # a NUL in the name
        raise ConversationError(f"{path} is no name of a file: {error}") from None
    if not regular:  # a pipe would wait, a device may never end
        raise ConversationError(f"{path} is no regular file; expected what /save writes")
    with path.open("rb") as file:
        return file.read(_LIMIT_BYTES + 1)


def _turn(tokenizer: Tokenizer, user: dict[str, Any], answer: dict[str, Any]) -> Turn:
    before = 1 + len(user_turn(tokenizer, user["content"]))  # <|bos|> and the question
    tokens, _ = render_conversation(tokenizer, [user, answer], 1 << 30)
    return Turn(user["content"], tokens[before:-1], answer["content"])


def _restore(turns: list[Turn], document: dict[str, Any], chat: Chat) -> int:
    """How many turns now have the tokens that the file holds for them: those that say what the messages say."""
    answers, llm = document["answers"], chat.llm
    if not isinstance(answers, list) or len(answers) != len(turns):
        return 0
    if (document.get("model"), document.get("vocab_size")) != (llm.checkpoint.path.name, llm.config.vocab_size):
        return 0
    restored = 0
    for turn, tokens in zip(turns, answers, strict=True):
        if _says(llm.need_tokenizer(), tokens, turn.content):
            turn.answer = tokens
            restored += 1
    return restored


def _says(tokenizer: Tokenizer, tokens: Any, content: Any) -> bool:
    """Whether these are tokens of just this answer: text and whole tool blocks, no other special token among them."""
    if not isinstance(tokens, list):
        return False
    letters = {tokenizer.special_tokens.get(name): letter for name, letter in _LETTERS.items()}
    try:
        kinds = [letters.get(token, "!") if tokenizer.is_special(token) else "." for token in tokens]
        return _ANSWER.fullmatch("".join(kinds)) is not None and parts_of(tokenizer, tokens) == content
    except TokenizerError:  # no id or none that there is, or a tokenizer without tool blocks
        return False

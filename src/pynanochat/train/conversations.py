"""Conversations from files, in nanochat's or OpenAI's shape, as the messages that are trained on."""

from __future__ import annotations

from typing import Any

from pynanochat.chat import ConversationBuilder, Message, Part
from pynanochat.errors import ConversationError, DataError
from pynanochat.train.characters import whole_characters

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_IGNORED = {"role", "content", "name"}


def messages_of(value: Any, where: str) -> tuple[Message, ...]:
    """The messages of a list from a file; `DataError` names the place where it is no conversation with an answer.

    OpenAI's content in parts of text, its role developer and its `null` fields are understood; tool calls and weights
    other than 1 are not, since leaving them out would teach something else than the file says.
    """
    if not isinstance(value, list):
        raise DataError(f"{where}: messages are a {type(value).__name__}; expected a list of messages")
    builder = ConversationBuilder()
    try:
        for number, message in enumerate(value):
            _add(builder, message, f"message {number}")
        messages = builder.build()
    except ConversationError as error:
        raise DataError(f"{where}: {error}") from None
    if not any(message["role"] == "assistant" for message in messages):
        raise DataError(f"{where}: a conversation without an answer; expected at least one message of the assistant")
    return tuple(messages)


def _add(builder: ConversationBuilder, message: Any, name: str) -> None:
    if not isinstance(message, dict):
        raise ConversationError(f"{name} is a {type(message).__name__}; expected an object with role and content")
    role = message.get("role")
    known = _ROLES.get(role) if isinstance(role, str) else None
    if known is None:
        raise ConversationError(f"{name} has the role {role!r:.40}; expected {', '.join(_ROLES)}")
    extra = {key for key, item in message.items() if key not in _IGNORED and item is not None}
    if "weight" in extra and message["weight"] == 1:
        extra.remove("weight")
    if extra:
        raise ConversationError(f"{name} has {min(map(str, extra))!r:.40}, which nanochat's conversations cannot "
                                "express; expected role and content")
    content = message.get("content")
    if known == "assistant":
        builder.assistant(_parts(content, name) if isinstance(content, list) else _text(content, name))
    elif known == "user":
        builder.user(_text(content, name))
    else:
        builder.system(_text(content, name))


def _text(content: Any, name: str) -> str:
    if isinstance(content, str):
        return whole_characters(content)
    if isinstance(content, list) and all(part["type"] == "text" for part in _parts(content, name)):
        return "".join(part["text"] for part in _parts(content, name))
    raise ConversationError(f"{name} has a {type(content).__name__} as content; expected a text")


def _parts(content: list[Any], name: str) -> list[Part]:
    parts: list[Part] = []
    for number, part in enumerate(content):
        if not isinstance(part, dict) or not isinstance(part.get("type"), str) or not isinstance(part.get("text"), str):
            raise ConversationError(f"part {number} of {name} is no object with the texts type and text")
        if part["type"] not in ("text", "python", "python_output"):
            raise ConversationError(f"part {number} of {name} has the type {part['type']!r:.40}; expected text, python "
                                    "or python_output")
        parts.append({"type": part["type"], "text": whole_characters(part["text"])})
    return parts

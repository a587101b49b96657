"""Conversations as nanochat lays them out in tokens, and answers in tokens back to content.

A message is {"role": "user" | "assistant" | "system", "content": str}; an assistant's content may also be a list of
parts {"type": "text" | "python" | "python_output", "text": str}. Encoding the text of tokens need not give the same
tokens back (a model may spell a word in smaller pieces), so a running chat keeps tokens and renders only what is new.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict

from pynanochat.errors import ConversationError
from pynanochat.tokenizer import Tokenizer


class Part(TypedDict):
    """A stretch of an answer: what it says, a tool call or the tool's output."""

    type: str
    text: str


class Message(TypedDict):
    """One turn of a conversation."""

    role: str
    content: str | list[Part]


_Parts = list[tuple[str, str]]  # type, text
_BRACKETS = {"python": ("<|python_start|>", "<|python_end|>"), "python_output": ("<|output_start|>", "<|output_end|>")}


def render_conversation(
    tokenizer: Tokenizer, messages: Sequence[Mapping[str, object]], max_tokens: int = 2048
) -> tuple[list[int], list[int]]:
    """The tokens of a conversation and a mask of the same length, 1 where the model is trained to say the token.

    Both are cut to `max_tokens`, at whatever token that is. A system message goes in front of the first user's text.
    Raises `ConversationError` for messages that are no conversation, `TokenizerError` where special tokens are missing.
    Source: karpathy/nanochat, nanochat/tokenizer.py, render_conversation.
    """
    if type(max_tokens) is not int or max_tokens < 0:
        raise ConversationError(f"max_tokens is {max_tokens!r:.40}; expected a whole number, 0 or more")
    rendered = _Rendering(tokenizer)
    rendered.special("<|bos|>", 0)
    rendered.turns(_turns(messages))
    return rendered.tokens[:max_tokens], rendered.mask[:max_tokens]


def render_for_completion(
    tokenizer: Tokenizer, messages: Sequence[Mapping[str, object]], max_tokens: int = 2048
) -> list[int]:
    """The prompt for another answer in place of the last message, which must be the assistant's.

    The conversation is cut to `max_tokens` before <|assistant_start|> is added. Raises as `render_conversation`.
    Source: karpathy/nanochat, nanochat/tokenizer.py, render_for_completion.
    """
    if _turns(messages)[-1][0] != "assistant":
        raise ConversationError("the last message is not the assistant's; expected the answer to be replaced")
    tokens, _ = render_conversation(tokenizer, messages[:-1], max_tokens)
    return [*tokens, tokenizer.encode_special("<|assistant_start|>")]


def apply_chat_template(
    tokenizer: Tokenizer, messages: Sequence[Mapping[str, object]], *, add_generation_prompt: bool = True
) -> list[int]:
    """The tokens of a whole conversation, never cut; ready for the next answer unless `add_generation_prompt` is false.

    Raises as `render_conversation`, and where an answer is wanted but the last message is not the user's.
    """
    turns = _turns(messages)
    if add_generation_prompt and turns[-1][0] != "user":
        raise ConversationError("the last message is the assistant's; expected the user's, which is to be answered")
    rendered = _Rendering(tokenizer)
    rendered.special("<|bos|>", 0)
    rendered.turns(turns)
    if add_generation_prompt:
        rendered.special("<|assistant_start|>", 0)
    return rendered.tokens


def user_turn(tokenizer: Tokenizer, text: str) -> list[int]:
    """The tokens that a running chat appends for a user's text, up to where the assistant answers."""
    if not isinstance(text, str):
        raise ConversationError(f"a user's text is a {type(text).__name__}; expected str")
    rendered = _Rendering(tokenizer)
    rendered.turns([("user", [("text", text)])])
    rendered.special("<|assistant_start|>", 0)
    return rendered.tokens


def parts_of(tokenizer: Tokenizer, tokens: Iterable[int]) -> str | list[Part]:
    """The content of an answer: its text, or its parts where tools were called.

    Ends before <|assistant_end|> or <|bos|>. A block that nothing closes becomes a part all the same; an end without a
    start and other special tokens are left out. `render_conversation` gives well-formed tokens back, see the module.
    """
    opens = {tokenizer.encode_special(start): kind for kind, (start, _) in _BRACKETS.items()}
    closes = {tokenizer.encode_special(end): kind for kind, (_, end) in _BRACKETS.items()}
    ends = (tokenizer.encode_special("<|assistant_end|>"), tokenizer.bos)
    parts: list[Part] = []
    kind, block = "text", list[int]()

    def close() -> None:
        if block or kind != "text":
            parts.append({"type": kind, "text": tokenizer.decode_skip_special(block)})

    for token in tokens:
        if token in ends:
            break
        if token in opens or (token in closes and closes[token] == kind):
            close()
            kind, block = opens.get(token, "text"), []
        elif not tokenizer.is_special(token):
            block.append(token)
    close()
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


class ConversationBuilder:
    """Messages one by one: `ConversationBuilder().system("Be brief.").user("Hi").assistant("Hello.").build()`."""

    def __init__(self) -> None:
        self._messages: list[Message] = []

    def system(self, text: str) -> ConversationBuilder:
        """The builder, with a system message added."""
        return self._add("system", text)

    def user(self, text: str) -> ConversationBuilder:
        """The builder, with a user's message added."""
        return self._add("user", text)

    def assistant(self, content: str | list[Part]) -> ConversationBuilder:
        """The builder, with an answer added."""
        return self._add("assistant", content)

    def build(self) -> list[Message]:
        """The messages. Raises `ConversationError` if they are no conversation."""
        _turns(self._messages)
        return list(self._messages)

    def _add(self, role: str, content: str | list[Part]) -> ConversationBuilder:
        self._messages.append({"role": role, "content": content})
        return self


class _Rendering:
    """Tokens and mask as they grow."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.tokens: list[int] = []
        self.mask: list[int] = []

    def turns(self, turns: Iterable[tuple[str, _Parts]]) -> None:
        for role, parts in turns:
            self.special(f"<|{role}_start|>", 0)
            for kind, text in parts:
                taught = int(role == "assistant" and kind != "python_output")  # a tool's output is not the model's
                start, end = _BRACKETS.get(kind, (None, None))
                if start:
                    self.special(start, taught)
                self.add(self.tokenizer.encode(text), taught)
                if end:
                    self.special(end, taught)
            self.special(f"<|{role}_end|>", int(role == "assistant"))

    def special(self, name: str, taught: int) -> None:
        self.add([self.tokenizer.encode_special(name)], taught)

    def add(self, tokens: list[int], taught: int) -> None:
        self.tokens += tokens
        self.mask += [taught] * len(tokens)


def _turns(messages: Sequence[Mapping[str, object]]) -> list[tuple[str, _Parts]]:
    """The checked turns, user and assistant in alternation; a system message merged into the first."""
    if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Sequence):
        raise ConversationError(f"messages are a {type(messages).__name__}; expected a list of messages")
    turns: list[tuple[str, _Parts]] = []
    system = None
    for index, message in enumerate(messages):
        role, parts = _checked(message, index)
        if role == "system" and index == 0:
            system = parts[0][1]
            continue
        expected = ("user", "assistant")[len(turns) % 2]
        if role != expected:
            raise ConversationError(
                f"message {index} is of role {role!r}; expected {expected!r}: after an optional system message, user "
                "and assistant take turns")
        if system is not None and not turns:
            parts = [("text", f"{system}\n\n{parts[0][1]}")]
        turns.append((role, parts))
    if not turns:
        raise ConversationError("a conversation without a user's message; expected at least one")
    return turns


def _checked(message: Mapping[str, object], index: int) -> tuple[str, _Parts]:
    if not isinstance(message, Mapping):
        raise ConversationError(f"message {index} is a {type(message).__name__}; expected a dict with role and content")
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str) or role not in ("user", "assistant", "system"):
        raise ConversationError(f"message {index} has the role {_shown(role)}; expected user, assistant or system")
    if isinstance(content, str):
        return role, [("text", content)]
    if role != "assistant" or not isinstance(content, (list, tuple)):
        expected = "str, or a list of parts" if role == "assistant" else "str"
        raise ConversationError(
            f"message {index} of role {role} has a {type(content).__name__} as content; expected {expected}")
    return role, [_checked_part(part, f"part {number} of message {index}") for number, part in enumerate(content)]


def _checked_part(part: object, where: str) -> tuple[str, str]:
    if not isinstance(part, Mapping):
        raise ConversationError(f"{where} is a {type(part).__name__}; expected a dict with type and text")
    kind, text = part.get("type"), part.get("text")
    if not isinstance(kind, str) or (kind != "text" and kind not in _BRACKETS):
        raise ConversationError(f"{where} has the type {_shown(kind)}; expected text, python or python_output")
    if not isinstance(text, str):
        raise ConversationError(f"{where} has a {type(text).__name__} as text; expected str")
    return kind, text


def _shown(value: object) -> str:
    return f"{value[:40]!r}" if isinstance(value, str) else f"of type {type(value).__name__}"

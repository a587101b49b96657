"""What /set changes: how the model answers, and how the answer is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pynanochat.errors import RequestError

if TYPE_CHECKING:
    from pynanochat.cli.dialogue import Dialogue

_POLICY = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty",
           "seed", "stop", "logprobs")
_WHOLE = ("top_k", "seed", "max_tokens", "logprobs")
_SWITCHES = ("tools", "markdown", "color_by_probability")
NAMES = (*_POLICY, "max_tokens", *_SWITCHES)


class Settings:
    """The settings of one dialogue, by name."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue

    def values(self) -> dict[str, Any]:
        """All of them."""
        dialogue, chat = self._dialogue, self._dialogue.chat
        return {name: getattr(chat.policy, name) for name in _POLICY} | {
            "max_tokens": chat.max_tokens, "tools": chat.tools, "markdown": dialogue.markdown,
            "color_by_probability": dialogue.colours}

    def change(self, name: str, text: str) -> None:
        """Set one to what a text says; `RequestError` where there is no such name or value."""
        if name not in NAMES:
            raise RequestError(f"unknown setting {name!r}; there is {', '.join(NAMES)}")
        value, dialogue, chat = _value(name, text), self._dialogue, self._dialogue.chat
        if name == "tools":
            chat.tools = value
        elif name == "markdown":
            dialogue.markdown = value
        elif name == "color_by_probability":
            dialogue.colours = value
            if value and chat.policy.logprobs is None:
                chat.policy = chat.policy.replace(logprobs=0)
        elif name == "max_tokens":
            if value < 1:
                raise RequestError(f"max_tokens is {value}; expected 1 or more")
            chat.max_tokens = value
        else:
            chat.policy = chat.policy.replace(**{name: value})


def choices(name: str) -> tuple[str, ...]:
    """The words that a setting may be."""
    return ("on", "off") if name in _SWITCHES else ("none",) if name in ("seed", "stop", "logprobs") else ()


def shown(value: Any) -> str:
    """A value as /set shows it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return " ".join(map(repr, value)) or "none"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _value(name: str, text: str) -> Any:
    if name in _SWITCHES:
        if text not in ("on", "off"):
            raise RequestError(f"{name} is {text!r}; expected on or off")
        return text == "on"
    if name == "stop":
        return () if text in ("", "none") else (text.replace("\\n", "\n"),)
    if name in ("seed", "logprobs") and text == "none":
        return None
    try:
        return int(text) if name in _WHOLE else float(text)
    except ValueError:
        kind = "whole number" if name in _WHOLE else "number"
        raise RequestError(f"{name} is {text!r}; expected a {kind}") from None

"""Problem: what is wrong with an answer, and in which field. What ends a check early is an exception that holds one."""

from __future__ import annotations

from typing import NamedTuple

_LONGEST = 240  # letters of what a server said that are worth repeating


class Problem(NamedTuple):
    """A field, as in choices[0].message.role, and what is wrong with it; "" is the answer as a whole."""

    field: str
    text: str

    def __str__(self) -> str:
        return f"{self.field} {self.text}".strip()


class AnswerError(Exception):
    """No answer that can be read, or one that lacks what the check is about."""

    def __init__(self, text: str, field: str = "") -> None:
        super().__init__(text)
        self.problem = Problem(field, text)


class SilenceError(AnswerError):
    """The answer did not end in time."""


class UnreachableError(AnswerError):
    """Nobody listens there."""


class NotOfferedError(Exception):
    """The server says that it does not do this; `str(error)` is how."""


def shown(value: object) -> str:
    """What a server sent, as short text on one line that no terminal takes for a command."""
    text = value if isinstance(value, str) else repr(value)
    text = text[:_LONGEST] + "…" if len(text) > _LONGEST else text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def quoted(value: object) -> str:
    """The same in quotes, to be told from the words around it."""
    return shown(repr(value))

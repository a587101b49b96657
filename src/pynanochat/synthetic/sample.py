"""What the generator makes: samples to train on, and questions with one exact answer to measure with."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from pynanochat.chat import Message


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A conversation or a plain text, and the bits of the choices that made it."""

    kind: str
    messages: tuple[Message, ...] | None = None  # a conversation; None: `text`
    text: str | None = None
    bits: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Question:
    """Messages that end with the user's, and what a right answer to them is."""

    kind: str
    messages: tuple[Message, ...]
    answer: str
    check: Callable[[str], bool] | None = None  # of a whole answer's text; None: it says `answer`

    def right(self, said: str) -> bool:
        """Whether an answer, its tool blocks left out, is right: it says the exact answer as whole words."""
        if self.check is not None:
            return self.check(said)
        bounded = rf"(?<![\w.]){re.escape(self.answer)}(?![\w]|\.\d)"
        return re.search(bounded, said, re.IGNORECASE) is not None

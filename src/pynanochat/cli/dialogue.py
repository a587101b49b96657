"""Dialogue: the chat command's loop over messages, answers and slash commands."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

from pynanochat.cli.answer import AnswerWriter
from pynanochat.cli.interrupt import Interrupt
from pynanochat.cli.line_input import LineInput
from pynanochat.cli.slash import SlashCommands
from pynanochat.cli.terminal import say
from pynanochat.errors import NanochatError
from pynanochat.output import Piece
from pynanochat.session import Chat


@dataclass
class Speed:
    """How the last answer came: counts in tokens, times in seconds."""

    prompt_tokens: int = 0
    tokens: int = 0
    first_token_seconds: float = 0.0
    seconds: float = 0.0

    def __str__(self) -> str:
        later, after = self.tokens - 1, self.seconds - self.first_token_seconds
        rate = f", {later / after:.0f} tokens/s" if later > 0 and after > 0 else ""
        return f"{self.tokens} tokens{rate}, first after {self.first_token_seconds * 1e3:.0f} ms"


class Dialogue:
    """A person and a model in turns; `interactive` keeps going after an error or a Ctrl-C."""

    def __init__(self, chat: Chat, *, interactive: bool, show: bool = True) -> None:
        self.chat = chat
        self.interactive = interactive
        self.show = show  # answers on stdout
        self.shows_speed = False
        self.speed = Speed()
        self.turns: list[dict[str, Any]] = []  # what a JSON document says of each answer
        self._commands = SlashCommands(self)

    def run(self, source: LineInput) -> None:
        """Read and answer until the messages end."""
        while (text := source.read()) is not None:
            if not text.strip():
                continue
            try:
                if text.startswith("/") and not text.startswith("//"):
                    if not self._commands.run(text):
                        return
                else:
                    self.answer(text[1:] if text.startswith("//") else text)
            except NanochatError as error:
                if not self.interactive:
                    raise
                say(f"{error}", "red")

    def answer(self, text: str) -> None:
        """Answer a message; Ctrl-C ends the answer, and the turn keeps what was said."""
        chat, writer = self.chat, AnswerWriter()
        dropped, started = chat.dropped, time.perf_counter()
        self.speed = Speed()
        finish: str | None = None
        with Interrupt() as interrupt:
            pieces = chat.stream(text)
            if chat.dropped > dropped:
                say(f"note: the context of {chat.llm.context} tokens is full; the oldest turns ({chat.dropped}) are "
                    "left out", "dim")
            try:
                for piece in pieces:
                    self._count(piece, time.perf_counter() - started)
                    if self.show:
                        writer.push(piece)
                    finish = piece.finish_reason or finish
                    if interrupt.asked:
                        break
            finally:
                pieces.close()  # type: ignore[attr-defined]
                if self.show:
                    writer.end()
                if finish is None and not chat.turns[-1].answer:
                    chat.undo()  # nothing was said
        if interrupt.asked and not self.interactive:
            raise KeyboardInterrupt
        self._after(interrupt.asked, finish)

    def _after(self, stopped: bool, finish: str | None) -> None:
        output = self.chat.output
        if finish is not None and output is not None:
            self.speed.prompt_tokens = output.usage.prompt_tokens
            self.turns.append({
                "text": output.text, "tokens": output.tokens, "forced": output.forced, "parts": output.parts,
                "finish_reason": output.finish_reason, "prompt_tokens": output.usage.prompt_tokens})
        if not self.interactive:
            return
        if stopped and finish is None:
            say("(stopped)", "dim")
        elif finish == "length":
            say("(cut at the limit; /set max_tokens N allows more)", "dim")
        if self.shows_speed:
            say(str(self.speed), "dim")
        if sys.stdout.isatty():
            say()

    def _count(self, piece: Piece, seconds: float) -> None:
        if piece.tokens and not self.speed.tokens:
            self.speed.first_token_seconds = seconds
        self.speed.tokens += len(piece.tokens)
        self.speed.seconds = seconds

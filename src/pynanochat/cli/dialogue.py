"""Dialogue: the chat command's loop over messages, answers and slash commands."""

from __future__ import annotations

import sys
from typing import Any

from pynanochat.cli.answer import AnswerWriter
from pynanochat.cli.interrupt import Interrupt
from pynanochat.cli.line_input import LineInput
from pynanochat.cli.slash import SlashCommands
from pynanochat.cli.terminal import say, speed
from pynanochat.errors import NanochatError
from pynanochat.session import Chat


class Dialogue:
    """A person and a model in turns; `interactive` keeps going after an error or a Ctrl-C."""

    def __init__(self, chat: Chat, *, interactive: bool, show: bool = True) -> None:
        self.chat = chat
        self.interactive = interactive
        self.show = show  # answers on stdout
        self.shows_speed = False
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
        """Answer a message; Ctrl-C ends the answer, and the turn keeps what was said, if anything was."""
        chat, writer = self.chat, AnswerWriter()
        dropped = chat.dropped
        finish: str | None = None
        with Interrupt() as interrupt:
            pieces = chat.stream(text)
            if chat.dropped > dropped:
                say(f"note: the context of {chat.llm.context} tokens is full; the oldest turns ({chat.dropped}) are "
                    "left out", "dim")
            try:
                for piece in pieces:
                    if self.show:
                        writer.push(piece)
                    finish = piece.finish_reason or finish
                    if interrupt.asked:
                        break
            finally:
                pieces.close()
                if self.show:
                    writer.end()
        if interrupt.asked and not self.interactive:
            raise KeyboardInterrupt
        self._after(interrupt.asked, finish)

    def _after(self, stopped: bool, finish: str | None) -> None:
        output = self.chat.output
        if finish is not None and output is not None:
            self.turns.append({
                "text": output.text, "tokens": output.tokens, "forced": output.forced, "parts": output.parts,
                "finish_reason": output.finish_reason, "prompt_tokens": output.usage.prompt_tokens})
        if not self.interactive:
            return
        if stopped and finish is None:
            say("(stopped)", "dim")
        elif finish == "length":
            say("(cut at the limit; /set max_tokens N allows more)", "dim")
        if self.shows_speed and output is not None:
            say(speed(output.usage), "dim")
        if sys.stdout.isatty():
            say()

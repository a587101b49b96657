"""Dialogue: the chat command's loop over messages, answers and slash commands."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pynanochat.cli import conversation_file, markdown_writer
from pynanochat.cli.answer import AnswerWriter
from pynanochat.cli.events import EventWriter
from pynanochat.cli.interrupt import Interrupt
from pynanochat.cli.line_input import LineInput
from pynanochat.cli.slash import SlashCommands
from pynanochat.cli.terminal import emit, say, speed
from pynanochat.errors import NanochatError
from pynanochat.session import Chat

if TYPE_CHECKING:
    from pynanochat.cli.follow import Follower


class Dialogue:
    """A person and a model in turns; `interactive` keeps going after an error or a Ctrl-C.

    Answers go to stdout as `form` says: their text, an event for each piece, or not at all, where a document follows.
    After each of them the conversation goes to the file `save`.
    """

    def __init__(
        self, chat: Chat, *, interactive: bool, form: Literal["text", "events", "document"] = "text",
        markdown: bool = True, colours: bool = False, save: Path | None = None, follower: Follower | None = None,
    ) -> None:
        self.chat = chat
        self.interactive = interactive
        self.markdown = markdown
        self.colours = colours  # tokens by their probability
        self.shows_speed = False
        self.turns: list[dict[str, Any]] = []  # what a JSON document says of each answer
        self._form = form
        self._save = save
        self._follower = follower  # takes the chat to newer checkpoints, before it is asked anything
        self._commands = SlashCommands(self)

    def run(self, source: LineInput) -> None:
        """Read and answer until the messages end."""
        while (text := self._read(source)) is not None:
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
        chat = self.chat
        dropped = chat.dropped
        finish: str | None = None
        with Interrupt() as interrupt:
            self._catch_up()
            pieces = chat.stream(text)
            if chat.dropped > dropped:
                say(f"note: the context of {chat.llm.context} tokens is full; the oldest turns ({chat.dropped}) are "
                    "left out", "dim")
            with self._writer() as writer:
                try:
                    for piece in pieces:
                        if writer is not None:
                            writer.push(piece)
                        finish = piece.finish_reason or finish
                        if interrupt.asked:
                            break
                finally:
                    pieces.close()
        self.save()
        if interrupt.asked and not self.interactive:
            raise KeyboardInterrupt
        self._after(interrupt.asked, finish)

    def save(self) -> None:
        """Write the conversation, if a file was given."""
        if self._save is not None:
            conversation_file.write(self._save, self.chat)

    def _read(self, source: LineInput) -> str | None:
        if self.interactive:
            with Interrupt():
                self._catch_up()
        return source.read()

    def _catch_up(self) -> None:
        if self._follower is not None:
            self._follower.catch_up(self.chat)

    def _writer(self) -> AbstractContextManager[AnswerWriter | EventWriter | None]:
        if self._form == "text":
            return markdown_writer.writer(markdown=self.markdown, colours=self.colours)
        return EventWriter(turn=len(self.turns)) if self._form == "events" else nullcontext()

    def _after(self, stopped: bool, finish: str | None) -> None:
        output = self.chat.output
        if finish is not None and output is not None:
            self.turns.append({
                "text": output.text, "tokens": output.tokens, "forced": output.forced, "parts": output.parts,
                "finish_reason": output.finish_reason, "prompt_tokens": output.usage.prompt_tokens})
            if self._form == "events":
                emit({"event": "turn", "turn": len(self.turns) - 1} | self.turns[-1])
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

"""Where a chat's messages come from: a line editor on a terminal, plain lines where something is piped in."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pynanochat.cli.terminal import say
from pynanochat.errors import RequestError


class LineInput(Protocol):
    """Messages one by one."""

    def read(self) -> str | None:
        """The next message; None at the end."""
        ...


class PipedLines:
    """One message per line of stdin."""

    def read(self) -> str | None:
        """The next line without its end; `RequestError` where it is no UTF-8."""
        source = getattr(sys.stdin, "buffer", None)
        line = sys.stdin.readline() if source is None else source.readline()
        if not line:
            return None
        try:
            text = line if isinstance(line, str) else line.decode("utf-8")
        except UnicodeDecodeError:
            raise RequestError("stdin is no UTF-8 text; convert it first") from None
        return text.rstrip("\r\n")


class LineEditor:
    """Editing, history and completion of commands; Enter sends, Alt-Enter or Escape and Enter starts a new line."""

    def __init__(self, commands: Sequence[str]) -> None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.completion import WordCompleter
        from prompt_toolkit.history import FileHistory, InMemoryHistory
        from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
        from prompt_toolkit.output import create_output

        keys = KeyBindings()

        @keys.add("enter")
        @keys.add("c-j")  # Enter, typed ahead while an answer ran
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.validate_and_handle()

        @keys.add("escape", "enter")
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text("\n")

        path = history_file()
        self._session: PromptSession[str] = PromptSession(
            "› ", multiline=True, key_bindings=keys, prompt_continuation="  ",
            history=FileHistory(path) if path else InMemoryHistory(),
            completer=WordCompleter(commands, sentence=True), complete_while_typing=False,
            output=create_output(always_prefer_tty=True))

    def read(self) -> str | None:
        """What was typed; Ctrl-C drops the line, Ctrl-D is the end."""
        while True:
            try:
                return self._session.prompt()
            except KeyboardInterrupt:
                if not self._session.default_buffer.text:
                    say("Ctrl-D or /quit leaves.", "dim")
            except EOFError:
                return None


def history_file() -> Path | None:
    """The file with earlier messages, in the user's folder for such state; None where it cannot be written."""
    if sys.platform == "win32":
        state = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / "Library" / "Application Support"
    else:
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    path = Path(state) / "nanochat" / "history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError:
        return None
    return path if os.access(path, os.W_OK) else None

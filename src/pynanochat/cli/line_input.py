"""Where a chat's messages come from: a line editor on a terminal, plain lines where something is piped in."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

from pynanochat.cli.terminal import say
from pynanochat.errors import RequestError

if TYPE_CHECKING:
    from prompt_toolkit.completion import Completer
    from prompt_toolkit.key_binding import KeyBindings

_QUOTES = '"""'


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
    """Editing, history and completion; Enter sends a message that is complete.

    A line goes on in a new one after Alt-Enter, after a backslash at its end, and between triple quotes.
    """

    def __init__(self, completer: Completer) -> None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.output import create_output

        from pynanochat.cli.history import open_history

        self._session: PromptSession[str] = PromptSession(
            "› ", multiline=True, key_bindings=_keys(), prompt_continuation="  ", history=open_history(),
            completer=completer, complete_while_typing=False, enable_open_in_editor=True, tempfile_suffix=".md",
            output=create_output(always_prefer_tty=True))

    def read(self) -> str | None:
        """What was typed; Ctrl-C drops the line, Ctrl-D is the end."""
        while True:
            try:
                return unquoted(self._session.prompt())
            except KeyboardInterrupt:
                if not self._session.default_buffer.text:
                    say("Ctrl-D or /quit leaves.", "dim")
            except EOFError:
                return None


def is_quoted(text: str) -> bool:
    """Whether triple quotes are open at the end of the text."""
    return text.startswith(_QUOTES) and text.count(_QUOTES) % 2 == 1


def unquoted(text: str) -> str:
    """A message without triple quotes around the whole of it."""
    inner = text.rstrip()
    if not (inner.startswith(_QUOTES) and inner.endswith(_QUOTES) and text.count(_QUOTES) == 2):
        return text
    return inner[len(_QUOTES):-len(_QUOTES)].removeprefix("\n").removesuffix("\n")


def _keys() -> KeyBindings:
    from prompt_toolkit.enums import DEFAULT_BUFFER
    from prompt_toolkit.filters import has_focus
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

    keys = KeyBindings()
    editing = has_focus(DEFAULT_BUFFER)  # and not searching the history

    @keys.add("enter", filter=editing)
    @keys.add("c-j", filter=editing)  # Enter, typed ahead while an answer ran
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.is_cursor_at_the_end and buffer.text.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        elif is_quoted(buffer.text):
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter", filter=editing)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys

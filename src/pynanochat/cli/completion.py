"""What Tab completes in a chat: commands, settings and their values, names of files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from pynanochat.cli import settings


class CommandCompleter(Completer):
    """Completes a message that begins with a slash, by what stands before the cursor."""

    def __init__(self, commands: Sequence[str]) -> None:
        self._commands = commands
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """The words that may stand at the cursor."""
        before = document.text_before_cursor
        if not before.startswith("/") or "\n" in document.text:
            return
        command, space, rest = before.partition(" ")
        if space and command in ("/load", "/save"):
            yield from self._paths.get_completions(Document(rest.lstrip()), complete_event)
            return
        word = before.rpartition(" ")[2]
        for name in self._words(command, rest) if space else self._commands:
            if name.startswith(word):
                yield Completion(name, -len(word))

    def _words(self, command: str, rest: str) -> Sequence[str]:
        name, space, more = rest.partition(" ")
        if command == "/set" and not space:
            return settings.NAMES
        if command == "/set" and " " not in more:
            return settings.choices(name)
        return ("on", "off") if command == "/stats" and not space else ()

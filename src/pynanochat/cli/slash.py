"""What a chat understands besides messages: lines that begin with /."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pynanochat.cli import conversation_file, probability
from pynanochat.cli.control_characters import visible
from pynanochat.cli.settings import Settings, shown
from pynanochat.cli.terminal import paint, say, speed
from pynanochat.errors import NanochatError, RequestError

if TYPE_CHECKING:
    from pynanochat.cli.dialogue import Dialogue
    from pynanochat.session import Chat

HELP = {
    "/help": ("", "what there is"),
    "/clear": ("", "forget the conversation; the system prompt stays"),
    "/system": ("TEXT", "set the system prompt; alone: show it; none: remove it"),
    "/set": ("NAME VALUE", "change a setting, as in /set temperature 0.9; alone: show all"),
    "/undo": ("", "take back the last message and its answer"),
    "/retry": ("", "answer the last message again"),
    "/save": ("FILE", "write the conversation"),
    "/load": ("FILE", "go on with a written conversation"),
    "/stats": ("on|off", "speed and context; on: a line after every answer"),
    "/tokens": ("", "the tokens of the last answer, each with its probability"),
    "/quit": ("", "leave, as Ctrl-D does"),
}

class SlashCommands:
    """The commands, acting on one dialogue."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue
        self._chat = dialogue.chat
        self._settings = Settings(dialogue)

    def run(self, line: str) -> bool:
        """Do what the line says; False for /quit. Raises `RequestError` where it says nothing known."""
        name, _, rest = line.strip().partition(" ")
        if name not in HELP:
            raise RequestError(f"unknown command {name}; there is {' '.join(HELP)} (a message that begins with / is "
                               "written //)")
        if name == "/quit":
            return False
        action: Callable[[str], None] = getattr(self, f"_{name[1:]}")
        action(rest.strip())
        return True

    def _help(self, rest: str) -> None:
        for name, (takes, text) in HELP.items():
            say(f"  {f'{name} {takes}':<16}  {text}")
        for line in ('Several lines: Alt-Enter, or a backslash at the end of a line, or """ before and after all.',
                     "Tab completes, Ctrl-R searches the history, Ctrl-X Ctrl-E opens an editor.",
                     "Ctrl-C stops an answer."):
            say(f"  {line}", "dim")

    def _clear(self, rest: str) -> None:
        self._chat.clear()
        say("forgotten", "dim")

    def _system(self, rest: str) -> None:
        if rest:
            self._chat.system = None if rest == "none" else rest
        say(f"system prompt: {visible(self._chat.system or 'none')}", "dim")

    def _set(self, rest: str) -> None:
        if not rest:
            for name, value in self._settings.values().items():
                say(f"  {name:<20}  {shown(value)}")
            return
        name, _, text = rest.partition(" ")
        self._settings.change(name, text.strip())
        say(f"{name} is {shown(self._settings.values()[name])}", "dim")

    def _undo(self, rest: str) -> None:
        turn = self._chat.undo()
        say("there is nothing to take back" if turn is None else f"taken back: {visible(turn.user)}", "dim")

    def _retry(self, rest: str) -> None:
        chat = self._chat
        turn = chat.undo()
        if turn is None:
            raise RequestError("there is no message to answer again")
        if chat.policy.temperature == 0:
            say("note: at temperature 0 the answer is the same", "dim")
        elif chat.policy.seed is not None:
            chat.policy = chat.policy.replace(seed=(chat.policy.seed + 1) % 2**64)
            say(f"seed is now {chat.policy.seed}", "dim")
        try:
            self._dialogue.answer(turn.user)
        except NanochatError:
            chat.turns.append(turn)  # nothing took its place
            raise

    def _save(self, rest: str) -> None:
        path = _path(rest, "/save")
        conversation_file.write(path, self._chat)
        say(f"{_turns(self._chat)} written to {path}", "dim")

    def _load(self, rest: str) -> None:
        path = _path(rest, "/load")
        conversation_file.read(path, self._chat)
        say(f"{_turns(self._chat)} read from {path}", "dim")

    def _stats(self, rest: str) -> None:
        dialogue, chat = self._dialogue, self._chat
        if rest not in ("", "on", "off"):
            raise RequestError(f"/stats {rest}: expected on, off or nothing")
        if rest:
            dialogue.shows_speed = rest == "on"
        facts = chat.llm.backend
        say(f"  last answer   {speed(chat.output.usage) if chat.output else 'none yet'}")
        say(f"  conversation  {_turns(chat)}, {self._used()} of {chat.llm.context} tokens"
            + (f", {chat.dropped} left out" if chat.dropped else ""))
        say(f"  backend       {facts.name} on {facts.device} in {facts.dtype}")

    def _tokens(self, rest: str) -> None:
        if not self._chat.turns:
            raise RequestError("nothing has been said yet")
        chat, tokenizer = self._chat, self._chat.llm.need_tokenizer()
        answer, output = chat.turns[-1].answer, chat.output
        known = output.logprobs if output is not None and output.tokens == answer else None
        words = []
        for token, logprobs in zip(answer, known or [None] * len(answer), strict=True):
            word = f"{token} {tokenizer.decode([token])!r}"
            if logprobs is None:
                words.append(word)
                continue
            others = (f"{tokenizer.decode([other])!r} {math.exp(logprob):.0%}" for other, logprob in logprobs.top)
            word += f" {math.exp(logprobs.logprob):.0%}" + (f" ({', '.join(others)})" if logprobs.top else "")
            words.append(paint(word, probability.style_of(logprobs.logprob), sys.stderr))
        say("  ".join(words))
        say(f"{len(answer)} tokens", "dim")

    def _used(self) -> int:
        """Tokens of the last prompt and its answer."""
        chat, dropped = self._chat, self._chat.dropped
        if not chat.turns:
            return 0
        last = chat.turns.pop()
        try:
            return len(chat.prompt(last.user)) + len(last.answer)
        finally:
            chat.turns.append(last)
            chat.dropped = dropped


def _turns(chat: Chat) -> str:
    return f"{len(chat.turns)} turn{'s' * (len(chat.turns) != 1)}"


def _path(rest: str, name: str) -> Path:
    if not rest:
        raise RequestError(f"{name} needs the name of a file")
    try:
        path = Path(rest).expanduser()
        path.exists()  # a name that no file can have
    except (RuntimeError, ValueError) as error:
        raise RequestError(f"{name} {rest!r}: {error}") from None
    return path

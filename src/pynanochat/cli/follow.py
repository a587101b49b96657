"""Follower: a chat that goes on with each new checkpoint of a run, as training saves it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pynanochat.checkpoint import run_folder
from pynanochat.checkpoint.place import place_of
from pynanochat.cli.terminal import say
from pynanochat.errors import NanochatError, RequestError

if TYPE_CHECKING:
    from pynanochat.llm import LLM
    from pynanochat.session import Chat

_Mark = tuple[int, int, int]


def run_of(model: str | None, step: int | None) -> Path:
    """The folder of the run to follow; `RequestError` where the model's name is none."""
    place = None if model is None else place_of(model, "the model's name")
    if place is None or not run_folder.is_run(place):
        raise RequestError(f"--follow needs the folder of a training run, such as runs/tiny; "
                           f"{'no model is named' if model is None else f'{model} is none'}")
    if step is not None:
        raise RequestError(f"--follow takes the newest checkpoint and --step {step} one of them; leave one out")
    return place


class Follower:
    """Looks for checkpoints newer than the one that talks, and loads them with `load`."""

    def __init__(self, run: Path, load: Callable[[Path], LLM]) -> None:
        self._run = run
        self._load = load
        self._refused: set[_Mark] = set()  # each is read once
        self._told: int | None = None  # the step that was said to be loaded

    def catch_up(self, chat: Chat) -> None:
        """Move the chat to the newest checkpoint of the run that can be loaded, if it is newer, and say so.

        One that is damaged is passed over without a word, and with one that cannot go on with this conversation.
        """
        loaded = run_folder.step_of(chat.llm.checkpoint.path)
        for step in reversed(run_folder.steps(self._run)):
            if (loaded is not None and step <= loaded) or self._moved(chat, step):
                break
        step_now = run_folder.step_of(chat.llm.checkpoint.path)
        if step_now is not None and step_now != self._told:
            self._told = step_now
            say(_described(step_now, chat.llm.checkpoint.meta.get("val_bpb")), "dim")

    def _moved(self, chat: Chat, step: int) -> bool:
        """Whether the chat now goes on with the checkpoint of that step."""
        folder = run_folder.folder_of(self._run, step)
        mark = _mark(folder, step)
        if mark in self._refused:
            return False
        try:
            chat.move_to(self._load(folder))
            return True
        except run_folder.BROKEN:
            pass
        except (NanochatError, MemoryError) as error:
            why = "there is not enough memory" if isinstance(error, MemoryError) else error
            say(f"note: step {step:,} is not loaded: {why}", "dim")
        self._refused.add(mark)
        return False


def _described(step: int, bits: object) -> str:
    known = isinstance(bits, (int, float)) and not isinstance(bits, bool)
    return f"step {step:,} loaded" + (f" (val {bits:.3f} bits/byte)" if known else "")


def _mark(folder: Path, step: int) -> _Mark:
    """What tells this checkpoint from another one of the same step."""
    try:
        facts = folder.stat()
    except OSError:  # removed meanwhile
        return step, 0, 0
    return step, facts.st_ino, facts.st_mtime_ns

"""Run folder: what `nanochat train` writes; its newest checkpoint that is whole can be named as a model.

    RUN/run.json                  {"format": "pynanochat-run", "version": 1, ...}: how it is trained
    RUN/metrics.jsonl             what was seen on the way
    RUN/checkpoints/step_000500/  a native checkpoint, and what training needs to go on from there
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pynanochat.checkpoint import json_file, native
from pynanochat.checkpoint.checkpoint import Checkpoint
from pynanochat.errors import CheckpointError, ConfigError, DamagedFileError, NotFoundError, TokenizerError

R = TypeVar("R")

FORMAT = "pynanochat-run"
RUN, METRICS, CHECKPOINTS = "run.json", "metrics.jsonl", "checkpoints"
BROKEN = (CheckpointError, ConfigError, TokenizerError)  # what reading a checkpoint raises that another one may spare
_STEP = re.compile(r"step_(\d{6,12})", re.ASCII)


def is_run(path: Path) -> bool:
    """Whether a folder is that of a training run."""
    try:
        return json_file.read(path / RUN).get("format") == FORMAT
    except CheckpointError:
        return False


def folder_of(run: Path, step: int) -> Path:
    """Where the checkpoint of a step belongs."""
    return run / CHECKPOINTS / f"step_{step:06d}"


def step_of(folder: Path) -> int | None:
    """The step whose checkpoint belongs in a folder of this name; None where it is no such name."""
    match = _STEP.fullmatch(folder.name)
    return int(match[1]) if match else None


def title(folder: Path) -> str:
    """What to call the model in a folder: its name, or its run and its step."""
    step = step_of(folder)
    return folder.name if step is None else f"{folder.absolute().parent.parent.name}, step {step:,}"


def steps(run: Path) -> list[int]:
    """The steps that have a checkpoint, oldest first; one that is still being written is none."""
    try:
        found = [step_of(folder) for folder in (run / CHECKPOINTS).iterdir() if folder.is_dir()]
    except OSError:
        found = []
    return sorted({step for step in found if step is not None and folder_of(run, step).is_dir()})


def of_step(run: Path, step: int) -> Path:
    """The checkpoint of a step; `NotFoundError` with those that there are."""
    found = steps(run)
    if step not in found:
        there = f"there are {', '.join(map(str, found))}"[:300] if found else "no checkpoint is saved yet"
        raise NotFoundError(f"{run} has no checkpoint of step {step}; {there}")
    return folder_of(run, step)


def newest(run: Path, read: Callable[[Path], R]) -> tuple[R, tuple[str, ...]]:
    """What `read` makes of the newest checkpoint that it does not refuse, and a note on each newer one.

    Reading is the check, so that nothing is read twice. Raises `NotFoundError` where nothing is saved yet,
    `DamagedFileError` where no checkpoint is whole.
    """
    while True:
        found = steps(run)
        notes: list[str] = []
        for step in reversed(found):
            try:
                return read(folder_of(run, step)), tuple(notes)
            except BROKEN as error:
                notes.append(f"step {step:,} is passed over: {error}")
        if steps(run) == found:  # and no run has gone on meanwhile, and removed what was looked at
            break
    if notes:
        raise DamagedFileError(f"{run} has no checkpoint that is whole; {'; '.join(notes)[:600]}")
    raise NotFoundError(f"{run} has saved no checkpoint yet; wait for the first one, or end the training with Ctrl-C, "
                        "which saves one")


def newest_good(run: Path, note: Callable[[str], None] | None = None) -> Path:
    """The folder of the newest checkpoint whose checksums are right; `note` is told of newer ones that are damaged."""
    checkpoint, notes = newest(run, read_whole)
    if note is not None:
        for text in notes:
            note(text)
    return checkpoint.path


def read_whole(folder: Path) -> Checkpoint:
    """The checkpoint in a folder, its checksums compared; `CheckpointError` where it is not as it was written."""
    try:
        return native.read(folder, verify=True)
    except OSError as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{folder} cannot be read: {error.strerror or error}") from None

"""Saving a folder so that a reader sees the old one or the new one, whole, whatever fails in between.

The new one is written beside its target as `.<name>.new-<8 hex digits>` and takes its place when it is on the disk. A
save that is killed leaves that folder behind; the next save of the same name removes what has lain there for a day.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from io import BufferedWriter
from pathlib import Path
from typing import Any

from pynanochat.checkpoint.place import place_of
from pynanochat.errors import CheckpointError, NanochatError

_OURS = re.compile(r"config\.json|generation_config\.json|model\.safetensors|model\.mpk|tokenizer\.(json|pkl)|"
                   r"token_bytes\.pt|model_\d+\.pt|meta_\d+\.json")
_WEIGHTS = re.compile(r"model\.safetensors|model\.mpk|model_\d+\.pt")
_ABANDONED = 24 * 60 * 60.0  # seconds since anything in a stage folder changed
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # Linux fcntl.h, fs.h


def check_checkpoint(target: Path) -> None:
    """Raise `CheckpointError` unless nothing is lost when a checkpoint takes the place of `target`.

    That is where there is none, or an empty folder, or one that holds one checkpoint and nothing else.
    """
    if not target.exists():
        return
    if not target.is_dir():
        raise CheckpointError(f"{target} is a file; give the name of a folder to save to")
    names = sorted(entry.name for entry in target.iterdir())
    foreign = [name for name in names if not _OURS.fullmatch(name) or (target / name).is_dir()]
    weights = [name for name in names if _WEIGHTS.fullmatch(name)]
    if foreign:
        raise CheckpointError(f"{target} holds {foreign[0]!r}, which is no part of a checkpoint and would be lost; "
                              "save to a new folder")
    if len(weights) > 1:
        raise CheckpointError(f"{target} holds {len(weights)} sets of weights, which would be lost; "
                              "save to a new folder")
    if names and not weights:
        raise CheckpointError(f"{target} holds {names[0]!r} but no weights; save to a new folder")


@contextlib.contextmanager
def replacing(
    path: str | os.PathLike[str], check: Callable[[Path], None] = check_checkpoint
) -> Iterator[Path]:
    """A new empty folder that takes the place of `path` when the block ends well, and vanishes when it does not.

    `check` refuses a target that must not be replaced. `CheckpointError` says what failed, and where.
    """
    target = place_of(path, "the folder to save to")
    try:
        target = target.resolve()
        check(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        stage = target.with_name(f".{target.name}.new-{secrets.token_hex(4)}")
        stage.mkdir()
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{target} cannot be written: {getattr(error, 'strerror', None) or error}") from None
    replaced = stage
    try:
        yield stage
        _sync(stage)
        replaced = _swap(stage, target)
        _confirm(target)
    except OSError as error:
        if isinstance(error, NanochatError):
            raise
        full = " (the disk is full)" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise CheckpointError(f"{target} was not saved: {error.strerror or error}{full}; nothing was changed") from None
    finally:
        shutil.rmtree(replaced, ignore_errors=True)  # the old folder, or the new one where that failed


class HashingFile:
    """A file that is written once from start to end and hashed on the way."""

    def __init__(self, path: Path) -> None:
        self._file: BufferedWriter = path.open("xb")
        self._hash = hashlib.sha256()

    def __enter__(self) -> HashingFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: Any) -> int:
        """Append bytes."""
        self._hash.update(data)
        return self._file.write(data)

    def hexdigest(self) -> str:
        """SHA-256 of what was written."""
        return self._hash.hexdigest()


def _sweep(target: Path) -> None:
    """Remove the stage folders that killed saves of this target left."""
    name = re.compile(rf"\.{re.escape(target.name)}\.new-[0-9a-f]{{8}}")
    with contextlib.suppress(OSError):
        for entry in target.parent.iterdir():
            if name.fullmatch(entry.name) and not entry.is_symlink() and _age(entry) > _ABANDONED:
                shutil.rmtree(entry, ignore_errors=True)


def _age(folder: Path) -> float:
    """Seconds since the folder or a file in it changed; 0 where that cannot be seen."""
    try:
        return time.time() - max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
    except OSError:  # another save of this name has just ended
        return 0.0


def _swap(stage: Path, target: Path) -> Path:
    """Put `stage` in the place of `target`, and say where that is now, if there was one."""
    if not target.exists():
        os.rename(stage, target)
    elif not _exchange(stage, target):
        aside = stage.with_name(stage.name.replace(".new-", ".old-"))
        os.rename(target, aside)
        try:
            os.rename(stage, target)
        except BaseException:  # Ctrl-C as well
            if not target.exists():
                os.rename(aside, target)
            raise
        return aside
    return stage


def _confirm(target: Path) -> None:
    try:
        _sync_path(target.parent)
    except OSError as error:
        raise CheckpointError(f"{target} is saved, but the disk did not confirm its name: {error.strerror}") from None


def _exchange(left: Path, right: Path) -> bool:
    """Swap two names in one step where the system can (Linux); False where it cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(left), _AT_FDCWD, os.fsencode(right), _RENAME_EXCHANGE) == 0)


def _sync(folder: Path) -> None:
    for entry in folder.iterdir():
        _sync_path(entry)
    _sync_path(folder)


def _sync_path(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


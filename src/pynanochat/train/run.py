"""Run: the folder of a training run. Checkpoints appear in it whole or not at all, and the newest good one is found.

run.json says what is trained, metrics.jsonl how it went; a checkpoint is a native model folder with training.json and
optimizer.safetensors beside the weights.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from pynanochat import checkpoint
from pynanochat.backends.torch.runner import as_torch
from pynanochat.checkpoint import json_file, run_folder, safetensors_file
from pynanochat.checkpoint.checkpoint import Checkpoint
from pynanochat.checkpoint.mapped_file import read_small, sha256
from pynanochat.checkpoint.staging import HashingFile
from pynanochat.distributed.processes import Processes
from pynanochat.errors import CheckpointError, DamagedFileError, NotFoundError, TrainingError
from pynanochat.tensor import Tensor
from pynanochat.tokenizer import Tokenizer
from pynanochat.train.config import TrainConfig
from pynanochat.train.position import Position

LOCK = ".lock"
TRAINING, OPTIMIZER = "training.json", "optimizer.safetensors"
_DIGEST = 65  # bytes at the end of training.json: the SHA-256 of what stands before, and a line end
_MAX_POSITION = 16 << 20
_FREE = {"rows", "compile", "on_bad_step", "spike", "eval_every", "eval_tokens", "save_every", "keep_last", "keep_best",
         "sample_prompts"}  # may change when a run goes on: they do not change what is trained, rows without dropout


@dataclass(frozen=True)
class Saved:
    """A checkpoint that a run goes on from."""

    position: Position
    model: Checkpoint
    optimizer: Mapping[str, Tensor]


class Run:
    """A run's folder, which all its processes see and the main one writes; `say` is told what had to be passed over.

    `facts` is what run.json says besides the config. Raises `TrainingError` where the folder is no run, or another one.
    """

    def __init__(
        self, folder: Path, config: TrainConfig, facts: Mapping[str, Any], say: Callable[[str], None],
        processes: Processes,
    ) -> None:
        self.folder, self.config, self._say, self._processes = folder, config, say, processes
        try:
            if processes.main:
                self._start(dict(facts))
        except OSError as error:
            if isinstance(error, CheckpointError):
                raise
            raise TrainingError(f"{folder} cannot be written: {error.strerror or error}") from None

    def _start(self, facts: dict[str, Any]) -> None:
        there = self.folder / run_folder.RUN
        if there.is_file():
            self._check_same(json_file.read(there), facts)
        else:
            if self.folder.exists() and any(entry.name != LOCK for entry in self.folder.iterdir()):
                raise TrainingError(f"{self.folder} holds other files and is no run; give a new folder")
            self.folder.mkdir(parents=True, exist_ok=True)
            values = {"format": run_folder.FORMAT, "version": 1, **facts, "config": self.config.to_dict(),
                      "network": self.config.network.to_dict()}
            _write_whole(there, json_file.dumps(values))
        (self.folder / run_folder.CHECKPOINTS).mkdir(exist_ok=True)

    def _check_same(self, values: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        where = str(self.folder / run_folder.RUN)
        if not run_folder.is_run(self.folder) or not isinstance(values.get("config"), dict):
            raise DamagedFileError(f"{where} describes no run of this version; give a new folder")
        before = TrainConfig.from_dict(values["config"]).to_dict()
        now = self.config.to_dict()
        free = _FREE - {"rows"} if self.config.dropout else _FREE
        different = [name for name in now if name not in free and before[name] != now[name]]
        different += ["stage"] if values.get("stage") != facts["stage"] else []
        if different:
            name = different[0]
            why = ", which changes what dropout leaves out" if name == "rows" else ""
            raise TrainingError(f"{self.folder} is a run with another {', '.join(different)} "
                                f"({_short(before.get(name, values.get(name)))} there, "
                                f"{_short(now.get(name, facts.get(name)))} now{why}); "
                                "give its settings to go on with it, or a new folder")

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder against another training; `TrainingError` where one has it already."""
        if not self._processes.main:
            yield
            return
        with self._lock() as file:
            try:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except ImportError:  # Windows has none
                pass
            except BlockingIOError:
                raise TrainingError(f"{self.folder} is being trained by another process; stop that one first") from None
            except OSError:  # a file system without locks
                self._say(f"{self.folder} cannot be locked here: let no other process train in it")
            for stage in (self.folder / run_folder.CHECKPOINTS).glob(".*"):  # of a process that was killed
                shutil.rmtree(stage, ignore_errors=True)
            yield

    def _lock(self) -> BinaryIO:
        try:
            return (self.folder / LOCK).open("ab")
        except OSError as error:
            raise TrainingError(f"{self.folder} cannot be written: {error.strerror or error}") from None

    def newest(self) -> Saved | None:
        """The newest checkpoint whose every file is as it was written; None where there is none. Collective.

        Raises `DamagedFileError` where there are some and none is whole: a run does not silently begin anew.
        """
        saved = self._newest() if self._processes.main else None
        step = torch.tensor(-1 if saved is None else saved.position.step, device=self._processes.device)
        if int(self._processes.broadcast_(step)) < 0 or self._processes.main:
            return saved
        return read_saved(run_folder.folder_of(self.folder, int(step)))

    def _newest(self) -> Saved | None:
        try:
            saved, notes = run_folder.newest(self.folder, read_saved)
        except NotFoundError:
            return None
        for note in notes:
            self._say(note)
        return saved

    def save(
        self, position: Position, tensors: Mapping[str, Tensor], optimizer: Mapping[str, Tensor], tokenizer: Tokenizer
    ) -> Path:
        """The folder of a new checkpoint; others that are not to be kept are removed after it is on the disk.

        Those are older ones, and all of later steps, which were damaged: this life of the run writes its own.
        Raises `CheckpointError` where it cannot be written, with everything there as it was.
        """
        meta = {"step": position.step, "val_bpb": position.bpb, "tokens": position.tokens}
        target = run_folder.folder_of(self.folder, position.step)
        _remove(target)  # of an earlier life of this run, that was damaged and passed over
        checkpoint.save(target, config=self.config.network, tensors=tensors, tokenizer=tokenizer, meta=meta,
                        beside=lambda folder: _write_training(folder, position, optimizer))
        self._prune(position)
        return target

    def _prune(self, position: Position) -> None:
        steps = run_folder.steps(self.folder)
        kept = set([step for step in steps if step <= position.step][-self.config.keep_last :])
        if self.config.keep_best and position.best_step is not None:
            kept.add(position.best_step)
        for step in steps:
            if step not in kept:
                _remove(run_folder.folder_of(self.folder, step))


def _remove(place: Path) -> None:
    """Take a checkpoint away; a reader sees a whole folder or none."""
    gone = place.with_name(f".{place.name}.gone")
    with contextlib.suppress(OSError):
        place.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def as_state(tensors: Mapping[str, Tensor]) -> dict[str, torch.Tensor]:
    """An optimizer's state as torch's own tensors."""
    return {name: as_torch(found) for name, found in tensors.items()}


def _write_training(folder: Path, position: Position, optimizer: Mapping[str, Tensor]) -> None:
    with HashingFile(folder / OPTIMIZER) as file:
        safetensors_file.write(file, optimizer, {"format": "pynanochat-optimizer"})
    values = {"format": "pynanochat-training", "version": 1, "position": position.to_dict(),
              OPTIMIZER: file.hexdigest()}
    text = json_file.dumps(values)
    (folder / TRAINING).write_bytes(text + hashlib.sha256(text).hexdigest().encode() + b"\n")


def read_saved(place: Path) -> Saved:
    """The checkpoint in a folder, every file as it was written, or `CheckpointError`."""
    opened = checkpoint.open(place)
    where = str(place / TRAINING)
    data = read_small(place / TRAINING, _MAX_POSITION)
    text, own = data[:-_DIGEST], data[-_DIGEST:].strip()
    if hashlib.sha256(text).hexdigest().encode() != own:
        raise DamagedFileError(f"{where} was changed after it was written")
    values = json_file.parse(text, where)
    if (not isinstance(values, dict) or values.get("format") != "pynanochat-training" or values.get("version") != 1
            or not {"position", OPTIMIZER} <= set(values)):
        raise DamagedFileError(f"{where} is no position of a run that this version knows")
    if sha256(place / OPTIMIZER) != values[OPTIMIZER]:
        raise DamagedFileError(f"{place / OPTIMIZER} was altered: its SHA-256 is not the one in {TRAINING}")
    return Saved(Position.from_dict(values["position"], where), opened, safetensors_file.read(place / OPTIMIZER))


def _write_whole(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _short(value: object) -> str:
    return str(value)[:60]

"""Sinks: where the records of a run go. One that fails is named once and never ends the run."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Protocol

from pynanochat.errors import TrainingError
from pynanochat.train.metrics import Record, number

TRACKERS = ("trackio", "wandb")


class Sink(Protocol):
    """Takes the records of a run as they come (metrics.py says what they are)."""

    def write(self, record: Record) -> None:
        """Take one record."""
        ...

    def close(self) -> None:
        """Take no more; may be called twice."""
        ...


def warn_on_stderr(text: str) -> None:
    """A line for people, if there are any: a stream that nobody reads any more costs the run nothing."""
    with contextlib.suppress(OSError):
        print(f"warning: {text}", file=sys.stderr, flush=True)


class Sinks:
    """Several sinks as one. A sink that raises is warned of once, and tried again with the next record."""

    def __init__(self, sinks: Iterable[Sink], warn: Callable[[str], None] = warn_on_stderr) -> None:
        self._sinks = list(sinks)
        self._warn = warn
        self._warned: set[int] = set()

    def write(self, record: Record) -> None:
        """Give a record to each of them."""
        for sink in self._sinks:
            try:
                sink.write(record)
            except Exception as error:  # whatever it is, the training is worth more
                self._tell(sink, error)

    def close(self) -> None:
        """Close each of them, those after one that fails as well."""
        for sink in self._sinks:
            try:
                sink.close()
            except Exception as error:
                self._tell(sink, error)

    def _tell(self, sink: Sink, error: Exception) -> None:
        if id(sink) in self._warned:
            return
        self._warned.add(id(sink))
        name = sink.name if isinstance(sink, Tracker) else type(sink).__name__
        why = " ".join(f"{type(error).__name__}: {error}".split())
        self._warn(f"{name} failed ({why[:300]}); the training goes on")


class Tracker:
    """A sink that sends numbers to a run of trackio or wandb; both have the same calls.

    Where the run cannot be opened, the first `write` raises the reason, and later ones do nothing.
    Source: the API references of wandb and of trackio 0.30 (init, Run.log, Run.finish).
    """

    def __init__(self, name: str, module: Any, options: Mapping[str, Any]) -> None:
        self.name = name
        self._run: Any = None
        self._error: Exception | None = None
        try:
            self._run = module.init(**options)
        except Exception as error:  # no network, no account, a full disk
            self._error = error

    def write(self, record: Record) -> None:
        """Send the numbers of a step or an evaluation, as train/loss, val/bpb and so on."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        group = {"step": "train", "eval": "val"}.get(record["kind"])
        if self._run is None or group is None:
            return
        values = {f"{group}/{name}": value for name in record
                  if name != "step" and (value := number(record, name)) is not None}
        self._run.log(values, step=record["step"])

    def close(self) -> None:
        """End the run there."""
        run, self._run = self._run, None
        if run is not None:
            run.finish()


def tracker(
    name: Literal["trackio", "wandb"],
    *,
    run: str,
    project: str = "nanochat",
    config: Mapping[str, Any] | None = None,
    find: Callable[[str], Any] = importlib.import_module,
) -> Tracker:
    """The sink of that name; a `run` that is there already goes on, so it should be a name that no other run has.

    Raises `TrainingError` where there is no such tracker or its package is not installed.
    """
    if name not in TRACKERS:
        raise TrainingError(f"no tracker {name!r:.60}; expected {' or '.join(TRACKERS)}")
    try:
        module = find(name)
    except ImportError:
        raise TrainingError(f"{name} is not installed; run: pip install {name}, or train without it") from None
    options: dict[str, Any] = {"project": project, "name": run, "config": dict(config or {}), "resume": "allow"}
    return Tracker(name, module, options | ({"id": run} if name == "wandb" else {}))

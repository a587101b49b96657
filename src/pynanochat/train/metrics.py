"""Metrics: what was seen of a run, a JSON object a line, in the run's metrics.jsonl.

Every record has "kind" ("step", "eval", "sample" or "event"), "step" (steps done) and "time" (seconds of training so
far, summed over resumes). A number that is not finite is null there, and the record has "bad": true.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from pynanochat.errors import DataError

Record: TypeAlias = Mapping[str, Any]

NAME = "metrics.jsonl"


class MetricsFile:
    """The file that a run appends to; a record is in the system's hands when `write` returns.

    `OSError` says that the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab", buffering=0)
        self._cut(_whole_bytes(path))  # the line in which a run was killed

    def write(self, record: Record) -> None:
        """Append a record, whole or not at all."""
        line = _line(record)
        start = os.fstat(self._file.fileno()).st_size
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        except OSError:
            with contextlib.suppress(OSError):
                self._cut(start)
            raise

    def keep_until(self, step: int) -> None:
        """Drop the records of later steps, for a run that goes on from that one; a kill leaves the old file or the new.

        Raises `DataError` where the file holds something else.
        """
        records = read(self.path)
        kept = [record for record in records if record["step"] <= step]
        if len(kept) == len(records):
            return
        draft = self.path.with_name(f".{self.path.name}.new")
        with draft.open("wb") as file:
            file.write(b"".join(map(_line, kept)))
            file.flush()
            os.fsync(file.fileno())
        self._file.close()
        try:
            draft.replace(self.path)
        finally:
            self._file = self.path.open("ab", buffering=0)

    def close(self) -> None:
        """Put the file on the disk and let go of it."""
        if not self._file.closed:
            with contextlib.suppress(OSError):  # a pipe, or a disk that knows no such thing
                os.fsync(self._file.fileno())
            self._file.close()

    def _cut(self, length: int) -> None:
        if os.fstat(self._file.fileno()).st_size > length:
            os.ftruncate(self._file.fileno(), length)


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a metrics file in their order; a last line that was torn by a kill is none.

    Raises `DataError` where the file is not there or holds something else.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}; expected the metrics of a training run"
                        ) from None
    return [_record(line, f"{path}, line {number}") for number, line in enumerate(data.split(b"\n")[:-1], 1)]


def number(record: Record, name: str) -> float | None:
    """The finite number of that name in a record, if there is one."""
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _record(line: bytes, where: str) -> dict[str, Any]:
    def refuse(text: str) -> NoReturn:
        raise ValueError(f"{text} is no JSON number")

    try:
        record = json.loads(line.decode("utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is no record: {str(error)[:200]}; move the file away, a run begins a new one"
                        ) from None
    if (not isinstance(record, dict) or not isinstance(record.get("kind"), str)
            or type(record.get("step")) is not int or record["step"] < 0 or number(record, "time") is None):
        raise DataError(f"{where} is no record: expected an object with kind, step and time; move the file away, a run "
                        "begins a new one")
    return record


def _line(record: Record) -> bytes:
    bad = [name for name, value in record.items() if isinstance(value, float) and not math.isfinite(value)]
    plain = {**record, **dict.fromkeys(bad), "bad": True} if bad else dict(record)
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return (text + "\n").encode("utf-8", "replace")


def _whole_bytes(path: Path) -> int:
    """The length of a file up to the end of its last whole line."""
    data = path.read_bytes()
    return data.rfind(b"\n") + 1

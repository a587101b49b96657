"""Check: a question to the software. Result: what was measured, the limit, and whether that is a pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from pynanochat.check.demo import Demo

Status = Literal["PASS", "FAIL", "SKIP"]


class Measure(NamedTuple):
    """What a check function gives; `passed` is None where it could not be measured, and `detail` says why."""

    value: float | str
    limit: str
    passed: bool | None
    detail: str = ""


@dataclass(frozen=True)
class Check:
    """A feature by milestone and name, and the function that measures it."""

    milestone: str
    name: str
    measure: Callable[[Demo], Measure]


@dataclass(frozen=True)
class Result:
    """One line of the report."""

    milestone: str
    name: str
    status: Status
    value: float | str
    limit: str
    detail: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return asdict(self)


def measured(check: Check, demo: Demo) -> Result:
    """The result of a check; an exception is a failure that says so."""
    started = time.perf_counter()
    try:
        value, limit, passed, detail = check.measure(demo)
    except Exception as error:
        value, limit, passed = type(error).__name__, "no error", False
        detail = " ".join(str(error).split())[:200]
    status: Status = "SKIP" if passed is None else "PASS" if passed else "FAIL"
    return Result(check.milestone, check.name, status, value, limit, detail, time.perf_counter() - started)


def at_most(value: float, limit: float, detail: str = "") -> Measure:
    """A pass where `value` does not exceed `limit`; a value that is no number fails."""
    return Measure(value, f"<= {limit:g}", bool(value <= limit), detail)


def equal(value: float | str, wanted: float | str, detail: str = "") -> Measure:
    """A pass where `value` is exactly what is wanted."""
    return Measure(value, f"= {wanted}", value == wanted, detail)


def skipped(why: str) -> Measure:
    """No measure, and the reason."""
    return Measure("", "", None, why)

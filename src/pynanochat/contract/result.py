"""Check: a question to a server. Result: what was found. Report: all of it, and what it means for each client."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from pynanochat.contract.problem import AnswerError, NotOfferedError, Problem, shown
from pynanochat.contract.server import Server

Area = Literal["models", "chat", "sampling", "logprobs", "JSON", "stream", "completions", "responses", "tokens",
               "errors", "HTTP", "load"]
Level = Literal["required", "expected", "extension"]
Status = Literal["PASS", "FAIL", "NOT OFFERED"]
_MOST_PROBLEMS = 12  # of one check


@dataclass(frozen=True)
class Check:
    """A part of the contract, the clients that read it, and the function that gives each problem with it.

    required: known clients break without it, or get something else than they asked for. expected: in OpenAI's API,
    but clients live without it; a server may refuse it, not ignore it. extension: beyond OpenAI's API.
    """

    area: Area
    name: str
    level: Level
    clients: tuple[str, ...]
    examine: Callable[[Server], Iterable[Problem]]


@dataclass(frozen=True)
class Result:
    """One line of the report."""

    area: Area
    name: str
    level: Level
    clients: tuple[str, ...]
    status: Status
    problems: tuple[Problem, ...]
    reason: str  # the problems, or how the server says that it does not do this; "" where it passed
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {"area": self.area, "name": self.name, "level": self.level, "clients": list(self.clients),
                "status": self.status, "reason": self.reason,
                "problems": [problem._asdict() for problem in self.problems], "seconds": round(self.seconds, 3)}


@dataclass(frozen=True)
class Report:
    """What was found about one server."""

    url: str
    model: str
    results: tuple[Result, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether no required check failed."""
        return not any(result.status == "FAIL" and result.level == "required" for result in self.results)

    @property
    def counts(self) -> Counter[Status]:
        """Checks by status."""
        return Counter(result.status for result in self.results)

    @property
    def clients(self) -> dict[str, list[str]]:
        """For each client the checks that it needs and that did not pass."""
        missing: dict[str, list[str]] = {}
        for result in self.results:
            for client in result.clients:
                missing.setdefault(client, []).extend([] if result.status == "PASS" else [result.name])
        return missing

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {"url": self.url, "model": self.model, "passed": self.passed,
                "counts": {status: self.counts[status] for status in ("PASS", "FAIL", "NOT OFFERED")},
                "clients": {client: {"works": not missing, "missing": missing}
                            for client, missing in self.clients.items()},
                "checks": [result.to_dict() for result in self.results], "seconds": round(self.seconds, 3)}


def examined(check: Check, server: Server) -> Result:
    """The result of a check; whatever the server answers, this comes back."""
    started = time.perf_counter()
    problems: list[Problem] = []
    refused = ""
    try:
        for problem in islice(check.examine(server), _MOST_PROBLEMS):
            problems.append(problem)  # one by one: those before an exception count
    except AnswerError as error:
        problems.append(error.problem)
    except NotOfferedError as error:
        refused = str(error)
    except Exception as error:  # a check must not end all others; this is a fault of the check
        problems.append(Problem("", f"could not be examined: {type(error).__name__} {shown(str(error))}"))
    status: Status = "PASS"
    if problems or (refused and check.level == "required"):
        status = "FAIL"
    elif refused:
        status = "NOT OFFERED"
    if status == "FAIL" and refused:
        problems.append(Problem("", refused))
    reason = "; ".join(map(str, problems)) or refused
    return Result(check.area, check.name, check.level, check.clients, status, tuple(problems), reason,
                  time.perf_counter() - started)

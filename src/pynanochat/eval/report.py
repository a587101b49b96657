"""Report: what a model came to in every task; several of them beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pynanochat.eval import core, suites
from pynanochat.eval.score import Difference, Score, difference
from pynanochat.llm import LLM
from pynanochat.sizes import parameters


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Which model was measured, and where it ran."""

    model: str
    path: str
    generation: str
    step: int | None
    parameters: int
    context: int
    backend: str
    device: str
    dtype: str

    @classmethod
    def of(cls, llm: LLM) -> Facts:
        """A loaded model's."""
        opened, backend = llm.checkpoint, llm.backend
        step = opened.meta.get("step")
        return cls(model=opened.path.name, path=str(opened.path), generation=opened.generation,
                   step=step if type(step) is int else None, parameters=parameters(llm.config)["total"],
                   context=llm.context, backend=backend.name, device=backend.device, dtype=backend.dtype)


@dataclass(frozen=True, kw_only=True)
class Report:
    """A model's scores, in the order in which they were made."""

    facts: Facts
    scores: tuple[Score, ...]
    seconds: float
    complete: bool = True  # no task was left out because of an interrupt

    def __getitem__(self, task: str) -> Score:
        return next(score for score in self.scores if score.task == task)

    @property
    def core(self) -> tuple[str, float] | None:
        """CORE's name, which says how many tasks are in it, and its value; None without its tasks."""
        return core.whole(self.scores)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values: the facts, our own suites' scores by name with their n, the other tasks, CORE."""
        own = [score for score in self.scores if score.task in suites.BUNDLED]
        document: dict[str, Any] = asdict(self.facts) | {score.task: score.value for score in own}
        if own:
            document["n"] = {score.task: score.n for score in own}
            document["standard_error"] = {score.task: score.standard_error for score in own}
        document["tasks"] = {score.task: score.to_dict() for score in self.scores if score not in own}
        if self.core is not None:
            document["core"] = {"name": self.core[0], "value": self.core[1]}
        return document | {"seconds": round(self.seconds, 3), "complete": self.complete}


def differences(reports: Sequence[Report]) -> list[list[Difference]]:
    """For each report after the first its differences from the first, in the tasks that both have."""
    first = {score.task: score for score in reports[0].scores}
    return [[difference(first[score.task], score) for score in report.scores if score.task in first]
            for report in reports[1:]]


def comparison(reports: Sequence[Report]) -> dict[str, Any]:
    """Several reports as plain JSON values, each after the first with its differences from the first."""
    return {"models": [report.to_dict() for report in reports],
            "differences": [{one.task: one.to_dict() for one in found} for found in differences(reports)]}

"""One call from a model to its report."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator

from pynanochat.eval.catalogue import Catalogue, Progress
from pynanochat.eval.data_folder import DataFolder
from pynanochat.eval.report import Facts, Report
from pynanochat.eval.score import Score
from pynanochat.llm import LLM


def evaluate(
    llm: LLM,
    tasks: Iterable[str] = ("bundled",),
    *,
    data: str | os.PathLike[str] | None = None,
    max_per_task: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """The report of a model over tasks, groups of tasks and text files by name; see `catalogue` for the names.

    Raises `RequestError` for an unknown name or a `max_per_task` below 1, `DataError` for a missing or damaged file,
    `TokenizerError` for a model that lacks what the tasks need, before anything is measured.
    """
    started = time.perf_counter()
    catalogue = Catalogue(DataFolder(data), max_per_task)
    names = catalogue.names(tasks)
    catalogue.check_tokenizer(llm.need_tokenizer(), names)
    catalogue.prepare(names)
    found = tuple(scores(llm, catalogue, names, progress))
    return Report(facts=Facts.of(llm), scores=found, seconds=time.perf_counter() - started)


def scores(
    llm: LLM, catalogue: Catalogue, names: Iterable[str], progress: Progress | None = None
) -> Iterator[Score]:
    """Each task's score as soon as it is known."""
    for name in names:
        yield catalogue.run(llm, name, progress)

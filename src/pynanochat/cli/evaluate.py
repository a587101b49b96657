"""nanochat eval: what a model can do, in numbers; several models or checkpoints beside each other."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pynanochat.cli.options import CheckpointOptions, Json, RunningOptions, load_model
from pynanochat.cli.terminal import amount, console, emit, paint, say, styled, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pynanochat.eval import Catalogue, Difference, Report, Score


def evaluate(
    *models: Annotated[str, Parameter(
        help="Paths, tags such as d20@650 or Hugging Face ids; the bundled model if left out. The others are compared "
             "with the first one.")],
    tasks: Annotated[str, Parameter(
        name=("--tasks", "--suite"),
        help="Tasks, groups or text files (.txt, .jsonl, packed as .xz or .gz) with commas between them. Groups are "
             "bundled (our own questions, no files needed), core, chat, texts and all; humaneval, which runs programs "
             "in a sandbox, has to be named.")] = "bundled",
    data: Annotated[str | None, Parameter(
        help="Folder of the tasks' files; if left out NANOCHAT_EVAL_DATA, else eval_data in NANOCHAT_BASE_DIR.",
        show_default=False)] = None,
    max_per_task: Annotated[int | None, Parameter(
        help="At most so many questions of a task, or windows of a text.", show_default=False)] = None,
    json: Json = False,
    files: CheckpointOptions = CheckpointOptions(),  # noqa: B008 - frozen
    running: RunningOptions = RunningOptions(),  # noqa: B008 - frozen
) -> int:
    """Measure a model: bits per byte of texts, multiple choice, answers, programs and our own exact questions.

    Ctrl-C ends it with what is known by then, exit code 130.
    """
    from pynanochat.errors import RequestError
    from pynanochat.eval import Catalogue, DataFolder, comparison

    if max_per_task is not None and max_per_task < 1:
        raise RequestError(f"--max-per-task is {max_per_task}; expected 1 or more")
    catalogue = Catalogue(DataFolder(data), max_per_task)
    names = catalogue.names(part for name in tasks.split(",") if (part := name.strip()))
    catalogue.prepare(names)
    for other in models[1:]:  # a mistake in the last one costs no hours
        _look_at(other, catalogue, names, files)
    reports: list[Report] = []
    for model in models or (None,):
        report = _measure(model, catalogue, names, files, running)
        if report.scores:
            reports.append(report)
        if not report.complete:
            break
    if reports and json:
        emit(reports[0].to_dict() if len(models) < 2 else comparison(reports))
    elif reports:
        _show(reports)
    return 0 if report.complete else 130


def _look_at(model: str, catalogue: Catalogue, names: Sequence[str], files: CheckpointOptions) -> None:
    """Raise what loading the model and measuring it would raise, as far as its small files tell."""
    from pynanochat import checkpoint
    from pynanochat.errors import TokenizerError
    from pynanochat.tokenizer import Tokenizer

    place = checkpoint.resolve(model, source=files.source, step=files.step)
    opened = checkpoint.open(place, verify=False, step=files.step, tokenizer=files.tokenizer, softcap=files.softcap,
                             rope_table_dtype=files.rope_table_dtype)
    if opened.tokenizer_path is None:
        raise TokenizerError(f"{opened.path}: there is no tokenizer with this model; name its folder with --tokenizer")
    catalogue.check_tokenizer(Tokenizer.load(opened.tokenizer_path), names)


def _measure(
    model: str | None, catalogue: Catalogue, names: Sequence[str], files: CheckpointOptions, running: RunningOptions
) -> Report:
    """What could be measured until the end or an interrupt; told on stderr as it goes."""
    from pynanochat.eval import Facts, Report, scores

    llm = load_model(model, files, running)
    catalogue.check_tokenizer(llm.need_tokenizer(), names)
    facts, complete = Facts.of(llm), True
    found: list[Score] = []
    say(f"{facts.model}: {len(names)} tasks")
    at = started = time.perf_counter()
    try:
        for score in scores(llm, catalogue, names, _tell):
            now = time.perf_counter()
            found.append(score)
            _tell_score(score, now - at)
            at = now
    except KeyboardInterrupt:
        complete = False
        say(f"{_line_start()}stopped after {len(found)} of {len(names)} tasks")
    return Report(facts=facts, scores=tuple(found), seconds=time.perf_counter() - started, complete=complete)


def _tell(task: str, done: int, of: int) -> None:
    if styled(sys.stderr):
        print(f"{_line_start()}  {task} {done}/{of}", end="", file=sys.stderr, flush=True)


def _tell_score(score: Score, seconds: float) -> None:
    say(f"{_line_start()}  {score.task:<34}{_value(score):>8}  {score.n} in {seconds:.1f} s", "dim")


def _line_start() -> str:
    """What wipes the line of the progress away."""
    return "\r\033[K" if styled(sys.stderr) else ""


def _show(reports: Sequence[Report]) -> None:
    """One table; a column for each model, and how each after the first differs from it."""
    from pynanochat.eval import differences

    out, first = sys.stdout, reports[0]
    for report in reports:
        facts = report.facts
        step = "" if facts.step is None else f", step {facts.step}"
        print(paint(facts.model, "bold", out) + f"{step}: {facts.generation}, {amount(facts.parameters)} parameters, "
              f"context {facts.context}, {facts.backend} in {facts.dtype}, {report.seconds:.1f} s"
              + ("" if report.complete else ", stopped early"))
    headings = ["task", "n", "chance"]
    for report in reports:
        headings += [report.facts.model if report.facts.step is None or len(reports) == 1 else
                     f"{report.facts.model}@{report.facts.step}", "±"]
    headings += [f"{place} - 1" for place in range(2, len(reports) + 1)]
    others = [{one.task: one for one in found} for found in differences(reports)]
    rows = [_row(score, reports, [found.get(score.task) for found in others]) for score in first.scores]
    if first.core is not None:
        values = [cell for report in reports
                  for cell in (("", "") if report.core is None else (f"{report.core[1]:.4f}", ""))]
        rows.append([first.core[0], "", "0", *values, *[""] * len(others)])
    console().print(table(headings, rows, right=range(1, len(headings))))
    for note in _notes(reports):
        print(paint(note, "dim", out))


def _row(score: Score, reports: Sequence[Report], others: Sequence[Difference | None]) -> list[str]:
    cells = [score.task, str(score.n), "" if score.chance is None else f"{100 * score.chance:.3g} %"]
    for report in reports:
        same = [one for one in report.scores if one.task == score.task]
        cells += [_value(same[0]), _error(same[0].standard_error, score)] if same else ["", ""]
    for one in others:
        cells.append("" if one is None else f"{_signed(one.value, score)} ± {_error(one.standard_error, score)}"
                     + ("" if one.clear or not one.value else " ?"))
    return cells


def _notes(reports: Sequence[Report]) -> list[str]:
    notes = []
    cut = {score.task: max(one.too_long for report in reports for one in report.scores if one.task == score.task)
           for score in reports[0].scores}
    if any(cut.values()):
        notes.append("too long for the context, so cut in front or wrong: "
                     + ", ".join(f"{task} {count}" for task, count in cut.items() if count))
    core = reports[0].core
    if core is not None and core[0] != "CORE":
        notes.append(f"{core[0]} is the mean over these tasks only; it cannot be set beside CORE, which has 22")
    parts = [score.task for score in reports[0].scores if len(
        {one.facts.get("bytes") for report in reports for one in report.scores if one.task == score.task}) > 1]
    if parts:
        notes.append(f"the models read {', '.join(parts)} to different ends, as their windows differ; leave "
                     "--max-per-task out to compare them")
    if len(reports) > 1:
        notes.append("?: less than two standard errors, so it may well be chance")
    return notes


def _value(score: Score) -> str:
    return f"{score.value:.4f}" if score.unit == "bits/byte" else f"{100 * score.value:.1f} %"


def _error(error: float, score: Score) -> str:
    return f"{error:.4f}" if score.unit == "bits/byte" else f"{100 * error:.1f}"


def _signed(value: float, score: Score) -> str:
    return f"{value:+.4f}" if score.unit == "bits/byte" else f"{100 * value:+.1f}"

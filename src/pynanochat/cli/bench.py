"""nanochat bench: how fast a model runs here, and what share of the memory's bandwidth that is."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from pynanochat.cli.options import CheckpointOptions, Json, ModelName
from pynanochat.cli.terminal import amount, emit, paint, say

if TYPE_CHECKING:
    from pynanochat.backends import Choice
    from pynanochat.bench.model import Model
    from pynanochat.bench.report import Report


def bench(
    model: ModelName = None,
    *,
    depth: Annotated[int | None, Parameter(
        help="Instead of a model: random weights, in nanochat's shape of so many layers, such as 12 or 20.")] = None,
    backend: Annotated[str | None, Parameter(
        help="auto, cpu, cuda, mps, torch or reference; NANOCHAT_BACKEND is the default.")] = None,
    quantize: Annotated[Literal["q8", "q4"] | None, Parameter(help="Weights in 8 or 4 bits.")] = None,
    dtype: Annotated[Literal["float32", "float64", "bfloat16"] | None, Parameter(
        help="Precision of weights and activations.")] = None,
    threads: Annotated[int | None, Parameter(help="Threads to compute with; every core if left out.")] = None,
    batches: Annotated[tuple[int, ...], Parameter(
        help="Sequences decoded together; may be given again. 1 2 4 8 16 32 if left out.")] = (),
    quick: Annotated[bool, Parameter(help="Fewer points and repetitions.")] = False,
    json: Json = False,
    files: CheckpointOptions = CheckpointOptions(),  # noqa: B008 - frozen
) -> int:
    """Measure how fast a model runs: decode, prefill, sweeps over batch and context, and the memory's bandwidth.

    Medians after a warm-up. Where the output goes to a file or a program, its last line is one JSON document. The
    numbers of a busy machine mean little.
    """
    from pynanochat.bench.effort import Effort, batch_sizes
    from pynanochat.bench.measurement import measure
    from pynanochat.errors import RequestError

    if threads is not None and threads < 1:
        raise RequestError(f"--threads is {threads}; expected 1 or more")
    effort = Effort.quick() if quick else Effort()
    if batches:
        effort = replace(effort, batches=batch_sizes(batches))
    subject, choice = _chosen(model, depth, backend, dtype, quantize, files)

    def progress(text: str) -> None:
        if not json:
            say(f"{text} ...", "dim")

    report = measure(subject, choice, effort, threads=threads, progress=progress)
    if not json:
        _show(report)
    if json or not sys.stdout.isatty():
        emit(report.to_dict())
    return 0


def _chosen(
    name: str | None, depth: int | None, backend: str | None, dtype: str | None, quantize: Literal["q8", "q4"] | None,
    files: CheckpointOptions,
) -> tuple[Model, Choice]:
    """What is measured and where; a slow backend is said on stderr."""
    from pynanochat.backends import choose
    from pynanochat.bench.model import network_of_depth, open_checkpoint, random_model, stored_model
    from pynanochat.errors import RequestError

    if depth is None:
        opened = open_checkpoint(name, **asdict(files))
        for note in opened.notes:
            say(f"note: {note}", "dim")
        subject = stored_model(opened, quantize)
        choice = choose(backend, dtype)
    elif name is not None:
        raise RequestError(f"both a model, {name}, and --depth are given; leave one out")
    else:
        cfg = network_of_depth(depth)
        choice = choose(backend, dtype)
        subject = random_model(f"d{depth}", cfg, choice.dtype, quantize)
    return subject, choice


def _show(report: Report) -> None:
    from pynanochat.bench.plot import bars

    facts, machine, out = report.facts, report.machine, sys.stdout
    weights = ", random weights" if report.random else ""
    print(paint(report.model, "bold", out) + f"{weights}: {report.generation}, {amount(report.parameters)} parameters")
    print(f"{facts.name} on {facts.device} in {facts.dtype} ({facts.reason})")
    print(f"{machine.processor}, {report.threads} threads, {machine.system}\n")
    for name, value, note in _rows(report):
        print(f"  {name:<22}{paint(f'{value:>16}', 'bold', out)}  {paint(note, 'dim', out)}")
    for values, heading in ((report.batch_sweep, "sequences together"), (report.context_sweep, "context")):
        top, *lines = bars(heading, "tokens/s", values)
        print("\n" + paint(top, "bold", out), *lines, sep="\n")
    if report.random:
        print(paint("\nRandom weights leave about half of the hidden units at zero, anywhere. In trained\n"
                    "models whole groups are zero, whose weights need not be read: they may run faster.", "dim", out))
    print()


def _rows(report: Report) -> list[tuple[str, str, str]]:
    from pynanochat.bench.plot import figures

    now, peak = report.memory.now_bytes, report.memory.peak_bytes
    return [
        ("decode", f"{figures(report.decode)} tokens/s",
         f"{1e3 / report.decode:.3g} ms each, at context {report.decode_context}"),
        ("  whole engine", f"{figures(report.engine)} tokens/s", "scheduled, sampled, streamed"),
        ("prefill", f"{figures(report.prefill)} tokens/s", f"{report.prompt} tokens in one step"),
        ("first token", f"{figures(report.first_token_ms)} ms", f"prompt of {report.prompt}, whole engine"),
        ("read for a token", amount(report.bytes_per_token, "B"), "weights, scales, keys and values"),
        ("memory reads", amount(report.bandwidth, "B/s"), f"decode uses {report.bandwidth_share:.0%}"),
        ("  a token's bytes", amount(report.near_bandwidth, "B/s"),
         f"decode uses {report.near_bandwidth_share:.0%}; caches may hold some"),
        ("memory held", amount(now, "B") if now else "unknown", f"{amount(peak, 'B')} at most" if peak else ""),
    ]

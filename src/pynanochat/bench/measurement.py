"""Measurement: one model, opened once, through everything that the report holds."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from pynanochat.backends import Choice
from pynanochat.bench.decode import batch_sweep, context_sweep, decode
from pynanochat.bench.effort import Effort
from pynanochat.bench.end_to_end import answers, front_of
from pynanochat.bench.machine import Machine
from pynanochat.bench.memory import Resident
from pynanochat.bench.model import Model
from pynanochat.bench.prefill import prefill
from pynanochat.bench.report import Report
from pynanochat.bench.roofline import read_bandwidth, token_bytes
from pynanochat.bench.timing import timed
from pynanochat.bench.workload import Workload
from pynanochat.llm import STEP_TOKENS
from pynanochat.runner import sequence_pages
from pynanochat.sizes import parameters


def measure(
    model: Model,
    choice: Choice,
    effort: Effort,
    *,
    threads: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """The report of a model on a backend; `progress` is told what comes next.

    Raises `BackendError` where the model does not fit or the backend is not there, `RequestError` for a context that
    is too short.
    """
    cfg = model.config
    effort = effort.within(cfg.sequence_len)
    room = effort.contexts[-1]
    alone = Workload(cfg, 1, room)
    together = Workload(cfg, max(effort.batches), effort.start + effort.sweep_steps)
    pages = tuple(map(max, alone.pages, together.pages, sequence_pages(cfg, room, STEP_TOKENS)))
    runner = model.open(choice, context=room, pages=pages, threads=threads)
    progress(f"prefill of {effort.prompt} tokens")
    prompt = prefill(runner, alone, effort.prompt, repeats=effort.repeats)
    progress(f"decode of {effort.steps} tokens")
    timed(runner, alone.fill(0, effort.start))
    single = decode(runner, alone, effort.start, effort.steps, repeats=effort.repeats)
    progress("decode over batch size")
    timed(runner, together.fill(0, effort.start))
    by_batch = dict(batch_sweep(runner, together, effort.batches, effort.start, effort.sweep_steps))
    progress("decode over context")
    by_context = dict(context_sweep(runner, alone, effort.contexts, effort.sweep_steps))
    progress("answers through the engine")
    llm = front_of(model, runner, room)
    first = answers(llm, prompt=effort.prompt, tokens=1, repeats=effort.repeats)
    whole = answers(llm, prompt=effort.start, tokens=effort.steps, repeats=effort.repeats)
    memory = Resident.measure()
    machine = Machine.here()
    reading = threads or machine.cores
    context = effort.start + effort.steps // 2
    size = token_bytes(cfg, runner.facts, context)
    progress("reading memory")
    return Report(
        model=model.name, generation=model.generation, parameters=parameters(cfg)["total"], random=model.random,
        facts=runner.facts, threads=reading, machine=machine,
        decode=single.tokens_per_second, decode_context=context,
        engine=statistics.median(usage.tokens_per_second for usage in whole),
        prefill=prompt.tokens_per_second, prompt=effort.prompt,
        first_token_ms=1e3 * statistics.median(usage.first_token_seconds for usage in first),
        bytes_per_token=size,
        bandwidth=read_bandwidth(reading, repeats=effort.bandwidth_repeats),
        near_bandwidth=read_bandwidth(reading, size, repeats=effort.bandwidth_repeats),
        batch_sweep={rows: timing.tokens_per_second for rows, timing in by_batch.items()},
        context_sweep={tokens: timing.tokens_per_second for tokens, timing in by_context.items()},
        memory=memory,
    )

"""nanochat check: every feature measured, with its limit; the exit code is 1 where one fails."""

from __future__ import annotations

import platform
import sys
import time
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from pynanochat import __version__
from pynanochat.cli.options import Json, ModelName, backend_described
from pynanochat.cli.terminal import emit, paint

if TYPE_CHECKING:
    from pynanochat.check import Result
    from pynanochat.check.trace import Traced

_STYLES = {"PASS": "green", "FAIL": "red", "SKIP": "yellow"}
_MILESTONES = {
    "M2": "sampling", "M3": "network", "M4": "cache and streaming", "M5": "rotary embeddings", "M6": "norms",
    "M7": "grouped heads", "M8": "policies in the engine", "M9": "softcap",
    "M10": "checkpoints, tokenizer and the bundled model"}


def check(
    model: ModelName = None,
    *,
    trace: Annotated[bool, Parameter(
        help="Instead, run a model's plan on the cpu backend call by call beside the reference.")] = False,
    quantize: Annotated[Literal["q8", "q4"] | None, Parameter(
        help="With --trace, the matrices in 8 or 4 bits.")] = None,
    backend: Annotated[str | None, Parameter(
        help="auto, cpu, cuda, mps, torch or reference; NANOCHAT_BACKEND is the default.")] = None,
    seed: Annotated[int, Parameter(help="Of the random weights and inputs.")] = 0,
    verbose: Annotated[bool, Parameter(alias="-v", help="Say what each number is.")] = False,
    json: Json = False,
) -> int:
    """Measure that everything works, feature by feature.

    A small random network on the chosen backend, against the limit beside each number; the tokenizer and the answer
    are the bundled model's.
    """
    from pynanochat.check import Demo, run
    from pynanochat.errors import RequestError

    if seed < 0:
        raise RequestError(f"--seed is {seed}; expected 0 or more")
    if trace:
        if backend not in (None, "cpu"):
            raise RequestError(f"--backend {backend} with --trace: only the cpu backend replays a plan; leave it out")
        return _trace(model, quantize, seed, verbose, json)
    if model is not None or quantize is not None:
        raise RequestError("a model and --quantize belong to --trace; the checks themselves run on a network of their "
                           "own")
    started = time.perf_counter()
    demo = Demo(backend, seed)
    facts = demo.facts
    if not json:
        print(paint(f"pynanochat {__version__}", "bold", sys.stdout)
              + f", {facts.name} on {facts.device} in {facts.dtype} ({facts.reason})")
    results: list[Result] = []
    for result in run(demo):
        if not json:
            _show(result, verbose, heading=not results or results[-1].milestone != result.milestone)
        results.append(result)
    counts = Counter(result.status for result in results)
    seconds = time.perf_counter() - started
    if json:
        document: dict[str, Any] = {
            "version": __version__, "python": platform.python_version(), "machine": platform.platform(),
            "backend": backend_described(facts), "seed": seed, "checks": [result.to_dict() for result in results],
            "passed": counts["PASS"], "failed": counts["FAIL"], "skipped": counts["SKIP"], "seconds": seconds}
        emit(document)
    else:
        style = "red" if counts["FAIL"] else "green"
        print("\n" + paint(f"{counts['PASS']} PASS, {counts['FAIL']} FAIL, {counts['SKIP']} SKIP", style, sys.stdout)
              + f" in {seconds:.1f} s")
    return int(counts["FAIL"] > 0)


def _trace(name: str | None, quantize: Literal["q8", "q4"] | None, seed: int, verbose: bool, json: bool) -> int:
    import numpy as np

    from pynanochat import checkpoint
    from pynanochat.check.trace import PROMPTS, trace

    opened = checkpoint.open(checkpoint.resolve(name))
    cfg = opened.config
    tensors = opened.tensors if quantize is None else checkpoint.quantized(cfg, opened.tensors, quantize)
    tokens = np.random.default_rng(seed).integers(0, cfg.vocab_size, sum(PROMPTS) + 2).tolist()
    calls: list[Traced] = []
    for call in trace(cfg, tensors.__getitem__, tokens):
        if not json and (verbose or (not call.right and all(before.right for before in calls))):
            mark = paint("PASS", "green", sys.stdout) if call.right else paint("FAIL", "red", sys.stdout)
            print(f"{mark}  {call.step} wave {call.wave:<4} {call.difference:<9.2g} {call.call}")
        calls.append(call)
    wrong = [call for call in calls if not call.right]
    if json:
        emit({"calls": len(calls), "wrong": len(wrong), "first_wrong": asdict(wrong[0]) if wrong else None,
              "largest_difference": max(call.difference for call in calls)})
    else:
        style = "red" if wrong else "green"
        print(paint(f"{len(calls) - len(wrong)} of {len(calls)} calls as the reference", style, sys.stdout)
              + f", largest difference {max(call.difference for call in calls):.2g}")
    return int(bool(wrong))


def _show(result: Result, verbose: bool, heading: bool) -> None:
    if heading:
        print(f"\n{paint(result.milestone, 'bold', sys.stdout)}  {_MILESTONES[result.milestone]}")
    status = paint(result.status, _STYLES[result.status], sys.stdout)
    value = f"{result.value:.3g}" if isinstance(result.value, float) else f"{result.value}"
    limit = paint(f"({result.limit})" if result.limit else "", "dim", sys.stdout)
    print(f"  {status}  {result.name:<42} {value} {limit}".rstrip(), flush=True)
    if result.detail and (verbose or result.status != "PASS"):
        print(paint(f"        {result.detail}", "dim", sys.stdout))

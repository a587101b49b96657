"""nanochat check: every feature measured, with its limit; the exit code is 1 where one fails."""

from __future__ import annotations

import platform
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from pynanochat import __version__
from pynanochat.cli.options import Json, backend_described
from pynanochat.cli.terminal import emit, paint

if TYPE_CHECKING:
    from pynanochat.check import Result

_STYLES = {"PASS": "green", "FAIL": "red", "SKIP": "yellow"}
_MILESTONES = {
    "M2": "sampling", "M3": "network", "M4": "cache and streaming", "M5": "rotary embeddings", "M6": "norms",
    "M7": "grouped heads", "M8": "policies in the engine", "M9": "softcap",
    "M10": "checkpoints, tokenizer and the bundled model"}


def check(
    *,
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

    if seed < 0:
        from pynanochat.errors import RequestError

        raise RequestError(f"--seed is {seed}; expected 0 or more")
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


def _show(result: Result, verbose: bool, heading: bool) -> None:
    if heading:
        print(f"\n{paint(result.milestone, 'bold', sys.stdout)}  {_MILESTONES[result.milestone]}")
    status = paint(result.status, _STYLES[result.status], sys.stdout)
    value = f"{result.value:.3g}" if isinstance(result.value, float) else f"{result.value}"
    limit = paint(f"({result.limit})" if result.limit else "", "dim", sys.stdout)
    print(f"  {status}  {result.name:<42} {value} {limit}".rstrip(), flush=True)
    if result.detail and (verbose or result.status != "PASS"):
        print(paint(f"        {result.detail}", "dim", sys.stdout))

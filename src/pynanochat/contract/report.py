"""The report for people: a line per check while they run, then what works for each client."""

from __future__ import annotations

import sys

from pynanochat import __version__
from pynanochat.cli.terminal import console, paint, table
from pynanochat.contract.clients import SPECIFICATION
from pynanochat.contract.problem import shown
from pynanochat.contract.result import Report, Result

_STYLES = {"PASS": "green", "FAIL": "red", "NOT OFFERED": "yellow"}


def show_heading(url: str, checks: int) -> None:
    """Who asks whom."""
    print(paint(f"pynanochat {__version__}", "bold", sys.stdout) + f", {checks} checks of {url}")


def show(result: Result, heading: bool) -> None:
    """One check, below the name of its area where that is new."""
    if heading:
        print("\n" + paint(result.area, "bold", sys.stdout))
    status = paint(f"{result.status:<11}", _STYLES[result.status], sys.stdout)
    print(f"  {status}  {result.name:<44} {paint(result.level, 'dim', sys.stdout)}", flush=True)
    for reason in [str(problem) for problem in result.problems] or [result.reason] * bool(result.reason):
        print(f"               {paint(reason, '' if result.status == 'FAIL' else 'dim', sys.stdout)}")


def show_summary(report: Report) -> None:
    """What each client would miss, and the counts."""
    found = sorted(report.clients.items(), key=lambda item: (item[0] == SPECIFICATION, bool(item[1]), item[0]))
    rows = [(client, ", ".join(missing) or "nothing") for client, missing in found]
    print()
    console().print(table(("client", "misses"), rows))
    counts = report.counts
    style = "green" if report.passed else "red"
    verdict = "every required check passed" if report.passed else "required checks failed"
    print(paint(f"{counts['PASS']} PASS, {counts['FAIL']} FAIL, {counts['NOT OFFERED']} NOT OFFERED", style, sys.stdout)
          + f" in {report.seconds:.1f} s with the model {shown(report.model)}: {verdict}")

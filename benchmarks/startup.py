"""Milliseconds from the shell to a bare Python, to the package, to help, and to the first token.

Run: python benchmarks/startup.py [--runs 15]. Medians and the fastest; a table, then one JSON line. The kinds take
turns, so that a busy moment of the machine falls on all of them. Last, once each, the first start ever: with an empty
folder for compiled kernels.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = [sys.executable, "-m", "pynanochat"]
ANSWER = [*COMMAND, "generate", "Once upon a time", "--greedy"]
FLOATS = [*ANSWER, "--model", str(Path(__file__).parents[1] / "tests/fixtures/story5m")]
KINDS = {  # how it starts, and what is waited for: its end, or its first byte of output
    "python": ([sys.executable, "-c", "pass"], "end"),
    "python, importing pynanochat": ([sys.executable, "-c", "import pynanochat"], "end"),
    "python, importing numpy": ([sys.executable, "-c", "import numpy"], "end"),
    "nanochat --version": ([*COMMAND, "--version"], "end"),
    "nanochat --help": ([*COMMAND, "--help"], "end"),
    "nanochat generate --help": ([*COMMAND, "generate", "--help"], "end"),
    "nanochat inspect --json": ([*COMMAND, "inspect", "--json"], "end"),
    "nanochat generate, first token": (ANSWER, "first"),
    "a bfloat16 model": (FLOATS, "first"),
    "a bfloat16 model, --quantize q8": ([*FLOATS, "--quantize", "q8"], "first"),
    "a bfloat16 model, --quantize q4": ([*FLOATS, "--quantize", "q4"], "first"),
}
FIRST_TOKENS = [name for name, (_, until) in KINDS.items() if until == "first"]


def run_ms(command, until, **environment):
    start = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               env=os.environ | environment)
    if until == "first":
        process.stdout.read(1)
    else:
        process.stdout.read()
        if process.wait():
            raise SystemExit(f"{' '.join(command)} failed")
    elapsed = 1e3 * (time.perf_counter() - start)
    process.kill()
    process.wait()
    process.stdout.close()
    return elapsed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    times = {name: [] for name in KINDS}
    for run in range(runs + 1):  # the first one fills the disk cache
        for name, (command, until) in KINDS.items():
            elapsed = run_ms(command, until)
            if run:
                times[name].append(elapsed)
    print(f"{'milliseconds':34}{'median':>8}{'fastest':>9}{'over python':>13}")
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        print(f"{name:34}{medians[name]:8.0f}{min(values):9.0f}{medians[name] - medians['python']:13.0f}")
    ever = {}
    for name in FIRST_TOKENS:
        with tempfile.TemporaryDirectory() as folder:
            ever[name] = run_ms(*KINDS[name], NUMBA_CACHE_DIR=folder)
        print(f"{name + ', ever':42}{ever[name]:8.0f}")
    print(json.dumps({
        "benchmark": "startup", "runs": runs, "python": platform.python_version(), "machine": platform.platform(),
        "median_ms": {name: round(value, 1) for name, value in medians.items()},
        "fastest_ms": {name: round(min(values), 1) for name, values in times.items()},
        "first_ever_ms": {name: round(value, 1) for name, value in ever.items()}}))


if __name__ == "__main__":
    main()

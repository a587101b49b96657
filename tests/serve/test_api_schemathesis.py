"""schemathesis over openapi.json, with every check: no 5xx, what the schema allows is answered, what not is refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("prometheus_client", reason="nanochat serve needs the extra serve")
pytest.importorskip("schemathesis", reason="the extra clients brings schemathesis")

from api_client import serving
from fixture_files import STORY5M
from fuzzing import FACTOR, examples

import pynanochat as nc
from pynanochat.serve import openapi

HOOKS = Path(__file__).with_name("schemathesis_hooks.py")
KEY = "a key"
OPERATIONS = ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/tokenize", "/detokenize"]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving({"story5m": nc.load(STORY5M)}, keys=(KEY,)) as url:
        yield url


def run(address: str, folder: Path, *options: str) -> int:
    """Let schemathesis ask; how many cases there were. Fails with what it found."""
    command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run",
               str(openapi.PLACE), "--url", address, "--checks", "all", "--continue-on-failure", "--no-color",
               "--suppress-health-check", "all", "-H", f"Authorization: Bearer {KEY}", *options]
    if FACTOR == 1:
        command += ["--seed", "1"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=3600,
                          env=os.environ | {"SCHEMATHESIS_HOOKS": str(HOOKS)})
    report = done.stdout + done.stderr
    assert done.returncode == 0, report[-20_000:]
    counted = re.search(r"(\d+) generated, \1 passed", report)
    assert counted is not None, report[-2_000:]
    return int(counted[1])


@pytest.mark.parametrize("path", OPERATIONS)
def test_drawn_requests(address: str, tmp_path: Path, path: str) -> None:
    """In `make soak` 20,000 of them, over all paths."""
    cases = run(address, tmp_path, "--include-path", path, "--phases", "fuzzing", "--max-examples", str(examples(40)))
    assert cases >= 20 * FACTOR


def test_every_boundary_of_every_field(address: str, tmp_path: Path) -> None:
    assert run(address, tmp_path, "--phases", "coverage") > 1000


def test_paths_that_take_no_body(address: str, tmp_path: Path) -> None:
    run(address, tmp_path, "--include-method", "GET", "--phases", "fuzzing,stateful", "--max-examples", "20")

"""Our own server keeps the contract: the command serves the bundled model, the checker asks it over the network."""

import json
import select
import subprocess
import sys
from contextlib import contextmanager

import pytest

from pynanochat.contract import check_server

for library in ("uvicorn", "httptools", "prometheus_client", "llguidance"):
    pytest.importorskip(library, reason=f"nanochat serve needs {library}, of the extra serve")

PATIENCE = 120  # seconds until it serves, or has stopped
NOT_OFFERED = {"tools"}  # the model was trained to call its calculator, no other function


@contextmanager
def serving(log, *arguments):
    """The URL of the command's server, whose stderr goes to a file."""
    command = [sys.executable, "-m", "pynanochat", "serve", "--port", "0", "--json", *arguments]
    with log.open("wb") as talk, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=talk) as process:
        try:
            ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
            line = process.stdout.readline() if ready else b""
            assert line, log.read_text()
            yield json.loads(line)["url"]
            process.terminate()
            assert process.wait(PATIENCE) == 0, log.read_text()
        finally:
            process.kill()


def test_our_server_keeps_the_contract(tmp_path):
    with serving(tmp_path / "log") as url:
        report = check_server(url)
    assert {result.name: result.reason for result in report.results if result.status == "FAIL"} == {}
    assert {result.name for result in report.results if result.status == "NOT OFFERED"} <= NOT_OFFERED


def test_our_server_keeps_it_behind_a_key(tmp_path):
    with serving(tmp_path / "log", "--api-key", "secret") as url:
        report = check_server(url, api_key="secret", only=["models", "HTTP", "errors", "stream"])
    assert {result.name: result.reason for result in report.results if result.status != "PASS"} == {}

"""A real server in a process of its own."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 240  # an empty kernel cache included


@dataclass(frozen=True)
class Served:
    """A running server and the model that it has."""

    url: str
    model: str = "story5m"

    def metric(self, name: str) -> float:
        """The sum over a metric's labels."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(rf"{name}[{{ ]", line))


def serve(folder: Path, *arguments: str) -> Iterator[Served]:
    """A server for as long as the iterator lives; it must stop when told to, and log no error."""
    log = folder / "stderr"
    with log.open("wb") as stderr:
        process = subprocess.Popen([sys.executable, "-m", "pynanochat", "serve", "--port", "0", *arguments],
                                   stdout=subprocess.PIPE, stderr=stderr)
    try:
        yield Served(url_of(process, log))
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()
    told = log.read_text()
    assert process.returncode == 0, told[-4000:]
    assert "Traceback" not in told, told[-4000:]
    assert " ERROR " not in told, told[-4000:]


def url_of(process: subprocess.Popen[bytes], log: Path) -> str:
    """The URL that a server prints when it is ready."""
    assert process.stdout is not None
    told, deadline = b"", time.monotonic() + START_SECONDS
    while (found := re.search(rb"(http://\S+)\s", told)) is None:
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(process.stdout.fileno(), 4096) if ready else b""
        assert chunk, f"the server prints no URL: {told!r}\n{log.read_text()[-4000:]}"
        told += chunk
    return found[1].decode().rstrip("/")

"""A load of many clients on one event loop, and the server that they are sent to as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Served:
    """A server process that is ready."""

    process: subprocess.Popen[str]
    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=10) as response:
            return response.read().decode()

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        document = self.get("/metrics")
        assert f"# TYPE {name.removesuffix('_total')}" in document, f"no metric {name}"
        return sum(map(float, re.findall(rf"^{re.escape(name)}(?:\{{.*\}})? (\S+)$", document, re.M)))

    def resident_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


@contextmanager
def serving(*arguments: str) -> Iterator[Served]:
    """nanochat serve on a free port, killed at the end if it still runs."""
    command = [sys.executable, "-m", "pynanochat", "serve", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        found = None
        while found is None:
            line = process.stdout.readline()
            assert line, f"the server has ended with {process.wait()}"
            found = re.search(r"http://([\d.]+):(\d+)", line)
        yield Served(process, found[1], int(found[2]))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def http(path: str, body: dict[str, Any]) -> bytes:
    """The bytes of a POST."""
    content = json.dumps(body).encode()
    return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"Content-Length: {len(content)}\r\n\r\n").encode() + content


@asynccontextmanager
async def posted(server: Served, path: str, body: dict[str, Any]) -> AsyncIterator[asyncio.StreamReader]:
    """What comes back for a POST, from the status line on."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        writer.write(http(path, body))
        await writer.drain()
        yield reader
    finally:
        writer.close()


async def status_of(reader: asyncio.StreamReader) -> int:
    """The status; what is read next is the body."""
    status = int((await reader.readline()).split()[1])
    while (await reader.readline()).strip():
        pass
    return status


async def streamed(server: Served, body: dict[str, Any], path: str = "/v1/chat/completions") -> list[dict[str, Any]]:
    """The events of a whole stream, which must end as it should."""
    async with posted(server, path, body | {"stream": True}) as reader:
        status = await status_of(reader)
        rest = (await reader.read()).decode()
        assert status == 200, (status, rest)
        data = [line[6:] for line in rest.splitlines() if line.startswith("data: ")]
        assert data.count("[DONE]") == 1, f"a truncated stream: {rest[-200:]!r}"
        assert data[-1] == "[DONE]"
        return [json.loads(one) for one in data[:-1]]


def text_of(events: list[dict[str, Any]]) -> str:
    """What the first choice of a chat stream says."""
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])

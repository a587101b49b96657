"""A program in the sandbox: started, watched, ended, and what came of it."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pynanochat.errors import RequestError
from pynanochat.eval.sandbox.limits import Limits

Status = Literal["ended", "time", "output", "killed"]

_LAUNCHER = Path(__file__).with_name("launcher.py")
_START_SECONDS = 30.0  # for the launcher to lock itself in, on a busy machine


@dataclass(frozen=True)
class Result:
    """How a program ended and what it printed, stderr behind stdout as it came."""

    status: Status  # by itself; ended by us, past its time or output; killed by the kernel, past its processor time
    code: int  # exit code; minus the signal where a signal ended it
    output: str

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with exit code 0."""
        return self.status == "ended" and self.code == 0


def run(source: str, limits: Limits | None = None, *, partner: str | None = None) -> Result:
    """Run a Python program with the standard library alone, locked in; its folder, which holds it, is gone afterwards.

    A partner is a second such program, with limits of its own: what one writes to its stdin the other reads from its
    own, and that is all they share. The result is the first one's; the partner's output is dropped, and it ends with
    the first one. Raises `RequestError` where the locks cannot be set; then nothing has run. `require` says so
    beforehand.
    """
    if sys.platform != "linux":
        raise RequestError("programs that a model wrote run in a sandbox only, which needs Linux")
    given = limits or Limits()
    if partner is None:
        with _started(source, given, subprocess.DEVNULL, subprocess.PIPE) as process:
            return _watch(process, given)
    ours, theirs = socket.socketpair()
    with (ours, theirs, _started(partner, given, theirs.fileno(), subprocess.DEVNULL),
          _started(source, given, ours.fileno(), subprocess.PIPE) as process):
        ours.close()  # so that each sees the end of the other
        theirs.close()
        return _watch(process, given)


@contextlib.contextmanager
def _started(source: str, limits: Limits, stdin: int, stdout: int) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs, locked in, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="nanochat-sandbox-") as folder:
        program = Path(folder, "program.py")
        program.write_text(source, encoding="utf-8", errors="replace")
        told, status = os.pipe()
        try:
            process = subprocess.Popen(
                [_python(), "-I", "-S", "-B", str(_LAUNCHER), json.dumps(
                    {"program": str(program), "python": _python(), "readable": [*_readable(), folder], "status": status,
                     "parent": os.getpid(), **asdict(limits)})],
                stdin=stdin, stdout=stdout, stderr=subprocess.STDOUT, cwd=folder, env={}, close_fds=True,
                pass_fds=(status,))
        except OSError as error:
            os.close(told)
            raise RequestError(f"no process can be started: {error.strerror}") from None
        finally:
            os.close(status)
        try:
            _await_lock(told)
            yield process
        finally:
            os.close(told)
            _end(process)


def _await_lock(told: int) -> None:
    """Return once the program runs, locked in; `RequestError` where the launcher could not."""
    said, end = b"", time.monotonic() + _START_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(told, selectors.EVENT_READ)
        while selector.select(max(0.0, end - time.monotonic())):
            part = os.read(told, 4096)  # the pipe closes when the program starts
            said += part
            if not part:
                break
    if said != b"locked":
        why = said.removeprefix(b"locked").decode("utf-8", "replace").removeprefix(" but ") or "it did not start"
        raise RequestError(f"the sandbox cannot be locked, so the program was not run: {why:.200}")


def _watch(process: subprocess.Popen[bytes], limits: Limits) -> Result:
    assert process.stdout is not None, "it is a pipe"
    output, end = b"", time.monotonic() + limits.seconds
    status: Status = "ended"
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while status == "ended":
            if not selector.select(max(0.0, end - time.monotonic())):
                status = "time"
                break
            part = os.read(process.stdout.fileno(), 65536)
            output += part
            if len(output) > limits.output_bytes:
                status = "output"
            if not part:
                break
    if status == "ended":
        try:
            process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:  # it closed its output and runs on
            status = "time"
    _end(process)
    code = process.returncode
    if status == "ended" and code in (-signal.SIGKILL, -signal.SIGXCPU):
        status = "killed"
    text = output[:limits.output_bytes].decode("utf-8", "replace")
    return Result(status, code, text)


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()  # there is never more than this one
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _python() -> str:
    """The interpreter itself, outside any virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def _readable() -> list[str]:
    """What Python needs to start and to import its standard library."""
    paths = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/dev/null", "/dev/urandom", _python()]
    for prefix in (sys.base_prefix, sys.base_exec_prefix):
        paths += [os.path.join(prefix, name) for name in ("lib", sys.platlibdir)]
    return sorted({os.path.realpath(path) for path in paths})

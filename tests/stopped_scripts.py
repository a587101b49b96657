"""Scripts with processes of their own that get a signal when they say that they are ready."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap

PATIENCE = 240.0  # seconds for processes that take few on a machine that is not busy


def stopped(script: str, number: signal.Signals, **words: object) -> tuple[int, str]:
    """The exit code and stderr of a script whose whole group gets a signal when it is ready; all of it has ended."""
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script).format(**words)], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does
        else:
            process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE)  # until nobody holds these streams
    finally:
        with contextlib.suppress(ProcessLookupError):  # as it should be
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    return process.returncode, said

"""Whether this system can lock a program in, and the plain word where it cannot."""

from __future__ import annotations

import platform
import sys

from pynanochat.errors import RequestError
from pynanochat.eval.sandbox.process import run

_PROBE = """
import os, socket
for attempt in (lambda: open("/etc/passwd"), lambda: open("escaped", "w"), socket.socket, os.fork):
    try:
        attempt()
    except OSError:
        continue
    raise SystemExit("a door is open")
print("locked in")
"""


def refusal() -> str | None:
    """Why programs cannot be isolated here; None where a probe that tried to get out did not."""
    if sys.platform != "linux":
        return f"{platform.system() or sys.platform} has no Landlock and seccomp; use Linux, or a Linux container"
    from pynanochat.eval.sandbox import launcher  # needs modules that only Unix has

    if platform.machine() not in launcher.NUMBERS:
        return f"there is no list of system calls for {platform.machine()}; use {' or '.join(launcher.NUMBERS)}"
    if not launcher.landlock_version():
        return "this kernel has no Landlock, or it is switched off; use Linux 5.13 or newer, with landlock in lsm="
    try:
        result = run(_PROBE)
    except RequestError as error:
        return str(error)
    if result.output.strip() != "locked in":
        return f"a program that tried to get out ended with {result.output.strip()[-100:] or result.status}"
    return None


def require() -> None:
    """Raise `RequestError` where programs cannot be isolated; nothing is ever run without."""
    reason = refusal()
    if reason is not None:
        raise RequestError(f"programs that a model wrote run in a sandbox only, and there is none here: {reason}")

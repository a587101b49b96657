"""Memory: how much of it this process holds, now and at most so far."""

from __future__ import annotations

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Resident:
    """Bytes in main memory; None where the system does not say."""

    now_bytes: int | None
    peak_bytes: int | None

    @classmethod
    def measure(cls) -> Resident:
        """Of this process."""
        try:
            with open("/proc/self/status", encoding="utf-8") as file:
                fields = dict(line.split(":", 1) for line in file)
            return cls(*(int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM")))
        except (OSError, KeyError, ValueError):
            return cls(None, _peak_bytes())


def _peak_bytes() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

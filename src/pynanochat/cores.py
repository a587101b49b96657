"""Cores: how many threads can work at once on this machine, for this process."""

from __future__ import annotations

import os
from pathlib import Path


def cores() -> int:
    """Physical cores that this process may use, within a container's quota."""
    try:
        mine = os.sched_getaffinity(0)
    except AttributeError:  # no Linux
        return max(os.cpu_count() or 1, 1)
    physical = {_siblings(cpu) for cpu in mine}
    return max(min(len(physical), _quota()), 1)


def _siblings(cpu: int) -> str:
    """The hardware threads of a CPU's core, as Linux writes them; its own number where Linux does not say."""
    try:
        return Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
    except OSError:
        return str(cpu)


def _quota() -> int:
    """Whole CPUs that the control group grants; many where there is no limit."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(int(quota) // int(period), 1)
    except (OSError, ValueError):
        return 1 << 16

"""Limits: how much a program in the sandbox may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Generous for a short function and its tests; nothing on the machine notices a program that uses all of them."""

    seconds: float = 5.0  # of the wall clock
    cpu_seconds: int = 5
    memory_bytes: int = 512 << 20  # of address space
    files: int = 32  # open at once
    output_bytes: int = 64 << 10  # on stdout and stderr together

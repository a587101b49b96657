"""Threads: how many cores torch computes with."""

from __future__ import annotations

import torch


def settle(count: int | None) -> None:
    """Compute with `count` threads on the CPU; None leaves torch its own choice, a thread for each core."""
    if count is not None:
        torch.set_num_threads(count)

"""Which device torch finds."""

from __future__ import annotations

import torch


def gpu() -> str | None:
    """The name of the GPU that torch can use, cuda (ROCm too) or mps; None if there is none."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else None

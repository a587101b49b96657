"""Which numbers a run computes in: bfloat16 where the processor multiplies it by itself, or float32."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pynanochat.errors import TrainingError

WANTED = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Precision:
    """The dtype of activations, and why, as a line for people."""

    dtype: torch.dtype
    reason: str


def choose(device: torch.device | str, wanted: str = "auto") -> Precision:
    """What activations on `device` are kept in; `TrainingError` for a wish that is no dtype."""
    if wanted in WANTED:
        return Precision(WANTED[wanted], f"{wanted}, as asked")
    if wanted != "auto":
        raise TrainingError(f"dtype is {wanted!r}; expected auto, float32 or bfloat16")
    native, reason = _bfloat16(torch.device(device))
    return Precision(torch.bfloat16 if native else torch.float32, reason)


def _bfloat16(device: torch.device) -> tuple[bool, str]:
    """Whether `device` multiplies bfloat16 itself, and the reason."""
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise TrainingError("torch finds no CUDA device; train on the CPU, or install torch with CUDA")
        name, (major, minor) = torch.cuda.get_device_name(device), torch.cuda.get_device_capability(device)
        if major >= 8 or torch.version.hip:
            return True, f"bfloat16: {name} multiplies it"
        return False, f"float32: {name} (compute capability {major}.{minor}) has no bfloat16"
    if device.type == "cpu":
        if torch.cpu._is_amx_tile_supported():
            return True, "bfloat16: this processor multiplies it (AMX)"
        if torch.cpu._is_avx512_bf16_supported():
            return True, "bfloat16: this processor multiplies it (AVX512_BF16)"
        return False, "float32: this processor has no instructions for bfloat16"
    return False, f"float32: not known whether {device.type} multiplies bfloat16"

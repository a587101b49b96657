"""The backends: each is a `Runner`, and none knows the engine or another backend. `choose` picks one at run time."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pynanochat.config import GPTConfig
from pynanochat.errors import BackendError
from pynanochat.quantize.formats import AnyTensor
from pynanochat.runner import Runner

NAMES = ("auto", "cpu", "ndarray", "cuda", "mps", "torch", "wgpu", "reference")
VARIABLES = ("NANOCHAT_BACKEND", "BURN_BACKEND")  # the second is nanochat-rs'


@dataclass(frozen=True)
class Choice:
    """A backend, where it runs, in which precision, and why it was taken."""

    backend: str  # cpu, torch or reference
    device: str
    dtype: str
    reason: str


def choose(name: str | None, dtype: str | None) -> Choice:
    """The backend of that name, or of the environment, or the fastest one that is there; `BackendError` if none is."""
    source = "as asked"
    if name is None:
        source = next((variable for variable in VARIABLES if os.environ.get(variable)), "the default")
        name = os.environ.get(source, "auto")
    if name not in NAMES:
        raise BackendError(f"backend {name!r} ({source}) is unknown; expected one of {', '.join(NAMES)}")
    if name == "wgpu":
        raise BackendError("the wgpu backend is not part of this version; use 'cpu', 'torch', 'cuda' or 'mps'")
    if name in ("cuda", "mps", "torch"):
        _need_torch(name)
        device = (_torch_gpu() or "cpu") if name == "torch" else name
        return _choice("torch", device, dtype, source)
    if name == "reference":
        return _choice("reference", "cpu", dtype, source)
    gpu = _torch_gpu() if name == "auto" and _maybe_gpu() and _has_torch() else None
    if gpu:
        return _choice("torch", gpu, dtype, f"{source}: torch finds {gpu}")
    if name == "auto" and dtype == "float64":
        return _choice("reference", "cpu", dtype, f"{source}: only the reference computes in float64")
    return _choice("cpu", "cpu", dtype, source if name != "auto" else f"{source}: no GPU that torch could use")


def open_runner(
    choice: Choice,
    cfg: GPTConfig,
    tensor: Callable[[str], AnyTensor],
    *,
    context: int,
    pages: tuple[int, ...],
    cache_dtype: str | None = None,
    threads: int | None = None,
) -> Runner:
    """The runner of a network whose tensors `tensor(name)` gives.

    `cache_dtype` (float32 or bfloat16; None: `quantize.formats.cache_dtype`) and `threads` are settings of the cpu
    backend; `BackendError` with another.
    """
    if choice.backend == "cpu":
        try:
            from pynanochat.backends.cpu.runner import CpuRunner
        except ImportError as error:
            raise BackendError(f"the cpu backend needs numba, which cannot be imported ({error}); pip install numba, "
                               "or use --backend reference") from None
        return CpuRunner(cfg, tensor, context=context, pages=pages, dtype=choice.dtype,
                         cache_dtype=cache_dtype, threads=threads, reason=choice.reason)
    for name, value in (("cache_dtype", cache_dtype), ("threads", threads)):
        if value is not None:
            raise BackendError(f"{name} is a setting of the cpu backend; the {choice.backend} backend has none")
    if choice.backend == "torch":
        from pynanochat.backends.torch.runner import TorchRunner

        return TorchRunner(cfg, tensor, context=context, pages=pages, device=choice.device, dtype=choice.dtype,
                           reason=choice.reason)
    from pynanochat.backends.reference import ReferenceRunner

    return ReferenceRunner(cfg, tensor, context=context, pages=pages, dtype=choice.dtype, reason=choice.reason)


def _choice(backend: str, device: str, dtype: str | None, reason: str) -> Choice:
    allowed = {"cpu": ("float32", "bfloat16"), "torch": ("float32", "bfloat16"),
               "reference": ("float32", "float64")}[backend]
    if dtype is None:
        dtype = "bfloat16" if device.startswith("cuda") else "float32"  # upstream's own precision on CUDA
    if dtype not in allowed:
        raise BackendError(f"the {backend} backend runs in {' or '.join(allowed)}, not in {dtype!r}")
    return Choice(backend, device, dtype, reason)


def _has_torch() -> bool:
    return importlib.util.find_spec("torch") is not None


def _need_torch(name: str) -> None:
    if not _has_torch():
        raise BackendError(f"the {name} backend needs torch, which is not installed; pip install 'pynanochat[torch]'")


def _maybe_gpu() -> bool:
    """Whether importing torch to ask for a GPU could pay: it takes seconds."""
    return sys.platform in ("darwin", "win32") or any(Path(d).exists() for d in ("/dev/nvidiactl", "/dev/kfd"))


def _torch_gpu() -> str | None:
    from pynanochat.backends.torch.device import gpu

    return gpu()

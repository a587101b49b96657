"""Processor: which instructions the kernels may use, as a Numba type, so that each level is compiled for itself."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from llvmlite import binding
from numba.core import types
from numba.extending import NativeValue, models, register_model, typeof_impl, unbox

from pynanochat.errors import BackendError

LEVELS = ("amx", "avx512vnni", "avxvnni", "avx2", "plain")  # fastest first; plain runs on every processor
VARIABLE = "NANOCHAT_CPU_KERNELS"
_NEEDS = {
    "amx": ("amx-int8", "amx-tile", "avx512vnni", "avx512bw", "avx512f"),
    "avx512vnni": ("avx512vnni", "avx512bw", "avx512f"),
    "avxvnni": ("avxvnni", "avx2"),
    "avx2": ("avx2",),
    "plain": (),
}
_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA = 158, 0x1023, 18  # Linux on x86-64: Documentation/arch/x86/xstate.rst


class Tag(types.Dummy):
    """The type of a `Setting`: its text is known when a kernel is compiled."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(name=f"Tag({text})")


class Setting:
    """A word that kernels are compiled for, such as a level of the processor or a precision."""

    def __init__(self, text: str) -> None:
        self.text = text


register_model(Tag)(models.OpaqueModel)


@typeof_impl.register(Setting)
def _typeof(value: Setting, context: Any) -> Tag:
    return Tag(value.text)


@unbox(Tag)
def _unbox(typ: Tag, value: Any, context: Any) -> NativeValue:
    return NativeValue(context.context.get_dummy_value())


@cache
def features() -> frozenset[str]:
    """What LLVM knows this processor to have."""
    found = binding.get_host_cpu_features()
    return frozenset(name for name, there in found.items() if there)


@cache
def levels() -> tuple[str, ...]:
    """The levels that this processor has, fastest first."""
    return tuple(level for level in LEVELS
                 if set(_NEEDS[level]) <= features() and (level != "amx" or _may_use_tiles()))


def choose_level() -> str:
    """The fastest level, or the one that NANOCHAT_CPU_KERNELS names; `BackendError` where that cannot run."""
    wanted = os.environ.get(VARIABLE, "").strip().lower()
    if not wanted:
        return levels()[0]
    if wanted not in levels():
        raise BackendError(f"{VARIABLE} is {wanted!r}; this processor runs {', '.join(levels())}")
    return wanted


def _may_use_tiles() -> bool:
    """Ask Linux for the AMX registers; it grants them to a process that asks."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.syscall(_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA) == 0)


def machine() -> str:
    """The processor's name, or its architecture where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


kernel = numba.njit(nogil=True, error_model="numpy", boundscheck=False)


def kernel_of(*words: object) -> Callable[[Any], Any]:
    """As `kernel`, for a function that a factory makes several times: `words` tell its makes apart.

    Without them they have one name in machine code, and what is loaded from disk second runs the code of the first.
    """

    def named(function: Any) -> Any:
        function.__qualname__ = "_".join((function.__qualname__, *map(str, words)))
        return kernel(function)

    return named

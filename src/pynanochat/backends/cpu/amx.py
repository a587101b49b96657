"""AMX: the processor's matrix registers. 16 rows of 64 activations times 64 x 16 codes in one instruction.

Register numbers are constants of the code. On other levels of the processor these compile to nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from pynanochat.backends.cpu.lanes import I8, I64, function, pointer

TILE_BYTES = 1024  # 16 rows of 64 bytes


def configuration() -> NDArray[np.uint8]:
    """The 64 bytes that make all eight registers 16 rows of 64 bytes.

    Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, 18.3 (palette 1).
    """
    config = np.zeros(64, np.uint8)
    config[0] = 1
    config[16:32].view(np.uint16)[:] = 64
    config[48:56] = 16
    return config


def _instruction(name: str, kinds: str) -> Any:
    """An intrinsic after the level; `kinds` says of each argument: t register, a address, s stride."""
    llvm = {"t": I8, "a": ir.PointerType(I8), "s": I64}

    def build(context, builder, sig, args):
        if sig.args[0].text == "amx":
            values = [
                I8(typ.literal_value) if kind == "t" else pointer(builder, value, I8) if kind == "a" else value
                for kind, typ, value in zip(kinds, sig.args[1:], args[1:], strict=True)]
            builder.call(function(builder, f"llvm.x86.{name}", ir.VoidType(), [llvm[kind] for kind in kinds]), values)
        return context.get_dummy_value()

    def signature(*given: Any) -> Any:
        return types.void(*given), build

    makers = {
        0: lambda: intrinsic(prefer_literal=True)(lambda context, level: signature(level)),
        1: lambda: intrinsic(prefer_literal=True)(lambda context, level, a: signature(level, a)),
        3: lambda: intrinsic(prefer_literal=True)(lambda context, level, a, b, c: signature(level, a, b, c)),
    }
    return makers[len(kinds)]()


configure = _instruction("ldtilecfg", "a")
release = _instruction("tilerelease", "")
clear = _instruction("tilezero", "t")
load_tile = _instruction("tileloadd64", "tas")
store_tile = _instruction("tilestored64", "tas")
dot_tiles = _instruction("tdpbssd", "ttt")  # (sums, activations, codes)

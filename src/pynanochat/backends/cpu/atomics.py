"""What threads say to each other in compiled code: numbers at addresses, read and changed as one."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from pynanochat.backends.cpu.lanes import I64, function, pointer
from pynanochat.backends.cpu.processor import features


def _change(operation: str) -> Any:
    @intrinsic
    def change(context, address, value):
        def build(context, builder, sig, args):
            return builder.atomic_rmw(operation, pointer(builder, args[0], I64), args[1], "seq_cst")

        return types.int64(types.int64, types.int64), build

    return change


fetch_add = _change("add")  # both give what was there before
exchange = _change("xchg")


@intrinsic
def fetch(context, address):
    """The number at an address, not older than what this thread has seen of others."""

    def build(context, builder, sig, args):
        return builder.load_atomic(pointer(builder, args[0], I64), "seq_cst", 8)

    return types.int64(types.int64), build


@intrinsic
def pause(context):
    """Tell the processor that this thread waits for another."""

    def build(context, builder, sig, args):
        if "sse2" in features():
            builder.call(function(builder, "llvm.x86.sse2.pause", ir.VoidType(), []), [])
        return context.get_dummy_value()

    return types.void(), build

"""Arithmetic of tiles: row by row, lane by lane, and across the lanes of a row in one order.

Nothing here may be reordered or contracted: a result is the same bits on every processor.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic

from pynanochat.backends.cpu.lanes import (
    I32,
    LANES,
    VECTOR,
    Tile,
    function,
    mask,
    pointer,
    row_addresses,
    rows_of,
    splat,
    tile_of,
)


def _each(name: str, compute: Any, arguments: int, result: str | None = None) -> Any:
    """An intrinsic that does `compute(builder, vectors...)` row by row."""

    def build(context, builder, sig, args):
        rows = sig.return_type.rows
        columns = [rows_of(builder, arg, typ, rows) for arg, typ in zip(args, sig.args, strict=True)]
        return tile_of(builder, sig.return_type.kind, [compute(builder, *row) for row in zip(*columns, strict=True)])

    def typed(*tiles: Any) -> Any:
        if not all(isinstance(tile, Tile) for tile in tiles):
            return None
        return Tile(result or tiles[-1].kind, max(tile.rows for tile in tiles))(*tiles), build

    makers = {
        1: lambda context, a: typed(a),
        2: lambda context, a, b: typed(a, b),
        3: lambda context, a, b, c: typed(a, b, c),
        4: lambda context, a, b, c, d: typed(a, b, c, d),
    }
    return intrinsic(_named(makers[arguments], name))


def _named(made: Any, name: str) -> Any:
    made.__name__ = name
    return made


def _llvm(name: str, arguments: int) -> Any:
    vector = VECTOR["f"]
    return _each(name, lambda builder, *values: builder.call(
        function(builder, f"llvm.{name}.v16f32", vector, [vector] * arguments), values), arguments)


fma = _llvm("fma", 3)  # a * b + c, rounded once
sqrt = _llvm("sqrt", 1)
absolute = _llvm("fabs", 1)
nearest = _llvm("rint", 1)  # ties to even
copy_sign = _llvm("copysign", 2)
maximum = _each("maximum", lambda b, x, y: b.select(b.fcmp_ordered(">", x, y), x, y), 2)
minimum = _each("minimum", lambda b, x, y: b.select(b.fcmp_ordered("<", x, y), x, y), 2)
to_float = _each("to_float", lambda b, x: b.sitofp(x, VECTOR["f"]), 1, result="f")
to_whole = _each("to_whole", lambda b, x: b.fptosi(x, VECTOR["i"]), 1, result="i")
as_float = _each("as_float", lambda b, x: b.bitcast(x, VECTOR["f"]), 1, result="f")
choose_less = _each("choose_less", lambda b, x, y, yes, no: b.select(b.fcmp_ordered("<", x, y), yes, no), 4)


def _operator(symbol: Any, of_floats: str, of_ints: str) -> None:
    @infer_global(symbol)
    class _Typing(AbstractTemplate):
        def generic(self, args, kws):
            if len(args) == 2 and all(isinstance(arg, Tile) for arg in args) and args[0].kind == args[1].kind:
                return signature(Tile(args[0].kind, max(args[0].rows, args[1].rows)), *args)
            return None

    @lower_builtin(symbol, Tile, Tile)
    def _lower(context, builder, sig, args):
        kind, rows = sig.return_type.kind, sig.return_type.rows
        left, right = (rows_of(builder, arg, typ, rows) for arg, typ in zip(args, sig.args, strict=True))
        name = of_floats if kind == "f" else of_ints
        return tile_of(builder, kind, [getattr(builder, name)(a, b) for a, b in zip(left, right, strict=True)])


_operator(operator.add, "fadd", "add")
_operator(operator.sub, "fsub", "sub")
_operator(operator.mul, "fmul", "mul")
_operator(operator.truediv, "fdiv", "sdiv")
_operator(operator.lshift, "shl", "shl")


# --- across lanes


def _halve(builder: Any, vector: Any, lanes: int, combine: Any) -> Any:
    """Combine the two halves of a vector."""
    undefined = ir.Constant(vector.type, ir.Undefined)
    low, high = (builder.shuffle_vector(vector, undefined, ir.Constant(ir.VectorType(I32, lanes // 2), list(part)))
                 for part in (range(lanes // 2), range(lanes // 2, lanes)))
    return combine(low, high)


def _across(name: str, combine: Any) -> Any:
    def typed(context, tile):
        def build(context, builder, sig, args):
            vector, lanes = builder.extract_value(args[0], 0), LANES
            while lanes > 1:
                vector = _halve(builder, vector, lanes, lambda a, b: combine(builder, a, b))
                lanes //= 2
            return builder.extract_element(vector, I32(0))

        return (types.float32 if tile.kind == "f" else types.int32)(Tile(tile.kind, 1)), build

    return intrinsic(_named(typed, name))


sum_lanes = _across("sum_lanes", lambda b, x, y: b.fadd(x, y))  # ((l + l+8) + (l+4 + l+12)) and so on, always so
isum_lanes = _across("isum_lanes", lambda b, x, y: b.add(x, y))
max_lanes = _across("max_lanes", lambda b, x, y: b.select(b.fcmp_ordered(">", x, y), x, y))


@intrinsic
def keep_lanes(context, tile, first, end, other):
    """Lanes from `first` up to `end`; `other` in the rest."""

    def build(context, builder, sig, args):
        rest = splat(builder, args[3], "f")
        kept = builder.select(mask(builder, args[1], args[2]), builder.extract_value(args[0], 0), rest)
        return tile_of(builder, "f", [kept])

    return Tile("f", 1)(Tile("f", 1), types.int64, types.int64, types.float32), build


@intrinsic
def store_sums(context, address, stride, a, b, c, d):
    """For each row the sums of the lanes of four tiles, next to each other; added as `sum_lanes` adds."""

    def build(context, builder, sig, args):
        typ = sig.args[2]
        tiles = [rows_of(builder, arg, typ, typ.rows) for arg in args[2:]]
        for row, at in enumerate(row_addresses(builder, args[0], args[1], typ.rows)):
            quarters = []
            for tile in tiles:
                vector = _halve(builder, tile[row], 16, builder.fadd)
                quarters.append(_halve(builder, vector, 8, builder.fadd))
            four = quarters[0].type
            lanes = []
            for lane in range(4):
                line = ir.Constant(four, ir.Undefined)
                for place, quarter in enumerate(quarters):
                    line = builder.insert_element(line, builder.extract_element(quarter, I32(lane)), I32(place))
                lanes.append(line)
            total = builder.fadd(builder.fadd(lanes[0], lanes[2]), builder.fadd(lanes[1], lanes[3]))
            builder.store(total, pointer(builder, at, four)).align = 1
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, a, a, a, a), build

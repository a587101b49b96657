"""Dots of whole numbers, exact, in the instructions that each level of the processor has.

Four bytes share an int32 lane. A step adds, in each lane, the four products of codes (-127..127) and activations
(-127..127). The VNNI instruction wants one side without sign: codes go in plus 128, and the sum starts at -128 times
the sum of the activations, which `correction` holds.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from pynanochat.backends.cpu.lanes import (
    I8,
    I16,
    I32,
    LANES,
    VECTOR,
    Tile,
    function,
    load,
    pointer,
    row_addresses,
    rows_of,
    splat,
    tile_of,
)
from pynanochat.backends.cpu.processor import features
from pynanochat.quantize.formats import LEVELS

UNSIGNED = ("amx", "avx512vnni", "avxvnni")  # levels whose instruction takes codes plus 128
BYTES = ir.VectorType(I8, 64)


def _split(builder: Any, vector: Any, parts: int) -> list[Any]:
    """A vector cut into equal pieces."""
    count = vector.type.count // parts
    undefined = ir.Constant(vector.type, ir.Undefined)
    return [builder.shuffle_vector(vector, undefined, ir.Constant(
        ir.VectorType(I32, count), list(range(part * count, (part + 1) * count)))) for part in range(parts)]


def _join(builder: Any, pieces: list[Any]) -> Any:
    """Pieces as one vector again."""
    while len(pieces) > 1:
        count = 2 * pieces[0].type.count
        order = ir.Constant(ir.VectorType(I32, count), list(range(count)))
        pieces = [builder.shuffle_vector(a, b, order) for a, b in zip(pieces[::2], pieces[1::2], strict=True)]
    return pieces[0]


def _vnni(builder: Any, total: Any, codes: Any, x: Any, bits: int) -> Any:
    parts = 512 // bits
    narrow = ir.VectorType(I32, bits // 32)
    step = function(builder, f"llvm.x86.avx512.vpdpbusd.{bits}", narrow, [narrow] * 3)
    pieces = zip(*(_split(builder, vector, parts) if parts > 1 else [vector] for vector in (total, codes, x)),
                 strict=True)
    return _join(builder, [builder.call(step, piece) for piece in pieces])


def _avx2(builder: Any, total: Any, codes: Any, x: Any) -> Any:
    """|codes| times x with the sign of the codes: two products fit 16 bits, as both are at most 127."""
    bytes32, words16, ints8 = ir.VectorType(I8, 32), ir.VectorType(I16, 16), ir.VectorType(I32, 8)
    sign = function(builder, "llvm.x86.avx2.psign.b", bytes32, [bytes32] * 2)
    pairs = function(builder, "llvm.x86.avx2.pmadd.ub.sw", words16, [bytes32] * 2)
    fours = function(builder, "llvm.x86.avx2.pmadd.wd", ints8, [words16] * 2)
    ones = ir.Constant(words16, [1] * 16)
    made = []
    for code, value in zip(*(_split(builder, builder.bitcast(v, BYTES), 2) for v in (codes, x)), strict=True):
        words = builder.call(pairs, [builder.call(sign, [code, code]), builder.call(sign, [value, code])])
        made.append(builder.call(fours, [words, ones]))
    return builder.add(total, _join(builder, made))


def _plain(builder: Any, total: Any, codes: Any, x: Any) -> Any:
    """In any processor's instructions: byte by byte of each lane, its sign kept by shifts."""
    for place in range(4):
        shift = ir.Constant(VECTOR["i"], [24 - 8 * place] * LANES)
        down = ir.Constant(VECTOR["i"], [24] * LANES)
        code, value = (builder.ashr(builder.shl(v, shift), down) for v in (codes, x))
        total = builder.add(total, builder.mul(code, value))
    return total


def step(builder: Any, level: str, total: Any, codes: Any, x: Any) -> Any:
    """Total plus the products of four bytes in each lane."""
    if level in ("amx", "avx512vnni"):
        return _vnni(builder, total, codes, x, 512)
    if level == "avxvnni":
        return _vnni(builder, total, codes, x, 256)
    return (_avx2 if level == "avx2" else _plain)(builder, total, codes, x)


@intrinsic
def add_dots(context, level, totals, codes, x, stride):
    """Each row of `totals` plus the products of the codes with that row's four activations at address `x`."""

    def build(context, builder, sig, args):
        _, typ = sig.args[:2]
        (word,) = rows_of(builder, args[2], sig.args[2], 1)
        rows = zip(rows_of(builder, args[1], typ, typ.rows),
                   row_addresses(builder, args[3], args[4], typ.rows), strict=True)
        return tile_of(builder, "i", [
            step(builder, sig.args[0].text, total, word, splat(builder, load(builder, at, I32), "i"))
            for total, at in rows])

    return totals(level, totals, codes, types.int64, types.int64), build


@intrinsic(prefer_literal=True)
def starts(context, level, correction, stride, rows):
    """What each row's dots start from: its correction where the level needs one, else zero."""
    typ = Tile("i", int(rows.literal_value))

    def build(context, builder, sig, args):
        if sig.args[0].text not in UNSIGNED:
            return tile_of(builder, "i", [ir.Constant(VECTOR["i"], [0] * LANES)] * typ.rows)
        return tile_of(builder, "i", [splat(builder, load(builder, at, I32), "i")
                                      for at in row_addresses(builder, args[1], args[2], typ.rows)])

    return typ(level, types.int64, types.int64, rows), build


@intrinsic
def codes8(context, level, address):
    """64 codes of q8, as `add_dots` wants them."""

    def build(context, builder, sig, args):
        vector = load(builder, args[1], VECTOR["i"])
        if sig.args[0].text in UNSIGNED:  # plus 128 turns the highest bit of a byte over
            vector = builder.xor(vector, ir.Constant(VECTOR["i"], [-0x7F7F7F80] * LANES))
        return tile_of(builder, "i", [vector])

    return Tile("i", 1)(level, types.int64), build


_SHUFFLES = ((64, "avx512bw", "llvm.x86.avx512.pshuf.b.512"), (32, "avx2", "llvm.x86.avx2.pshuf.b"),
             (16, "ssse3", "llvm.x86.ssse3.pshuf.b.128"), (16, "neon", "llvm.aarch64.neon.tbl1.v16i8"))


def look_up(builder: Any, indices: Any, table: list[int]) -> Any:
    """64 bytes of a table of sixteen, by 64 indices below 16."""
    for width, feature, name in _SHUFFLES:
        if feature in features():
            narrow = ir.VectorType(I8, width)
            shuffle = function(builder, name, narrow, [narrow] * 2)
            levels = ir.Constant(narrow, table * (width // 16))
            pieces = _split(builder, indices, 64 // width) if width < 64 else [indices]
            return _join(builder, [builder.call(shuffle, [levels, piece]) for piece in pieces])
    vector = ir.Constant(ir.VectorType(I8, 16), table)
    made = ir.Constant(BYTES, ir.Undefined)
    for place in range(64):
        index = builder.zext(builder.extract_element(indices, I32(place)), I32)
        made = builder.insert_element(made, builder.extract_element(vector, index), I32(place))
    return made


def _codes4(half: int, signed: bool | None = None) -> Any:
    @intrinsic
    def codes(context, level, address):
        def build(context, builder, sig, args):
            vector = load(builder, args[1], VECTOR["i"])
            if half:
                vector = builder.lshr(vector, ir.Constant(VECTOR["i"], [4] * LANES))
            vector = builder.and_(vector, ir.Constant(VECTOR["i"], [0x0F0F0F0F] * LANES))
            plus = 128 if sig.args[0].text in UNSIGNED and not signed else 0
            table = [(int(value) + plus) & 255 for value in LEVELS]
            found = look_up(builder, builder.bitcast(vector, BYTES), table)
            return tile_of(builder, "i", [builder.bitcast(found, VECTOR["i"])])

        return Tile("i", 1)(level, types.int64), build

    return codes


low_codes4, high_codes4 = _codes4(0), _codes4(1)  # 64 codes of q4 each, as `add_dots` wants them
low_levels4, high_levels4 = _codes4(0, signed=True), _codes4(1, signed=True)  # with their sign, as AMX wants them


@intrinsic
def put_codes(context, address, codes):
    """Keep 64 codes at an address."""

    def build(context, builder, sig, args):
        builder.store(builder.extract_value(args[1], 0), pointer(builder, args[0], VECTOR["i"])).align = 1
        return context.get_dummy_value()

    return types.void(types.int64, Tile("i", 1)), build

"""Tiles: a few vectors of 16 lanes in registers, with arithmetic, so that kernels read as Python.

A `Tile` is `rows` vectors of sixteen float32 ("f") or int32 ("i") numbers. Sixteen lanes are one AVX-512 register; LLVM
splits them for processors with shorter ones, with the same results: nothing here may be reordered or contracted.
An address is an int64, a stride is in bytes. An operation of a tile of one row with one of many is done for each row.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

LANES = 16
I1, I8, I16, I32, I64, F32 = (*(ir.IntType(bits) for bits in (1, 8, 16, 32, 64)), ir.FloatType())
VECTOR = {"f": ir.VectorType(F32, LANES), "i": ir.VectorType(I32, LANES)}
_SCALAR = {"f": F32, "i": I32}


class Tile(types.Type):
    """The Numba type of `rows` vectors of a kind."""

    def __init__(self, kind: str, rows: int) -> None:
        self.kind, self.rows = kind, rows
        super().__init__(name=f"Tile({kind}{rows})")


@register_model(Tile)
class _TileModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Tile) -> None:
        super().__init__(dmm, fe_type, ir.ArrayType(VECTOR[fe_type.kind], fe_type.rows))


def rows_of(builder: Any, tile: Any, typ: Tile, rows: int) -> list[Any]:
    """The vectors of a tile; the only one again and again where more are asked for."""
    vectors = [builder.extract_value(tile, row) for row in range(typ.rows)]
    return vectors if typ.rows == rows else vectors * rows


def tile_of(builder: Any, kind: str, vectors: list[Any]) -> Any:
    """A tile of these vectors."""
    tile = ir.Constant(ir.ArrayType(VECTOR[kind], len(vectors)), ir.Undefined)
    for row, vector in enumerate(vectors):
        tile = builder.insert_value(tile, vector, row)
    return tile


def function(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    """A function of LLVM by its name."""
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


def pointer(builder: Any, address: Any, typ: Any) -> Any:
    """An address as a pointer to a type."""
    return builder.inttoptr(address, ir.PointerType(typ))


def load(builder: Any, address: Any, typ: Any, align: int = 1) -> Any:
    """What lies at an address."""
    value = builder.load(pointer(builder, address, typ))
    value.align = align
    return value


def splat(builder: Any, scalar: Any, kind: str) -> Any:
    """A vector of one number sixteen times."""
    undefined = ir.Constant(VECTOR[kind], ir.Undefined)
    first = builder.insert_element(undefined, scalar, I32(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(VECTOR["i"], [0] * LANES))


def row_addresses(builder: Any, address: Any, stride: Any, rows: int) -> list[Any]:
    """The address of each row."""
    return [builder.add(address, builder.mul(stride, I64(row))) if row else address for row in range(rows)]


# --- making and loading


def _maker(kind: str, fill: Any) -> Any:
    @intrinsic(prefer_literal=True)
    def make(context, rows):
        typ = Tile(kind, int(rows.literal_value))

        def build(context, builder, sig, args):
            return tile_of(builder, kind, [ir.Constant(VECTOR[kind], [fill] * LANES)] * typ.rows)

        return typ(rows), build

    return make


zeros = _maker("f", 0.0)
izeros = _maker("i", 0)


def _reader(kind: str, read: Any) -> Any:
    """An intrinsic that reads one vector by `read(builder, address)`."""

    @intrinsic
    def load_one(context, address):
        def build(context, builder, sig, args):
            return tile_of(builder, kind, [read(builder, args[0])])

        return Tile(kind, 1)(types.int64), build

    return load_one


def _rows_reader(kind: str, read: Any) -> Any:
    """An intrinsic that reads `valid` rows; the last one again in those of the tile that are left.

    What lies in memory after the valid rows may be anything, numbers included that are slow to compute with.
    """

    @intrinsic(prefer_literal=True)
    def load_rows(context, address, stride, rows, valid):
        typ = Tile(kind, int(rows.literal_value))

        def build(context, builder, sig, args):
            addresses = valid_addresses(builder, args[0], args[1], typ.rows, args[3])
            return tile_of(builder, kind, [read(builder, at) for at in addresses])

        return typ(types.int64, types.int64, rows, types.int64), build

    return load_rows


def valid_addresses(builder: Any, address: Any, stride: Any, rows: int, valid: Any) -> list[Any]:
    """The address of each row, that of the last valid one for those after it."""
    if rows == 1:
        return [address]
    last = builder.mul(builder.sub(valid, I64(1)), stride)
    offsets = [builder.select(builder.icmp_signed("<", I64(row), valid), builder.mul(stride, I64(row)), last)
               for row in range(rows)]
    return [builder.add(address, offset) for offset in offsets]


def _float_of_high_half(builder: Any, bits: Any) -> Any:
    wide = builder.shl(builder.zext(bits, VECTOR["i"]), ir.Constant(VECTOR["i"], [16] * LANES))
    return builder.bitcast(wide, VECTOR["f"])


def _vector(builder: Any, at: Any) -> Any:
    return load(builder, at, VECTOR["f"])


def _bfloat16_vector(builder: Any, at: Any) -> Any:
    return _float_of_high_half(builder, load(builder, at, ir.VectorType(I16, LANES)))


def _broadcast(builder: Any, at: Any) -> Any:
    return splat(builder, load(builder, at, F32), "f")


@intrinsic(prefer_literal=True)
def broadcast_rows(context, address, stride, rows):
    """The number at each row's address in all lanes of that row; every row is read, valid or not."""
    typ = Tile("f", int(rows.literal_value))

    def build(context, builder, sig, args):
        addresses = row_addresses(builder, args[0], args[1], typ.rows)
        return tile_of(builder, "f", [_broadcast(builder, at) for at in addresses])

    return typ(types.int64, types.int64, rows), build


load_vector = _reader("f", _vector)  # (address)
load_bfloat16 = _reader("f", _bfloat16_vector)
broadcast = _reader("f", _broadcast)
load_rows = _rows_reader("f", _vector)  # (address, stride, rows, valid)
iload_rows = _rows_reader("i", lambda builder, at: load(builder, at, VECTOR["i"]))


@intrinsic
def spread(context, number):
    """One float32 in all lanes."""

    def build(context, builder, sig, args):
        return tile_of(builder, "f", [splat(builder, args[0], "f")])

    return Tile("f", 1)(types.float32), build


@intrinsic
def ispread(context, number):
    """One int32 in all lanes."""

    def build(context, builder, sig, args):
        return tile_of(builder, "i", [splat(builder, args[0], "i")])

    return Tile("i", 1)(types.int32), build


def mask(builder: Any, first: Any, end: Any) -> Any:
    """Lanes from `first` up to `end`, int64 numbers that may lie outside."""
    lane = ir.Constant(ir.VectorType(I64, LANES), list(range(LANES)))

    def wide(value: Any) -> Any:
        undefined = ir.Constant(ir.VectorType(I64, LANES), ir.Undefined)
        one = builder.insert_element(undefined, value, I32(0))
        return builder.shuffle_vector(one, undefined, ir.Constant(VECTOR["i"], [0] * LANES))

    return builder.and_(builder.icmp_signed(">=", lane, wide(first)), builder.icmp_signed("<", lane, wide(end)))


def _first_loader(element: Any, widen: Any) -> Any:
    """An intrinsic that reads the first `count` numbers of a vector; nothing beyond them is touched."""
    vector = ir.VectorType(element, LANES)
    name = f"llvm.masked.load.v16{'f32' if element is F32 else 'i16'}.p0"

    @intrinsic
    def load_first(context, address, count):
        def build(context, builder, sig, args):
            masked = function(builder, name, vector, [ir.PointerType(vector), I32, ir.VectorType(I1, LANES), vector])
            value = builder.call(masked, [pointer(builder, args[0], vector), I32(1),
                                          mask(builder, I64(0), args[1]), ir.Constant(vector, [0] * LANES)])
            return tile_of(builder, "f", [widen(builder, value)])

        return Tile("f", 1)(types.int64, types.int64), build

    return load_first


@intrinsic(prefer_literal=True)
def first_rows(context, address, stride, rows, valid, count):
    """As `load_rows`, the first `count` numbers of each row; zeros in the other lanes."""
    typ = Tile("f", int(rows.literal_value))

    def build(context, builder, sig, args):
        vector = VECTOR["f"]
        masked = function(builder, "llvm.masked.load.v16f32.p0", vector,
                          [ir.PointerType(vector), I32, ir.VectorType(I1, LANES), vector])
        inside = mask(builder, I64(0), args[4])
        return tile_of(builder, "f", [
            builder.call(masked, [pointer(builder, at, vector), I32(1), inside, ir.Constant(vector, [0] * LANES)])
            for at in valid_addresses(builder, args[0], args[1], typ.rows, args[3])])

    return typ(types.int64, types.int64, rows, types.int64, types.int64), build


load_first = _first_loader(F32, lambda builder, value: value)  # (address, count), zeros in the other lanes
bfloat16_first = _first_loader(I16, _float_of_high_half)


@intrinsic
def prefetch(context, address):
    """Ask for the cache line at an address, into the second cache."""

    def build(context, builder, sig, args):
        ask = function(builder, "llvm.prefetch.p0", ir.VoidType(), [ir.PointerType(I8), I32, I32, I32])
        builder.call(ask, [pointer(builder, args[0], I8), I32(0), I32(2), I32(1)])
        return context.get_dummy_value()

    return types.void(types.int64), build


# --- storing


@intrinsic
def store_rows(context, address, stride, tile, valid):
    """The first `valid` rows (one at least) at their addresses."""

    def build(context, builder, sig, args):
        for at, vector in _row_places(builder, sig.args[2], args):
            builder.store(vector, pointer(builder, at, vector.type)).align = 1
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, tile, types.int64), build


def _row_places(builder: Any, typ: Tile, args: Any) -> list[tuple[Any, Any]]:
    """Where each row goes: those after the last valid one first, to its place, which it then takes itself."""
    addresses = valid_addresses(builder, args[0], args[1], typ.rows, args[3])
    return list(zip(addresses, rows_of(builder, args[2], typ, typ.rows), strict=True))[::-1]


@intrinsic
def store_first(context, address, stride, tile, valid, count):
    """As `store_rows`, the first `count` lanes only."""

    def build(context, builder, sig, args):
        vector = VECTOR["f"]
        masked = function(builder, "llvm.masked.store.v16f32.p0", ir.VoidType(),
                          [vector, ir.PointerType(vector), I32, ir.VectorType(I1, LANES)])
        inside = mask(builder, I64(0), args[4])
        for at, row in _row_places(builder, sig.args[2], args):
            builder.call(masked, [row, pointer(builder, at, vector), I32(1), inside])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, tile, types.int64, types.int64), build


@intrinsic
def store_bytes(context, address, tile):
    """Sixteen whole numbers as bytes."""

    def build(context, builder, sig, args):
        small = builder.trunc(builder.extract_value(args[1], 0), ir.VectorType(I8, LANES))
        builder.store(small, pointer(builder, args[0], small.type)).align = 1
        return context.get_dummy_value()

    return types.void(types.int64, Tile("i", 1)), build


@intrinsic
def round_to_bfloat16(context, address, number):
    """Keep a float32 at an address as the nearest bfloat16, ties to even."""

    def build(context, builder, sig, args):
        bits = builder.bitcast(args[1], I32)
        odd = builder.and_(builder.lshr(bits, I32(16)), I32(1))
        rounded = builder.lshr(builder.add(bits, builder.add(I32(0x7FFF), odd)), I32(16))
        builder.store(builder.trunc(rounded, I16), pointer(builder, args[0], I16)).align = 1
        return context.get_dummy_value()

    return types.void(types.int64, types.float32), build


def _scalar_io(typ: Any, kind: Any) -> Any:
    @intrinsic
    def get(context, address):
        def build(context, builder, sig, args):
            return load(builder, args[0], kind)

        return typ(types.int64), build

    @intrinsic
    def put(context, address, value):
        def build(context, builder, sig, args):
            builder.store(args[1], pointer(builder, args[0], kind)).align = 1
            return context.get_dummy_value()

        return types.void(types.int64, typ), build

    return get, put


get_f32, put_f32 = _scalar_io(types.float32, F32)
get_i32, put_i32 = _scalar_io(types.int32, I32)

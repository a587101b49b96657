"""Matrix times rows: sixteen outputs at a time, for one row, four or sixteen, with the same bits.

Whole-number formats (q8, q4) lie packed in blocks of 16 outputs (`packed.py`); float32 and bfloat16 as they are stored,
row by row. A kernel of several rows computes all of them, also those after the last valid one, whose scales are zero
(`rows.close_tile`); only valid ones are kept. The order of every sum is that of `quantize.formats.linear`, and for
floats: lane l adds columns l, l+16 and so on, then the lanes are added as `sum_lanes` does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import overload

from pynanochat.backends.cpu import amx
from pynanochat.backends.cpu import call as c
from pynanochat.backends.cpu.arithmetic import fma, maximum, minimum, store_sums, to_float
from pynanochat.backends.cpu.dots import (
    add_dots,
    codes8,
    high_codes4,
    high_levels4,
    low_codes4,
    low_levels4,
    put_codes,
    starts,
)
from pynanochat.backends.cpu.elementary import tanh
from pynanochat.backends.cpu.lanes import (
    bfloat16_first,
    broadcast,
    broadcast_rows,
    first_rows,
    get_i32,
    iload_rows,
    izeros,
    load_bfloat16,
    load_first,
    load_rows,
    load_vector,
    prefetch,
    spread,
    store_first,
    store_rows,
    zeros,
)
from pynanochat.backends.cpu.processor import kernel, kernel_of
from pynanochat.quantize.formats import GROUP

SCALE_BYTES = 32  # sixteen bfloat16 scales
AHEAD = 16384  # bytes before they are needed that weights are asked for
AHEAD_OF_FOUR = 2048  # the same in each of four streams
LINES_AHEAD = 24  # the same where lines are skipped
SPARSE_BELOW = 1.5  # times more lines must there be than are in use for skipping to pay
FEWEST_FOR_TILES = {8: 6, 4: 9}  # rows by bits; fewer are faster four by four


@kernel
def finish(call, block, row, valid, totals):
    """What is done with sixteen outputs of some rows before they are kept."""
    count = call.outputs - 16 * block
    out = call.out + row * call.out_stride + 64 * block
    if call.mode == c.SQUARED:
        totals = maximum(totals, zeros(1))
        totals = totals * totals
    elif call.mode == c.ADDED:
        before = call.y + row * call.y_stride + 64 * block
        if count >= 16:
            totals = rows_like(before, call.y_stride, totals, valid) + totals
        else:
            totals = first_rows_like(before, call.y_stride, totals, valid, count) + totals
    elif call.mode >= c.CAPPED:
        totals = minimum(maximum(totals, spread(-call.b)), spread(call.b))
    if call.mode == c.CAPPED:
        totals = tanh(totals / spread(call.a)) * spread(call.a)
    if count >= 16:
        store_rows(out, call.out_stride, totals, valid)
    else:
        store_first(out, call.out_stride, totals, valid, count)


@kernel
def is_sparse(call):
    """Whether so few lines are in use that reading those alone is faster."""
    count = np.int64(get_i32(call.gate + 8 * call.columns))
    return SPARSE_BELOW * count < call.columns * (GROUP // call.line)


def _whole(rows: int, bits: int) -> Any:
    """The kernel of a few rows of q8 or q4."""
    group_bytes = 128 * bits

    @kernel_of(rows, bits)
    def totals_of(level, w, groups, x, x_stride, notes, notes_stride):
        scales = w + groups * group_bytes
        totals = zeros(rows)
        for g in range(groups):
            dots = starts(level, notes + 4 * (groups + g), notes_stride, rows)
            for line in range(0, group_bytes, 64):
                prefetch(w + AHEAD + line)
            if bits == 8:
                for j in range(16):
                    dots = add_dots(level, dots, codes8(level, w + 64 * j), x + 4 * j, x_stride)
            else:
                others = izeros(rows)  # two sums of whole numbers wait less than one, and add up to the same
                for j in range(8):
                    dots = add_dots(level, dots, low_codes4(level, w + 64 * j), x + 8 * j, x_stride)
                    others = add_dots(level, others, high_codes4(level, w + 64 * j), x + 8 * j + 4, x_stride)
                dots = dots + others
            scale = load_bfloat16(scales) * broadcast_rows(notes + 4 * g, notes_stride, rows)
            totals = fma(to_float(dots), scale, totals)
            w, x, scales = w + group_bytes, x + GROUP, scales + SCALE_BYTES
        return totals

    return totals_of


@kernel
def four_blocks(level, w, stride, groups, x, notes):
    """One row and four blocks of q8: four streams keep more of the memory busy than one."""
    w0, w1, w2, w3 = w, w + stride, w + 2 * stride, w + 3 * stride
    scales = w + groups * 1024
    t0, t1, t2, t3 = zeros(1), zeros(1), zeros(1), zeros(1)
    for g in range(groups):
        d0 = starts(level, notes + 4 * (groups + g), 0, 1)
        d1, d2, d3 = d0, d0, d0
        for j in range(16):
            at, values = 64 * j, x + 4 * j
            prefetch(w0 + AHEAD_OF_FOUR + at)
            prefetch(w1 + AHEAD_OF_FOUR + at)
            prefetch(w2 + AHEAD_OF_FOUR + at)
            prefetch(w3 + AHEAD_OF_FOUR + at)
            d0 = add_dots(level, d0, codes8(level, w0 + at), values, 0)
            d1 = add_dots(level, d1, codes8(level, w1 + at), values, 0)
            d2 = add_dots(level, d2, codes8(level, w2 + at), values, 0)
            d3 = add_dots(level, d3, codes8(level, w3 + at), values, 0)
        scale = broadcast(notes + 4 * g)
        t0 = fma(to_float(d0), load_bfloat16(scales) * scale, t0)
        t1 = fma(to_float(d1), load_bfloat16(scales + stride) * scale, t1)
        t2 = fma(to_float(d2), load_bfloat16(scales + 2 * stride) * scale, t2)
        t3 = fma(to_float(d3), load_bfloat16(scales + 3 * stride) * scale, t3)
        w0, w1, w2, w3 = w0 + 1024, w1 + 1024, w2 + 1024, w3 + 1024
        x, scales = x + GROUP, scales + SCALE_BYTES
    return t0, t1, t2, t3


def _sparse(bits: int) -> Any:
    """The kernel of one row whose zeros are skipped: only lines of codes that meet something else are read."""
    group_bytes, line_bytes = 128 * bits, 32 // bits

    @kernel_of("sparse", bits)
    def totals_of(level, w, stride, groups, x, notes):
        lines = notes + 8 * groups
        count = np.int64(get_i32(lines))
        indices, scales = lines + 4 * (1 + groups), w + groups * group_bytes
        totals = zeros(1)
        i = np.int64(0)
        for g in range(groups):
            end = np.int64(get_i32(lines + 4 * (1 + g)))
            if end == i:  # fma(0, scale, total) is total
                continue
            dots = starts(level, notes + 4 * (groups + g), 0, 1)
            while i < end:
                line = np.int64(get_i32(indices + 4 * i))
                ahead, base = i + LINES_AHEAD, w
                if ahead >= count:
                    ahead, base = ahead % count, w + stride
                prefetch(base + 64 * np.int64(get_i32(indices + 4 * ahead)))
                if bits == 8:
                    dots = add_dots(level, dots, codes8(level, w + 64 * line), x + line_bytes * line, 0)
                else:
                    dots = add_dots(level, dots, low_codes4(level, w + 64 * line), x + line_bytes * line, 0)
                    dots = add_dots(level, dots, high_codes4(level, w + 64 * line), x + line_bytes * line + 4, 0)
                i += 1
            scale = load_bfloat16(scales + SCALE_BYTES * g) * broadcast(notes + 4 * g)
            totals = fma(to_float(dots), scale, totals)
        return totals

    return totals_of


@kernel
def tile_totals(level, w, ahead, scales, groups, x, x_stride, notes, notes_stride, sums):
    """Sixteen rows with the matrix registers; `sums` is room for sixteen by sixteen numbers.

    What lies `ahead` bytes after the codes is asked for, if that is above 0.
    """
    totals = zeros(16)
    for g in range(groups):
        if ahead > 0:
            for line in range(0, amx.TILE_BYTES, 64):
                prefetch(w + ahead + line)
        amx.clear(level, 0)
        amx.load_tile(level, 1, x, x_stride)
        amx.load_tile(level, 2, w, 64)
        amx.dot_tiles(level, 0, 1, 2)
        amx.store_tile(level, 0, sums, 64)
        scale = load_bfloat16(scales) * broadcast_rows(notes + 4 * g, notes_stride, 16)
        totals = fma(to_float(iload_rows(sums, 64, 16, 16)), scale, totals)
        w, x, scales = w + amx.TILE_BYTES, x + GROUP, scales + SCALE_BYTES
    return totals


@kernel
def unpack4(level, w, groups, out):
    """The levels of a block of q4, as those of q8 lie."""
    for line in range(8 * groups):
        prefetch(w + AHEAD + 64 * line)
        put_codes(out + 128 * line, low_levels4(level, w + 64 * line))
        put_codes(out + 128 * line + 64, high_levels4(level, w + 64 * line))


def _whole_blocks(bits: int) -> Any:
    one, four, sparse = _whole(1, bits), _whole(4, bits), _sparse(bits)
    group_bytes, fewest = 128 * bits, FEWEST_FOR_TILES[bits]

    @kernel_of(bits)
    def one_block_of(level, call, block, rows, scratch):
        groups = call.columns
        w = call.w + block * call.w_stride
        row = 0
        if rows == 1 and call.line > 0 and is_sparse(call):
            finish(call, block, 0, 1, sparse(level, w, call.w_stride, groups, call.x, call.gate))
            return
        if has_tiles(level) and rows >= fewest:
            codes = w
            if bits == 4:
                codes = scratch + amx.TILE_BYTES
                unpack4(level, w, groups, codes)
            while rows - row >= fewest:
                valid = min(rows - row, 16)
                totals = tile_totals(
                    level, codes, AHEAD if bits == 8 and row == 0 else 0, w + groups * group_bytes, groups,
                    call.x + row * call.x_stride, call.x_stride, call.gate + row * call.gate_stride,
                    call.gate_stride, scratch)
                finish(call, block, row, valid, totals)
                row += 16
        while rows - row > 1:
            valid = min(rows - row, 4)
            totals = four(level, w, groups, call.x + row * call.x_stride, call.x_stride,
                          call.gate + row * call.gate_stride, call.gate_stride)
            finish(call, block, row, valid, totals)
            row += 4
        if row < rows:
            totals = one(level, w, groups, call.x + row * call.x_stride, call.x_stride,
                         call.gate + row * call.gate_stride, call.gate_stride)
            finish(call, block, row, 1, totals)

    @kernel_of("several", bits)
    def blocks_of(level, call, first, end, rows, scratch):
        block, groups = first, call.columns
        if bits == 8 and rows == 1 and (call.line == 0 or not is_sparse(call)):
            while end - block >= 4:
                t0, t1, t2, t3 = four_blocks(level, call.w + block * call.w_stride, call.w_stride, groups, call.x,
                                             call.gate)
                finish(call, block, 0, 1, t0)
                finish(call, block + 1, 0, 1, t1)
                finish(call, block + 2, 0, 1, t2)
                finish(call, block + 3, 0, 1, t3)
                block += 4
        while block < end:
            one_block_of(level, call, block, rows, scratch)
            block += 1

    return blocks_of


def _floats(rows: int, bfloat16: bool) -> Any:
    """The kernel that leaves sixteen outputs of a few rows in `out`, 64 bytes to a row."""
    width = 2 if bfloat16 else 4
    load_w = load_bfloat16 if bfloat16 else load_vector
    load_end = bfloat16_first if bfloat16 else load_first

    @kernel_of(rows, bfloat16)
    def floats_of(call, block, row, valid, out):
        columns, last = call.columns, call.outputs - 1
        whole = columns - columns % 16
        x, ahead = call.x + row * call.x_stride, 4 * call.w_stride
        for part in range(0, 16, 4):
            first = 16 * block + part
            w0 = call.w + min(first, last) * call.w_stride
            w1 = call.w + min(first + 1, last) * call.w_stride
            w2 = call.w + min(first + 2, last) * call.w_stride
            w3 = call.w + min(first + 3, last) * call.w_stride
            t0, t1, t2, t3 = zeros(rows), zeros(rows), zeros(rows), zeros(rows)
            for k in range(0, whole, 16):
                at = width * k
                if row == 0 and (bfloat16 is False or k % 32 == 0):
                    prefetch(w0 + ahead + at)
                    prefetch(w1 + ahead + at)
                    prefetch(w2 + ahead + at)
                    prefetch(w3 + ahead + at)
                values = load_rows(x + 4 * k, call.x_stride, rows, valid)
                t0 = fma(load_w(w0 + at), values, t0)
                t1 = fma(load_w(w1 + at), values, t1)
                t2 = fma(load_w(w2 + at), values, t2)
                t3 = fma(load_w(w3 + at), values, t3)
            if whole < columns:
                left, at = columns - whole, width * whole
                values = first_rows(x + 4 * whole, call.x_stride, rows, valid, left)
                t0 = fma(load_end(w0 + at, left), values, t0)
                t1 = fma(load_end(w1 + at, left), values, t1)
                t2 = fma(load_end(w2 + at, left), values, t2)
                t3 = fma(load_end(w3 + at, left), values, t3)
            store_sums(out + 4 * part, 64, t0, t1, t2, t3)

    return floats_of


def _float_blocks(bfloat16: bool) -> Any:
    one, four = _floats(1, bfloat16), _floats(4, bfloat16)

    @kernel_of(bfloat16)
    def blocks_of(level, call, first, end, rows, scratch):
        for block in range(first, end):
            row = 0
            while rows - row > 1:
                valid = min(rows - row, 4)
                four(call, block, row, valid, scratch)
                finish(call, block, row, valid, load_rows(scratch, 64, 4, 4))
                row += 4
            if row < rows:
                one(call, block, row, 1, scratch)
                finish(call, block, row, 1, load_vector(scratch))

    return blocks_of


_BLOCKS = {"q8": _whole_blocks(8), "q4": _whole_blocks(4), "float32": _float_blocks(False),
           "bfloat16": _float_blocks(True)}


def linear_blocks(level: Any, weights: Any, call: Any, first: int, end: int, rows: int, scratch: int) -> None:
    """The blocks of sixteen outputs from `first` up to `end`, of all rows, in the kernel of the weights' format."""
    raise NotImplementedError("compiled code only")


@overload(linear_blocks)
def _linear_blocks(level, weights, call, first, end, rows, scratch):
    chosen = _BLOCKS[weights.text]

    def run(level, weights, call, first, end, rows, scratch):
        chosen(level, call, first, end, rows, scratch)

    return run


def has_tiles(level: Any) -> bool:
    """Whether the level has matrix registers, known when a kernel is compiled."""
    raise NotImplementedError("compiled code only")


@overload(has_tiles)
def _has_tiles(level):
    there = level.text == "amx"
    return lambda level: there


def rows_like(address: int, stride: int, tile: Any, valid: int) -> Any:
    """`load_rows` of as many rows as a tile has."""
    raise NotImplementedError("compiled code only")


@overload(rows_like)
def _rows_like(address, stride, tile, valid):
    rows = tile.rows
    return lambda address, stride, tile, valid: load_rows(address, stride, rows, valid)


def first_rows_like(address: int, stride: int, tile: Any, valid: int, count: int) -> Any:
    """`first_rows` of as many rows as a tile has."""
    raise NotImplementedError("compiled code only")


@overload(first_rows_like)
def _first_rows_like(address, stride, tile, valid, count):
    rows = tile.rows
    return lambda address, stride, tile, valid, count: first_rows(address, stride, rows, valid, count)

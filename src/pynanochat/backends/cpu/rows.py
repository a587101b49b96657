"""Kernels that work row by row: a thread that has a row does all such calls of a wave on it, so that it stays close.

Each takes a `CALL` record, the addresses of the step's inputs and the rows from `first` up to `end`.
"""

from __future__ import annotations

import numpy as np

from pynanochat.backends.cpu import call as c
from pynanochat.backends.cpu.arithmetic import (
    absolute,
    fma,
    isum_lanes,
    max_lanes,
    maximum,
    minimum,
    nearest,
    sqrt,
    sum_lanes,
    to_whole,
)
from pynanochat.backends.cpu.elementary import exp, tanh
from pynanochat.backends.cpu.lanes import (
    bfloat16_first,
    get_f32,
    get_i32,
    izeros,
    load_bfloat16,
    load_first,
    load_vector,
    put_f32,
    put_i32,
    round_to_bfloat16,
    spread,
    store_bytes,
    store_first,
    store_rows,
    zeros,
)
from pynanochat.backends.cpu.processor import kernel
from pynanochat.batch import PAGE_TOKENS
from pynanochat.quantize.formats import GROUP, LARGEST, SMALLEST_PEAK

PEAK = np.float32(LARGEST)
ONE = np.float32(1)
NONE = np.float32(0)


@kernel
def read(address, count):
    """Up to sixteen numbers; zeros in the lanes after them."""
    if count >= 16:
        return load_vector(address)
    return load_first(address, count)


@kernel
def read_bfloat16(address, count):
    """As `read`, of bfloat16 numbers."""
    if count >= 16:
        return load_bfloat16(address)
    return bfloat16_first(address, count)


@kernel
def write(address, tile, count):
    """Up to sixteen numbers."""
    if count >= 16:
        store_rows(address, 0, tile, 1)
    else:
        store_first(address, 0, tile, 1, count)


@kernel
def embed(call, inputs, first, end):
    """Rows of a table; zeros for a negative id."""
    ids, stride = call.x, call.x_stride
    if call.input >= 0:
        ids, stride = inputs[call.input], 4
    for n in range(first, end):
        token = np.int64(get_i32(ids + stride * n))
        out, row = call.out + n * call.out_stride, call.w + token * call.w_stride
        for i in range(0, call.columns, 16):
            left = call.columns - i
            if token < 0:
                write(out + 4 * i, zeros(1), left)
            elif call.w_bfloat16:
                write(out + 4 * i, read_bfloat16(row + 2 * i, left), left)
            else:
                write(out + 4 * i, read(row + 4 * i, left), left)


@kernel
def bigram_ids(call, inputs, first, end):
    """The hash of each token with the one before it; see `ops.reference.bigram_ids`."""
    for n in range(first, end):
        token = np.int64(get_i32(inputs[c.TOKENS] + 4 * n))
        before = np.int64(get_i32(inputs[c.PREV_TOKENS] + 4 * n))
        place = call.outputs - 1
        if before >= 0:
            place = ((36313 * token) ^ (27191 * before)) % (call.outputs - 1)
        put_i32(call.out + n * call.out_stride, np.int32(place))


@kernel
def rms_norm(call, first, end):
    """b x / sqrt(mean(x^2) + a), for each head alone."""
    count = np.float32(call.columns)
    for n in range(first, end):
        for h in range(call.heads):
            x = call.x + n * call.x_stride + 4 * h * call.columns
            out = call.out + n * call.out_stride + 4 * h * call.columns
            squares = zeros(1)
            for i in range(0, call.columns, 16):
                values = read(x + 4 * i, call.columns - i)
                squares = fma(values, values, squares)
            root = sqrt(spread(sum_lanes(squares) / count + call.a))
            scale = spread(call.b) / root
            for i in range(0, call.columns, 16):
                left = call.columns - i
                write(out + 4 * i, read(x + 4 * i, left) * scale, left)


@kernel
def add(call, first, end):
    """a x + b y, b one number, one of each head, or one of each row."""
    a = spread(call.a)
    for n in range(first, end):
        for h in range(call.heads):
            at = 4 * h * call.columns
            x, y = call.x + n * call.x_stride + at, call.y + n * call.y_stride + at
            out = call.out + n * call.out_stride + at
            b = spread(call.b)
            if call.gate:
                b = spread(get_f32(call.gate + n * call.gate_stride + 4 * h))
            for i in range(0, call.columns, 16):
                left = call.columns - i
                write(out + 4 * i, a * read(x + 4 * i, left) + b * read(y + 4 * i, left), left)


@kernel
def gate(call, first, end):
    """a / (1 + exp(-w x)) over the first channels of x."""
    for n in range(first, end):
        for h in range(call.heads):
            total = zeros(1)
            for i in range(0, call.columns, 16):
                left = call.columns - i
                x = read(call.x + n * call.x_stride + 4 * i, left)
                total = fma(read(call.w + h * call.w_stride + 4 * i, left), x, total)
            share = spread(call.a) / (spread(ONE) + exp(spread(-sum_lanes(total))))
            write(call.out + n * call.out_stride + 4 * h, share, 1)


@kernel
def limit(call, first, end):
    """relu2, clip and softcap: each number for itself."""
    for n in range(first, end):
        x, out = call.x + n * call.x_stride, call.out + n * call.out_stride
        for i in range(0, call.columns, 16):
            left = call.columns - i
            values = read(x + 4 * i, left)
            if call.op == c.RELU2:
                values = maximum(values, zeros(1))
                values = values * values
            elif call.op == c.CLIP:
                values = minimum(maximum(values, spread(-call.a)), spread(call.a))
            else:
                values = tanh(values / spread(call.a)) * spread(call.a)
            write(out + 4 * i, values, left)


@kernel
def rope(call, inputs, first, end):
    """Each head turned by minus its position's angles; the halves are the pairs."""
    half = call.columns // 2
    for n in range(first, end):
        position = np.int64(get_i32(inputs[c.POSITIONS] + 4 * n))
        cos, sin = call.w + position * call.w_stride, call.y + position * call.w_stride
        for h in range(call.heads):
            x = call.x + n * call.x_stride + 4 * h * call.columns
            out = call.out + n * call.out_stride + 4 * h * call.columns
            for i in range(0, half, 16):
                left = half - i
                low, high = read(x + 4 * i, left), read(x + 4 * (half + i), left)
                u, v = read(cos + 4 * i, left), read(sin + 4 * i, left)
                write(out + 4 * i, low * u + high * v, left)
                write(out + 4 * (half + i), high * u - low * v, left)


@kernel
def take(call, inputs, first, end):
    """The rows that are sampled."""
    for n in range(first, end):
        row = np.int64(get_i32(inputs[c.SAMPLE_ROWS] + 4 * n))
        for i in range(0, call.columns, 16):
            left = call.columns - i
            write(call.out + n * call.out_stride + 4 * i, read(call.x + row * call.x_stride + 4 * i, left), left)


@kernel
def append(call, inputs, first, end):
    """Keep keys x and values y in their pages: keys token by lane, values channel by lane."""
    width = 2 if call.w_bfloat16 else 4
    for n in range(first, end):
        slot = np.int64(get_i32(inputs[c.GROUPS + 3 * call.group] + 4 * n))
        page, offset = slot // PAGE_TOKENS, slot % PAGE_TOKENS
        for g in range(call.heads):
            place = page * call.heads + g
            keys = call.keys + width * (place * call.columns * PAGE_TOKENS + offset)
            values = call.values + width * (place * PAGE_TOKENS + offset) * call.value_stride
            k = call.x + n * call.x_stride + 4 * g * call.columns
            v = call.y + n * call.y_stride + 4 * g * call.columns
            if call.w_bfloat16:
                for d in range(call.columns):
                    round_to_bfloat16(keys + 2 * PAGE_TOKENS * d, get_f32(k + 4 * d))
                    round_to_bfloat16(values + 2 * d, get_f32(v + 4 * d))
            else:
                for d in range(call.columns):
                    put_f32(keys + 4 * PAGE_TOKENS * d, get_f32(k + 4 * d))
                for i in range(0, call.columns, 16):
                    write(values + 4 * i, read(v + 4 * i, call.columns - i), call.columns - i)


@kernel
def round_rows(call, first, end):
    """Activations as whole numbers, see `formats.round_activations`; with -128 times the sum of each group."""
    groups = call.outputs
    for n in range(first, end):
        x, out = call.x + n * call.x_stride, call.out + n * call.out_stride
        notes = call.gate + n * call.gate_stride  # scales, then corrections
        for g in range(groups):
            start, stop = g * GROUP, min((g + 1) * GROUP, call.columns)
            peaks = zeros(1)
            for i in range(start, stop, 16):
                peaks = maximum(peaks, absolute(read(x + 4 * i, stop - i)))
            peak = max_lanes(peaks)
            inverse, scale = NONE, NONE
            if peak >= SMALLEST_PEAK:
                inverse, scale = PEAK / peak, peak / PEAK
            total = izeros(1)
            for i in range(start, start + GROUP, 16):
                whole = izeros(1)
                if i < stop:
                    whole = to_whole(nearest(read(x + 4 * i, stop - i) * spread(inverse)))
                store_bytes(out + i, whole)
                total = total + whole
            put_f32(notes + 4 * g, scale)
            put_i32(notes + 4 * (groups + g), np.int32(-128) * isum_lanes(total))


@kernel
def close_tile(call, rows):
    """Scales of zero for the rows after the last one that a kernel of sixteen rows computes, too."""
    for n in range(rows, (rows + 15) // 16 * 16):
        for g in range(call.outputs):
            put_f32(call.gate + n * call.gate_stride + 4 * g, NONE)


@kernel
def list_lines(codes, out, groups, line):
    """Which lines of `line` columns hold anything but zeros: how many, how many up to each group's end, which."""
    count = np.int64(0)
    for g in range(groups):
        for i in range(g * GROUP // line, (g + 1) * GROUP // line):
            used = get_i32(codes + i * line)
            if line == 8:
                used |= get_i32(codes + i * line + 4)
            put_i32(out + 4 * (1 + groups + count), np.int32(i))  # overwritten by the next one if it is not used
            count += np.int64(used != 0)
        put_i32(out + 4 * (1 + g), np.int32(count))
    put_i32(out, np.int32(count))


@kernel
def run_row_call(call, inputs, rows, first, end):
    """One call for some of a step's rows."""
    op = call.op
    if op == c.RMS_NORM:
        rms_norm(call, first, end)
    elif op == c.ADD:
        add(call, first, end)
    elif op == c.ROUND:
        round_rows(call, first, end)
        if end == rows:
            close_tile(call, rows)
        if call.line > 0 and rows == 1:
            list_lines(call.out, call.gate + 8 * call.outputs, call.outputs, call.line)
    elif op == c.ROPE:
        rope(call, inputs, first, end)
    elif op == c.APPEND:
        append(call, inputs, first, end)
    elif op == c.EMBED:
        embed(call, inputs, first, end)
    elif op == c.GATE:
        gate(call, first, end)
    elif op == c.TAKE:
        take(call, inputs, first, end)
    elif op == c.BIGRAM_IDS:
        bigram_ids(call, inputs, first, end)
    else:
        limit(call, first, end)

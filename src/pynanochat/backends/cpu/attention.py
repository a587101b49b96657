"""Attention over pages, up to four queries of one key-value head together, so that keys and values are read once.

A page of keys lies channel by channel, 16 tokens in the lanes; a page of values token by token, channels in the lanes.
Every sum runs in the order of positions: a query gives the same bits alone, with its neighbours, whole or in chunks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import overload

from pynanochat.backends.cpu import call as c
from pynanochat.backends.cpu.arithmetic import fma, keep_lanes, max_lanes, maximum, sum_lanes
from pynanochat.backends.cpu.elementary import exp
from pynanochat.backends.cpu.lanes import (
    broadcast_rows,
    get_f32,
    get_i32,
    load_bfloat16,
    load_rows,
    load_vector,
    prefetch,
    put_f32,
    spread,
    store_rows,
    zeros,
)
from pynanochat.backends.cpu.processor import kernel, kernel_of
from pynanochat.backends.cpu.rows import read, write
from pynanochat.batch import PAGE_TOKENS

QUERIES = 4  # of one kernel
TOGETHER = 4  # pages of keys, or vectors of channels, that are summed side by side
HIDDEN = np.float32(-3e38)  # the score of a key that a row does not see
NONE = np.float32(0)
ONE = np.float32(1)


@kernel
def softmax(scores, pages, begin, end):
    """Scores from `begin` up to `end` become weights, those outside 0; returns the sum of the weights."""
    top = spread(HIDDEN)
    for page in range(pages):
        first = page * PAGE_TOKENS
        top = maximum(top, keep_lanes(load_vector(scores + 4 * first), begin - first, end - first, HIDDEN))
    peak = spread(max_lanes(top))
    totals = zeros(1)
    for page in range(pages):
        first = page * PAGE_TOKENS
        weights = exp(load_vector(scores + 4 * first) - peak)
        weights = keep_lanes(weights, begin - first, end - first, NONE)
        store_rows(scores + 4 * first, 0, weights, 1)
        totals = totals + weights
    return sum_lanes(totals)


@kernel
def page_after(numbers, page, pages):
    """The number of a sequence's page; of its last one after the end."""
    return np.int64(get_i32(numbers + 4 * min(page, pages - 1)))


def _attend(queries: int, bfloat16: bool) -> Any:
    """The kernel of up to `queries` queries: `count` of them, from query `first` of a block of rows and a head on."""
    width = 2 if bfloat16 else 4
    load_kv = load_bfloat16 if bfloat16 else load_vector

    @kernel_of(queries, bfloat16)
    def attend(call, inputs, row, first, count, head, scratch):
        size, shared = call.columns, call.heads // call.kv_heads  # channels of a head; heads that share keys
        lines = (size + 15) // 16 * 64  # bytes of a head's channels in whole vectors
        positions, sequence = inputs[c.POSITIONS], np.int64(get_i32(inputs[c.SEQUENCES] + 4 * row))
        table = inputs[c.GROUPS + 3 * call.group + 1] + 4 * sequence * inputs[c.GROUPS + 3 * call.group + 2]
        top_row, low_row = row + (first + count - 1) // shared, row + first // shared
        end = np.int64(get_i32(positions + 4 * top_row)) + 1
        begin = np.int64(get_i32(positions + 4 * low_row)) - call.layer_window
        if call.layer_window < 0 or begin < 0:
            begin = 0
        first_page = begin // PAGE_TOKENS
        pages = (end - 1) // PAGE_TOKENS + 1 - first_page
        vectors, mixed = scratch, scratch + queries * lines
        scores, score_stride = mixed + queries * lines, pages * 64
        for q in range(queries):  # those too many repeat the last one
            query = first + min(q, count - 1)
            place = call.x + (row + query // shared) * call.x_stride + 4 * size * (head * shared + query % shared)
            for i in range(0, size, 16):
                store_rows(vectors + q * lines + 4 * i, 0, read(place + 4 * i, size - i), 1)
                store_rows(mixed + q * lines + 4 * i, 0, zeros(1), 1)
        scale = spread(ONE / np.sqrt(np.float32(size)))
        numbers, page_bytes = table + 4 * first_page, width * size * PAGE_TOKENS
        page = 0
        while page < pages:  # several pages at once, so that no sum waits for itself
            k0 = call.keys + page_bytes * (np.int64(get_i32(numbers + 4 * page)) * call.kv_heads + head)
            if page + TOGETHER > pages:
                p0 = zeros(queries)
                for d in range(size):
                    p0 = fma(load_kv(k0 + width * PAGE_TOKENS * d),
                             broadcast_rows(vectors + 4 * d, lines, queries), p0)
                store_rows(scores + 64 * page, score_stride, p0 * scale, queries)
                page += 1
                continue
            k1 = call.keys + page_bytes * (np.int64(get_i32(numbers + 4 * page + 4)) * call.kv_heads + head)
            k2 = call.keys + page_bytes * (np.int64(get_i32(numbers + 4 * page + 8)) * call.kv_heads + head)
            k3 = call.keys + page_bytes * (np.int64(get_i32(numbers + 4 * page + 12)) * call.kv_heads + head)
            n0 = call.keys + page_bytes * (page_after(numbers, page + 4, pages) * call.kv_heads + head)
            n1 = call.keys + page_bytes * (page_after(numbers, page + 5, pages) * call.kv_heads + head)
            n2 = call.keys + page_bytes * (page_after(numbers, page + 6, pages) * call.kv_heads + head)
            n3 = call.keys + page_bytes * (page_after(numbers, page + 7, pages) * call.kv_heads + head)
            p0, p1, p2, p3 = zeros(queries), zeros(queries), zeros(queries), zeros(queries)
            for d in range(size):
                at = width * PAGE_TOKENS * d
                if at % 64 == 0:
                    prefetch(n0 + at)
                    prefetch(n1 + at)
                    prefetch(n2 + at)
                    prefetch(n3 + at)
                value = broadcast_rows(vectors + 4 * d, lines, queries)
                p0, p1 = fma(load_kv(k0 + at), value, p0), fma(load_kv(k1 + at), value, p1)
                p2, p3 = fma(load_kv(k2 + at), value, p2), fma(load_kv(k3 + at), value, p3)
            store_rows(scores + 64 * page, score_stride, p0 * scale, queries)
            store_rows(scores + 64 * page + 64, score_stride, p1 * scale, queries)
            store_rows(scores + 64 * page + 128, score_stride, p2 * scale, queries)
            store_rows(scores + 64 * page + 192, score_stride, p3 * scale, queries)
            page += TOGETHER
        for q in range(count):
            position = np.int64(get_i32(positions + 4 * (row + (first + q) // shared)))
            start = position - call.layer_window
            if call.layer_window < 0 or start < 0:
                start = 0
            total = softmax(scores + q * score_stride, pages, start - first_page * PAGE_TOKENS,
                            position + 1 - first_page * PAGE_TOKENS)
            put_f32(vectors + q * lines, total)
        value_bytes = width * PAGE_TOKENS * call.value_stride
        for page in range(pages):
            number = np.int64(get_i32(numbers + 4 * page))
            values = call.values + value_bytes * (number * call.kv_heads + head)
            low = max(begin - (first_page + page) * PAGE_TOKENS, 0)
            high = min(end - (first_page + page) * PAGE_TOKENS, PAGE_TOKENS)
            weights = scores + 64 * page
            after = call.values + value_bytes * (page_after(numbers, page + 1, pages) * call.kv_heads + head)
            for at in range(0, value_bytes, 64):
                prefetch(after + at)
            i = 0
            while i < size:
                v0 = values + width * i
                if i + 16 * TOGETHER > size:
                    s0 = load_rows(mixed + 4 * i, lines, queries, queries)
                    for t in range(low, high):
                        s0 = fma(load_kv(v0 + width * t * call.value_stride),
                                 broadcast_rows(weights + 4 * t, score_stride, queries), s0)
                    store_rows(mixed + 4 * i, lines, s0, queries)
                    i += 16
                    continue
                s0 = load_rows(mixed + 4 * i, lines, queries, queries)
                s1 = load_rows(mixed + 4 * i + 64, lines, queries, queries)
                s2 = load_rows(mixed + 4 * i + 128, lines, queries, queries)
                s3 = load_rows(mixed + 4 * i + 192, lines, queries, queries)
                for t in range(low, high):
                    at = v0 + width * t * call.value_stride
                    weight = broadcast_rows(weights + 4 * t, score_stride, queries)
                    s0, s1 = fma(load_kv(at), weight, s0), fma(load_kv(at + 16 * width), weight, s1)
                    s2, s3 = fma(load_kv(at + 32 * width), weight, s2), fma(load_kv(at + 48 * width), weight, s3)
                store_rows(mixed + 4 * i, lines, s0, queries)
                store_rows(mixed + 4 * i + 64, lines, s1, queries)
                store_rows(mixed + 4 * i + 128, lines, s2, queries)
                store_rows(mixed + 4 * i + 192, lines, s3, queries)
                i += 16 * TOGETHER
        for q in range(count):
            query = first + q
            place = call.out + (row + query // shared) * call.out_stride + 4 * size * (head * shared + query % shared)
            total = spread(get_f32(vectors + q * lines))
            for i in range(0, size, 16):
                write(place + 4 * i, load_vector(mixed + q * lines + 4 * i) / total, size - i)

    return attend


_KERNELS = {kind: (_attend(1, kind == "bfloat16"), _attend(QUERIES, kind == "bfloat16"))
            for kind in ("float32", "bfloat16")}


def rows_together(heads: int, kv_heads: int) -> int:
    """How many rows of a sequence go into a block, so that their queries of one key head fill a kernel."""
    return max(QUERIES // (heads // kv_heads), 1)


def scratch_bytes(head_dim: int, context: int) -> int:
    """Room that a thread needs."""
    pages = -(-context // PAGE_TOKENS) + 1
    return QUERIES * (2 * (head_dim + 15) // 16 * 64 + pages * 64) + 4096


def attend_block(cache: Any, call: Any, inputs: Any, block: int, head: int, scratch: int) -> None:
    """All queries of a block of rows and a key-value head, in the kernel of the pages' precision."""
    raise NotImplementedError("compiled code only")


@overload(attend_block)
def _attend_block(cache, call, inputs, block, head, scratch):
    one, four = _KERNELS[cache.text]

    def run(cache, call, inputs, block, head, scratch):
        row = np.int64(get_i32(inputs[c.BLOCKS] + 8 * block))
        rows = np.int64(get_i32(inputs[c.BLOCKS] + 8 * block + 4))
        queries = rows * (call.heads // call.kv_heads)
        for first in range(0, queries, QUERIES):
            count = min(queries - first, QUERIES)
            if count == 1:
                one(call, inputs, row, first, count, head, scratch)
            else:
                four(call, inputs, row, first, count, head, scratch)

    return run

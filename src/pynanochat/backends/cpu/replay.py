"""The compiled loop that replays a plan: every thread walks the waves and takes pieces of each while there are any.

A piece belongs to whoever takes it first, so that a thread that comes late or is put aside holds up nobody but itself,
and the result does not depend on who did it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pynanochat.backends.cpu import amx
from pynanochat.backends.cpu import call as c
from pynanochat.backends.cpu.atomics import exchange, fetch, fetch_add, pause
from pynanochat.backends.cpu.attention import attend_block
from pynanochat.backends.cpu.linear import has_tiles, linear_blocks
from pynanochat.backends.cpu.processor import kernel
from pynanochat.backends.cpu.rows import run_row_call

LINE = 64  # bytes; numbers that different threads change lie on different lines
EPOCH, INSIDE, STOP, ASLEEP = 0, LINE, 2 * LINE, 3 * LINE  # offsets in the threads' shared memory; one ASLEEP each
COUNTERS = 2 * LINE  # bytes of a wave's two counters: pieces taken, pieces done
OPEN = -1  # instead of a thread
PIECES = 8  # of a wave for each thread, at most
PATIENCE = 20_000  # pauses that a worker waits for the next step before it sleeps: about half a millisecond
CONFIGURATION_BYTES = 64


@kernel
def pieces_of(calls, wave, counts, threads):
    """(pieces, items in a piece, items) of a wave."""
    rows = counts[wave.rows]
    items = rows
    if wave.kind == c.OUTPUTS:
        items = 0
        if rows > 0:
            for i in range(wave.first, wave.end):
                items += (calls[i].outputs + 15) // 16
    elif wave.kind == c.HEADS:
        items = counts[2] * calls[wave.first].kv_heads
    size = max((items + PIECES * threads - 1) // (PIECES * threads), 1)
    if wave.kind == c.ROWS:
        size = max(size, min(4, (items + threads - 1) // threads))
    return (items + size - 1) // size, size, items


@kernel
def run_piece(level, weights, cache, calls, wave, counts, inputs, first, end, scratch):
    """The items of a wave from `first` up to `end`."""
    if wave.kind == c.ROWS:
        for i in range(wave.first, wave.end):
            run_row_call(calls[i], inputs, counts[wave.rows], first, end)
    elif wave.kind == c.HEADS:
        call = calls[wave.first]
        for item in range(first, end):
            attend_block(cache, call, inputs, item // call.kv_heads, item % call.kv_heads, scratch)
    else:
        rows = counts[wave.rows]
        before = 0
        for i in range(wave.first, wave.end):
            blocks = (calls[i].outputs + 15) // 16
            start, stop = max(first - before, 0), min(end - before, blocks)
            if start < stop:
                linear_blocks(level, weights, calls[i], start, stop, rows, scratch)
            before += blocks


@kernel
def walk(level, weights, cache, calls, waves, counts, inputs, counters, scratch, threads):
    """Do a thread's share of every wave; a wave begins when the one before it is done."""
    if has_tiles(level):
        amx.configure(level, scratch)
    for w in range(counts[3], counts[4]):
        wave = waves[w]
        pieces, size, items = pieces_of(calls, wave, counts, threads)
        taken, done = counters + w * COUNTERS, counters + w * COUNTERS + LINE
        while True:
            piece = fetch_add(taken, 1)
            if piece >= pieces:
                break
            run_piece(level, weights, cache, calls, wave, counts, inputs, piece * size,
                      min((piece + 1) * size, items), scratch + CONFIGURATION_BYTES)
            fetch_add(done, 1)
        while fetch(done) < pieces:
            pause()
    if has_tiles(level):
        amx.release(level)


@kernel
def close_step(shared):
    """Let no worker in any more, and wait until those that are inside have left."""
    if fetch(shared + EPOCH) % 2 == 1:
        fetch_add(shared + EPOCH, 1)
    while fetch(shared + INSIDE) > 0:
        pause()


@kernel
def open_step(shared, counters, waves, threads):
    """Let the workers in; a bit is set in the answer for each that sleeps and has to be woken."""
    close_step(shared)
    for w in range(waves):
        exchange(counters + w * COUNTERS, 0)
        exchange(counters + w * COUNTERS + LINE, 0)
    fetch_add(shared + EPOCH, 1)  # odd: open
    asleep = np.int64(0)
    for thread in range(1, threads):
        if fetch(shared + ASLEEP + LINE * thread) == 1:
            asleep |= np.int64(1) << thread
    return asleep


@kernel
def join_steps(level, weights, cache, calls, waves, counts, inputs, shared, counters, scratch, threads, thread):
    """A worker's part in the steps that are open, until it is to stop or none has come for a while."""
    last, waited = np.int64(0), 0
    exchange(shared + ASLEEP + LINE * thread, 0)
    while fetch(shared + STOP) == 0:
        epoch = fetch(shared + EPOCH)
        if epoch % 2 == 1 and epoch != last:
            fetch_add(shared + INSIDE, 1)
            if fetch(shared + EPOCH) == epoch:
                walk(level, weights, cache, calls, waves, counts, inputs, counters, scratch, threads)
            fetch_add(shared + INSIDE, -1)
            last, waited = epoch, 0
            continue
        pause()
        waited += 1
        if waited > PATIENCE:
            exchange(shared + ASLEEP + LINE * thread, 1)
            if fetch(shared + EPOCH) == epoch:  # otherwise a step was opened meanwhile, which is not slept through
                return
            exchange(shared + ASLEEP + LINE * thread, 0)
            waited = 0


@kernel
def _replay(level, weights, cache, calls, waves, counts, inputs, shared, counters, scratch, threads, thread):
    """All that is compiled, behind one door: OPEN a step, run it and close it (thread 0), or join steps."""
    if thread == OPEN:
        return open_step(shared, counters, len(waves), threads)
    if thread == 0:
        if fetch(shared + EPOCH) % 2 == 1:
            walk(level, weights, cache, calls, waves, counts, inputs, counters, scratch, threads)
        close_step(shared)
    else:
        join_steps(level, weights, cache, calls, waves, counts, inputs, shared, counters, scratch, threads, thread)
    return np.int64(0)


replay: Any = _replay

"""The records that kernels read: one call of a plan bound to memory, and what changes from step to step.

Addresses are int64 numbers; strides are bytes from row to row; counts are of numbers.
"""

from __future__ import annotations

import numpy as np

CALL = np.dtype([
    ("op", np.int64), ("rows", np.int64),  # an Op, and which count of rows: 0 all, 1 the sampled ones
    ("out", np.int64), ("out_stride", np.int64),
    ("x", np.int64), ("x_stride", np.int64),
    ("y", np.int64), ("y_stride", np.int64),  # the second operand, or what a linear's result is added to
    ("gate", np.int64), ("gate_stride", np.int64),  # an add's gates; what comes with rounded activations
    ("w", np.int64), ("w_stride", np.int64),  # a weight, and the bytes of a block or row of it
    ("w_bfloat16", np.int64),  # a table's numbers are bfloat16
    ("input", np.int64),  # an Input; -1: ids come from x
    ("heads", np.int64), ("columns", np.int64), ("outputs", np.int64),
    ("line", np.int64),  # columns whose codes share 64 bytes, where activations come with a list of those in use
    ("mode", np.int64),  # what a linear does with its result
    ("layer_window", np.int64),  # tokens before the current one that a layer sees; -1: all
    ("group", np.int64),  # of layers with the same pages
    ("keys", np.int64), ("values", np.int64),  # page memory
    ("kv_heads", np.int64), ("value_stride", np.int64),
    ("a", np.float32), ("b", np.float32),
], align=True)

(EMBED, BIGRAM_IDS, RMS_NORM, ADD, GATE, RELU2, CLIP, SOFTCAP, ROPE, APPEND, TAKE, ROUND, LINEAR, ATTEND) = range(14)
PLAIN, SQUARED, ADDED, CAPPED, CLIPPED = range(5)  # modes of a linear
TOKENS, PREV_TOKENS, POSITIONS, SEQUENCES, SAMPLE_ROWS, BLOCKS, GROUPS = range(7)  # inputs; GROUPS: three to a group

WAVE = np.dtype([
    ("kind", np.int64), ("rows", np.int64),  # ROWS, OUTPUTS or HEADS, and which count of rows
    ("first", np.int64), ("end", np.int64),  # its calls
], align=True)
ROWS, OUTPUTS, HEADS = range(3)  # what a wave is cut along for the threads

"""The matrix kernels of every level of the processor, against the law of the formats, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pynanochat.backends.cpu import call as c
from pynanochat.backends.cpu.amx import TILE_BYTES, configuration, configure, release
from pynanochat.backends.cpu.linear import linear_blocks
from pynanochat.backends.cpu.packed import Weight, address_of, block_bytes, float_weight, memory, pack
from pynanochat.backends.cpu.processor import LEVELS, Setting, kernel, levels
from pynanochat.backends.cpu.rows import list_lines
from pynanochat.quantize import formats
from pynanochat.quantize.formats import GROUP, QuantizedTensor, groups
from pynanochat.tensor import Tensor, round_bfloat16

SHAPES = [(16, 64), (40, 192), (33, 130), (7, 20), (140, 70)]  # outputs, columns
ROWS = (1, 2, 4, 5, 7, 16, 23)


@kernel
def all_blocks(level, weights, call, rows, scratch):
    configure(level, scratch)
    linear_blocks(level, weights, call, 0, (call.outputs + 15) // 16, rows, scratch + 64)
    release(level)


def run(level: str, kind: str, weight: Weight, x: np.ndarray, mode: int = c.PLAIN, add: Any = None,
        line: int = 0) -> np.ndarray:
    """(rows, K) -> (rows, V) by a kernel."""
    rows, wide = len(x), groups(x.shape[1]) * GROUP
    record = np.zeros(1, c.CALL)
    out = np.full((rows + 1, weight.outputs), np.nan, np.float32)
    record["w"], record["w_stride"], record["outputs"] = weight.address, weight.stride, weight.outputs
    record["out"], record["out_stride"], record["mode"] = address_of(out), out.strides[0], mode
    record["a"], record["b"] = 15, 3e38
    room = -(-rows // 16) * 16
    if kind in ("q8", "q4"):
        whole, scales = formats.round_activations(x)
        codes = memory(room * (wide + 64)).view(np.int8).reshape(room, wide + 64)
        codes[:rows, :wide] = whole
        sets = groups(x.shape[1])
        notes = np.zeros((room, 2 * sets + 1 + sets + sets * GROUP // 4), np.float32)
        notes[:rows, : scales.shape[1]] = scales
        notes[:rows, sets : 2 * sets] = (-128 * whole.reshape(rows, -1, GROUP).sum(-1, dtype=np.int32)).view(
            np.float32)
        if line:
            list_lines(address_of(codes), address_of(notes) + 8 * sets, sets, line)
        record["line"] = line
        record["columns"], record["x"], record["x_stride"] = scales.shape[1], address_of(codes), codes.strides[0]
        notes[rows:, :sets] = 0  # as `rows.close_tile` leaves them
        record["gate"], record["gate_stride"] = address_of(notes), notes.strides[0]
        keep: tuple[Any, ...] = (codes, notes)
    else:
        padded = np.zeros((room, x.shape[1]), np.float32)
        padded[:rows] = x
        record["columns"], record["x"], record["x_stride"] = x.shape[1], address_of(padded), padded.strides[0]
        keep = (padded,)
    if add is not None:
        record["y"], record["y_stride"] = address_of(add), add.strides[0]
    scratch = memory(64 + TILE_BYTES * (groups(x.shape[1]) + 1))
    scratch[:64] = configuration()
    all_blocks(Setting(level), Setting(kind), record[0], rows, address_of(scratch))
    assert keep
    assert np.isnan(out[rows]).all(), "a kernel wrote beyond its rows"
    return out[:rows]


def quantised(kind: str, outputs: int, columns: int, rng: np.random.Generator) -> tuple[QuantizedTensor, Weight]:
    scales = round_bfloat16(rng.standard_normal((outputs, groups(columns))).astype(np.float32) / 50)
    if kind == "q8":
        codes = rng.integers(-127, 128, (outputs, columns)).astype(np.int8)
    else:
        codes = rng.integers(0, 256, (outputs, -(-columns // 2))).astype(np.uint8)
    tensor = QuantizedTensor(codes, scales, kind, (outputs, columns))
    room = memory(-(-outputs // 16) * block_bytes(columns, kind))
    pack(tensor, room, outputs)
    return tensor, Weight(room, block_bytes(columns, kind), outputs, columns)


@pytest.mark.parametrize("kind", ["q8", "q4"])
@pytest.mark.parametrize("level", LEVELS)
def test_whole_number_kernels_are_the_law(level: str, kind: str) -> None:
    if level not in levels():
        pytest.skip(f"this processor has no {level}")
    rng = np.random.default_rng(3)
    for outputs, columns in SHAPES:
        tensor, weight = quantised(kind, outputs, columns, rng)
        x = (rng.standard_normal((max(ROWS), columns)) * 3).astype(np.float32)
        x[2] = 0
        x[4, : columns // 2] = 0
        wanted = formats.linear(x, tensor)
        for rows in ROWS:
            assert np.array_equal(run(level, kind, weight, x[:rows]), wanted[:rows]), (outputs, columns, rows)
        add = rng.standard_normal(wanted.shape).astype(np.float32)
        assert np.array_equal(run(level, kind, weight, x, c.ADDED, add), wanted + add)
        assert np.array_equal(run(level, kind, weight, x, c.SQUARED), np.square(np.maximum(wanted, 0)))
        capped = run(level, kind, weight, x, c.CAPPED)
        assert np.allclose(capped, 15 * np.tanh(wanted.astype(np.float64) / 15), rtol=3e-7, atol=1e-30)


@pytest.mark.parametrize(("kind", "line"), [("q8", 4), ("q4", 8)])
@pytest.mark.parametrize("level", ["avx512vnni", "plain"])
def test_zeros_are_skipped_exactly(level: str, kind: str, line: int) -> None:
    """The same bits from the lines in use alone: the others are not even read, and may hold anything."""
    if level not in levels():
        pytest.skip(f"this processor has no {level}")
    rng = np.random.default_rng(5)
    for outputs, columns in SHAPES:
        for share in (0.0, 0.05, 0.5, 1.0):
            tensor, weight = quantised(kind, outputs, columns, rng)
            used = np.repeat(rng.random(-(-columns // line)) < share, line)[:columns]
            x = np.where(used, rng.standard_normal((1, columns)), 0).astype(np.float32)
            wanted = formats.linear(x, tensor)
            assert np.array_equal(run(level, kind, weight, x, line=line), wanted)
            if 0 < share < 0.5:
                count = -(-outputs // 16)
                codes = weight.array.reshape(count, -1)[:, : groups(columns) * (1024 if kind == "q8" else 512)]
                lines = codes.reshape(count, -1, 64)
                unused = ~np.resize(np.append(used, [False] * GROUP), groups(columns) * GROUP).reshape(-1, line).any(1)
                lines[:, unused] = rng.integers(0, 256, lines[:, unused].shape)
                assert np.array_equal(run(level, kind, weight, x, line=line), wanted)


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_float_kernels(kind: str) -> None:
    """As exact as a sum of floats can be, and the same bits for a row in any number of rows."""
    rng = np.random.default_rng(4)
    for outputs, columns in SHAPES:
        values = rng.standard_normal((outputs, columns)).astype(np.float32)
        tensor = Tensor(round_bfloat16(values), "bfloat16") if kind == "bfloat16" else Tensor.of(values)
        weight = float_weight(tensor, kind, outputs)
        x = rng.standard_normal((max(ROWS), columns)).astype(np.float32)
        whole = run("plain", kind, weight, x)
        exact = x.astype(np.float64) @ tensor.numpy(np.float64).T
        assert np.abs(whole - exact).max() < 3e-6 * np.sqrt(columns)
        for rows in ROWS:
            assert np.array_equal(run("plain", kind, weight, x[:rows]), whole[:rows]), (outputs, columns, rows)
        for row in range(3):
            assert np.array_equal(run("plain", kind, weight, x[row : row + 1])[0], whole[row])
        add = rng.standard_normal(whole.shape).astype(np.float32)
        assert np.array_equal(run("plain", kind, weight, x, c.ADDED, add), whole + add)

"""The law: what codes and scales stand for, products in exact steps, and the same operations beside them."""

import math
from fractions import Fraction

import numpy as np
import pytest

from pynanochat.errors import DamagedFileError
from pynanochat.ops import Ops
from pynanochat.ops import reference as floats
from pynanochat.quantize import reference
from pynanochat.quantize.formats import (
    FORMATS,
    GROUP,
    LEVELS,
    QuantizedTensor,
    fused_multiply_add,
    groups,
    linear,
    quantized_bytes,
    round_activations,
)
from pynanochat.tensor import round_bfloat16, widen_bfloat16


def random(kind, rows=5, columns=100, seed=0):
    chance = np.random.default_rng(seed)
    scales = round_bfloat16(chance.standard_normal((rows, groups(columns))).astype(np.float32) * np.float32(0.01))
    if kind == "q8":
        return QuantizedTensor(chance.integers(-127, 128, (rows, columns)).astype(np.int8), scales, "q8",
                               (rows, columns))
    codes = chance.integers(0, 256, (rows, -(-columns // 2))).astype(np.uint8)
    return QuantizedTensor(codes, scales, "q4", (rows, columns))


def weight(tensor, row, column):
    """One weight by the format's definition, in plain Python."""
    if tensor.dtype == "q8":
        level = int(tensor.codes[row, column])
    else:
        level = int(LEVELS[(int(tensor.codes[row, column // 2]) >> (4 * (column % 2))) & 15])
    return level * Fraction(float(widen_bfloat16(tensor.scales)[row, column // GROUP]))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("columns", [1, 63, 64, 65, 130])
def test_weights_by_the_definition(kind, columns):
    tensor = random(kind, 3, columns)
    values = tensor.numpy()
    assert values.shape == tensor.shape == (3, columns)
    assert values.dtype == np.float32
    assert all(Fraction(float(values[r, c])) == weight(tensor, r, c) for r in range(3) for c in range(columns))
    assert tensor.nbytes == quantized_bytes(tensor.shape, kind)
    assert (tensor[1:].numpy() == values[1:]).all()
    assert tensor[:2].shape == (2, columns)
    assert tensor.numpy(np.float64).dtype == np.float64


@pytest.mark.parametrize("kind", FORMATS)
def test_linear_in_exact_steps(kind):
    """Whole dots in a group, then one correctly rounded multiply-add a group, in order."""
    tensor = random(kind, 4, 150)
    x = np.random.default_rng(5).standard_normal((3, 150)).astype(np.float32)
    whole, scales = round_activations(x)
    found = linear(x, tensor)
    for row in range(3):
        for out in range(4):
            total = np.float32(0)
            for group in range(3):
                columns = range(group * GROUP, min(150, (group + 1) * GROUP))
                dot = sum(int(whole[row, c]) * int(tensor.levels()[out, c]) for c in columns)
                scale = scales[row, group] * widen_bfloat16(tensor.scales)[out, group]
                total = rounded(dot * Fraction(float(scale)) + Fraction(float(total)))
            assert found[row, out] == total
    near = x @ tensor.numpy().T
    assert np.abs(found - near).max() < 0.05 * np.abs(near).max()


def rounded(value):
    """The float32 nearest to a fraction, ties to even."""
    near = np.float32(float(value))
    around = (np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf)))
    return min(around, key=lambda one: (abs(Fraction(float(one)) - value), int(one.view(np.uint32)) & 1))


def test_multiply_add_is_rounded_once():
    chance = np.random.default_rng(1)
    a, b = (chance.standard_normal(500).astype(np.float32) for _ in range(2))
    c = (-(a * b) * (1 + chance.integers(-3, 4, 500) * np.float32(2.0**-23))).astype(np.float32)  # nearly cancels
    for one, two, three, found in zip(a, b, c, fused_multiply_add(a, b, c), strict=True):
        exact = Fraction(float(one)) * Fraction(float(two)) + Fraction(float(three))
        assert found == rounded(exact)


def test_activations():
    x = np.zeros((3, 70), np.float32)
    x[0, :3] = [-4, 2, 1]
    x[1] = 1e-31  # as good as nothing
    whole, scales = round_activations(x)
    assert whole.shape == (3, 128)
    assert whole[0, :3].tolist() == [-127, 64, 32]
    assert scales[0].tolist() == [np.float32(4) / np.float32(127), 0]
    assert not whole[1:].any()
    assert not scales[1:].any()


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_no_weight_is_refused(kind):
    tensor = random(kind)
    tensor.check_finite("x", "here")
    bad = tensor.scales.copy()
    for bits in (0x7F80, 0xFF80, 0x7FC1):
        bad[2, 1] = bits
        with pytest.raises(DamagedFileError, match="here: tensor x holds values that are not finite"):
            QuantizedTensor(tensor.codes, bad, kind, tensor.shape).check_finite("x", "here")
    if kind == "q8":
        codes = tensor.codes.copy()
        codes[4, 99] = -128
        with pytest.raises(DamagedFileError, match="not finite"):
            QuantizedTensor(codes, tensor.scales, kind, tensor.shape).check_finite("x", "here")


def test_the_reference_operations_with_the_law():
    names = [name for name in vars(Ops) if not name.startswith("_")]
    assert sorted(names) == sorted(reference.__all__)
    for name in names:
        if name != "linear":
            assert getattr(reference, name) is getattr(floats, name)
    tensor = random("q4")
    x = np.ones((2, 100), np.float32)
    assert (reference.linear(x, tensor) == linear(x, tensor)).all()
    assert (reference.linear(x, tensor.numpy()) == floats.linear(x, tensor.numpy())).all()


def test_levels_are_sixteen_in_order():
    assert len(LEVELS) == 16
    assert (np.diff(LEVELS.astype(int)) > 0).all()
    assert math.isclose(LEVELS[0], -127)

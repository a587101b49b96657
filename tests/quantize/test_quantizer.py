"""The quantiser against plain NumPy: the best of the candidates, and the nearest levels, whatever the threads."""

import numpy as np
import pytest
from numba.core.caching import CompileResultCacheImpl

from pynanochat.config import GPTConfig
from pynanochat.quantize import kernels, quantizer
from pynanochat.quantize.formats import FORMATS, GROUP, LEVELS, ZERO_INDEX, groups, quantized_bytes
from pynanochat.quantize.kernels import Q4_FACTORS, Q8_BELOW, Q8_CANDIDATES
from pynanochat.quantize.quantizer import matrices, quantize
from pynanochat.tensor import round_bfloat16, widen_bfloat16
from pynanochat.weights import tensor_shapes

MIDDLES = (LEVELS[1:].astype(np.float64) + LEVELS[:-1]) / 2


def random(rows=40, columns=200, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)


def awkward():
    """Rows of numbers that a float32 barely holds, of few values, and of one that stands out."""
    x = random(12, 150, 1)
    for row, factor in enumerate((1e-44, 1e-40, 1e-38, 1e-30, 1e-20, 1e20, 1e30, 6e37)):
        x[row] *= np.float32(factor)
    x[8] = np.where(x[8] > 0, 1, -1)
    x[9, ::3] = 0
    x[10, 70] = 1000
    x[11] = np.float32(3.4028235e38)
    return x


def candidates(part, kind):
    """bfloat16 bits of the scales that are tried for groups of one row each."""
    peaks = np.abs(part).max(1)
    if kind == "q4":
        return round_bfloat16(peaks[:, None] * Q4_FACTORS)
    nearest = round_bfloat16(peaks / np.float32(127)).astype(np.int64)[:, None]
    return np.maximum(nearest + np.arange(-Q8_BELOW, Q8_CANDIDATES - Q8_BELOW), 0).astype(np.uint16)


def nearest(x, scale, kind):
    """The levels nearest to x / scale; scales of one column."""
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient = x.astype(np.float64) / scale
    if kind == "q8":
        return np.clip(np.rint(quotient), -127, 127)
    return LEVELS[np.searchsorted(MIDDLES, quotient)].astype(np.float64)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("x", [random(), random(5, 64), random(3, 1, 2), random(4, 131, 3), awkward()],
                         ids=["plain", "one group", "one column", "odd", "awkward"])
def test_scales_are_the_best_candidates_and_codes_the_nearest_levels(x, kind):
    made = quantize(x, kind)
    assert (made.shape, made.dtype, made.nbytes) == (x.shape, kind, quantized_bytes(x.shape, kind))
    made.check_finite("x", "here")
    levels, wide = made.levels().astype(np.float64), widen_bfloat16(made.scales).astype(np.float64)
    for group in range(groups(x.shape[1])):
        part = x[:, group * GROUP : (group + 1) * GROUP]
        tried, chosen = candidates(part, kind), made.scales[:, group]
        own = levels[:, group * GROUP : (group + 1) * GROUP]
        zero = chosen == 0
        assert ((tried == chosen[:, None]).any(1) | zero).all()
        errors = []
        for scale in widen_bfloat16(tried).astype(np.float64).T[..., None]:
            stood_for = np.where(scale == 0, 0, nearest(part, scale, kind) * scale)
            errors.append(((part - stood_for) ** 2).sum(1))
        found = ((part - own * wide[:, group, None]) ** 2).sum(1)
        assert (found <= np.min(errors, 0) * (1 + 1e-5)).all()
        here = nearest(part, wide[:, group, None], kind)
        assert (own[~zero] == here[~zero]).all()
        assert (own[zero] == (0 if kind == "q8" else LEVELS[ZERO_INDEX])).all()


@pytest.mark.parametrize(("kind", "middle", "level"), [
    ("q8", 0.5, 0), ("q8", 1.5, 2), ("q8", -0.5, 0), ("q8", -2.5, -2), ("q8", 126.5, 126),
    *(("q4", float(middle), int(below)) for middle, below in zip(MIDDLES, LEVELS, strict=False))])
def test_a_half_step_goes_by_the_rule(kind, middle, level):
    """On exact middles: the even level in q8, the lower one in q4; beside weights that only one scale fits."""
    scale = np.float32(2.0**-7)
    others = np.arange(65, 128) if kind == "q8" else np.tile(LEVELS, 4)[:62]
    for factor in (Q4_FACTORS[12], -Q4_FACTORS[12]) if kind == "q4" else (1,):  # of the peak
        sign = np.sign(factor)
        peak = [-1 / np.abs(factor)] if kind == "q4" else []
        made = quantize(sign * scale * np.float32([[middle, *others, *peak]]), kind)
        assert widen_bfloat16(made.scales)[0, 0] == sign * scale
        assert made.levels()[0].tolist() == [level, *others, *[-127 for _ in peak]]


@pytest.mark.parametrize("kind", FORMATS)
def test_zeros(kind):
    made = quantize(np.zeros((3, 100), np.float32), kind)
    assert not made.scales.any()
    assert not made.numpy().any()
    assert set(made.levels().ravel()) == ({0} if kind == "q8" else {int(LEVELS[ZERO_INDEX])})


def test_half_a_byte_that_no_column_needs_is_zero():
    codes = quantize(random(6, 65), "q4").codes
    assert codes.shape == (6, 33)
    assert not (codes[:, -1] >> 4).any()


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_number_of_threads_changes_nothing(kind, count, monkeypatch):
    x, first = random(1000, 130), quantize(random(1000, 130), kind)
    monkeypatch.setattr(quantizer, "cores", lambda: count)
    monkeypatch.setattr(quantizer, "_ROWS", 1 + 100 * count)
    again = quantize(x, kind)
    assert (again.codes == first.codes).all()
    assert (again.scales == first.scales).all()


@pytest.mark.parametrize(("kind", "limit"), [("q8", 4e-5), ("q4", 6.8e-3)])
def test_error_on_normal_numbers(kind, limit):
    x = random(200, 640)
    assert ((quantize(x, kind).numpy() - x) ** 2).mean() < limit


@pytest.mark.parametrize("kind", FORMATS)
def test_what_it_takes(kind):
    """Views of files, which may not be written to, and rows that do not follow each other."""
    x = random(20, 128)
    wanted = quantize(x[::2].copy(), kind)
    x.flags.writeable = False
    found = quantize(x[::2], kind)
    assert (found.codes == wanted.codes).all()
    assert (found.scales == wanted.scales).all()


def test_compiles_where_nothing_can_be_kept(monkeypatch):
    monkeypatch.setattr(CompileResultCacheImpl, "_locator_classes", [])
    assert kernels._compiled()(lambda x: 2 * x)(3) == 6


def test_which_tensors():
    cfg = GPTConfig(sequence_len=64, vocab_size=100, n_layer=2, n_head=2, n_kv_head=1, n_embd=32)
    names, shapes = matrices(cfg), tensor_shapes(cfg)
    assert len(names) == 13
    assert names < set(shapes)
    rest = set(shapes) - names
    assert all("embed" in name or "wte" in name or "gate" in name or "lambda" in name for name in rest)

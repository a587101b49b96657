"""Numbers without a tensor library: bfloat16 by bit patterns."""

from __future__ import annotations

import numpy as np
import pytest

from pynanochat.errors import DamagedFileError
from pynanochat.tensor import Tensor, round_bfloat16, widen_bfloat16


def test_bfloat16_is_the_nearest_ties_to_even() -> None:
    bits = np.array([0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF, 0xBF808000, 0xBF818000, 0, 0x80000000], np.uint32)
    assert [hex(value) for value in round_bfloat16(bits.view(np.float32))] == [
        "0x3f80", "0x3f82", "0x3f81", "0x3f80", "0xbf80", "0xbf82", "0x0", "0x8000"]


def test_bfloat16_survives_the_way_there_and_back() -> None:
    bits = np.arange(1 << 16, dtype=np.uint16)
    finite = bits[(bits & 0x7F80) != 0x7F80]
    assert np.array_equal(round_bfloat16(widen_bfloat16(finite)), finite)
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(0).standard_normal(10_000).astype(np.float32)
    assert np.array_equal(round_bfloat16(values), torch.from_numpy(values).bfloat16().view(torch.uint16).numpy())


@pytest.mark.parametrize(("dtype", "value"), [("float32", np.nan), ("float64", np.inf), ("float16", -np.inf)])
def test_values_that_are_not_finite_are_named(dtype: str, value: float) -> None:
    array = np.zeros((3, 5), dtype)
    Tensor.of(array).check_finite("wte", "here")
    array[2, 4] = value
    with pytest.raises(DamagedFileError, match="here: tensor wte holds"):
        Tensor.of(array).check_finite("wte", "here")
    with pytest.raises(DamagedFileError):
        Tensor(np.array([0x3F80, 0x7F80 + (value != value)], np.uint16), "bfloat16").check_finite("wte", "here")

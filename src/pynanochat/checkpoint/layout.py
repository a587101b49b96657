"""How numbers lie in files: the bytes of each dtype, and tensors as views of a mapped file."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pynanochat.errors import DamagedFileError, UnsupportedError
from pynanochat.quantize.formats import format_of, quantized_bytes
from pynanochat.tensor import Tensor

STORAGE: dict[str, np.dtype[Any]] = {  # dtype of a Tensor: the NumPy dtype of its bytes
    "float64": np.dtype("<f8"), "float32": np.dtype("<f4"), "float16": np.dtype("<f2"), "bfloat16": np.dtype("<u2"),
    "int64": np.dtype("<i8"), "int32": np.dtype("<i4"), "int16": np.dtype("<i2"), "int8": np.dtype("i1"),
    "uint8": np.dtype("u1"), "bool": np.dtype("?"),
}
_MAX_DIMENSIONS = 8
_MAX_BYTES = 1 << 50


def is_shape(value: Any) -> bool:
    """Whether a list or tuple from a file is the shape of a tensor that could exist."""
    if not isinstance(value, (list, tuple)) or len(value) > _MAX_DIMENSIONS:
        return False
    if not all(type(size) is int and 0 <= size <= _MAX_BYTES for size in value):
        return False
    return bool(math.prod(max(size, 1) for size in value) <= _MAX_BYTES)


def nbytes(shape: tuple[int, ...], dtype: str) -> int:
    """Bytes of a tensor, of a quantised one with its scales."""
    quantized = format_of(dtype)
    if quantized is not None:
        return quantized_bytes(shape, quantized)
    return math.prod(shape) * STORAGE[dtype].itemsize


def tensor_at(view: memoryview, offset: int, shape: tuple[int, ...], dtype: str) -> Tensor:
    """The tensor whose bytes begin at `offset`, whose end the caller has checked; copied only if it is not aligned."""
    kind, count = STORAGE[dtype], math.prod(shape)
    data = np.frombuffer(view, kind, count, offset) if count else np.empty(0, kind)
    if not data.flags.aligned:
        data = data.copy()
    return Tensor(data.reshape(shape), dtype)


def check_range(tensor: Tensor, name: str, own: str) -> Tensor:
    """The tensor, made of a finite one of dtype `own`; `UnsupportedError` where numbers were too large for it."""
    try:
        tensor.check_finite(name, "")
    except DamagedFileError:
        raise UnsupportedError(f"tensor {name} holds numbers too large for {tensor.dtype}; save it as {own}, in a "
                               "format that has it") from None
    return tensor


def raw(tensor: Tensor) -> memoryview:
    """The little-endian, row-major bytes of a tensor."""
    data = np.ascontiguousarray(tensor.data, STORAGE[tensor.dtype])
    return data.reshape(-1).view(np.uint8).data

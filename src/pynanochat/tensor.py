"""Tensor: numbers from a file, without a tensor library; bfloat16 is kept as its uint16 bit patterns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynanochat.errors import DamagedFileError

FLOAT_DTYPES = ("float64", "float32", "bfloat16", "float16")
_CHUNK = 1 << 22  # elements looked at together, so that checking a mapped file needs little memory


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A row-major array; `dtype` is a NumPy name, or bfloat16 (`data` is then uint16)."""

    data: NDArray[Any]
    dtype: str

    @classmethod
    def of(cls, array: NDArray[Any]) -> Tensor:
        """The tensor of a NumPy array, in the array's own dtype."""
        return cls(np.ascontiguousarray(array), array.dtype.name)

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.data.shape

    @property
    def nbytes(self) -> int:
        """Its size in bytes as stored."""
        return self.data.nbytes

    def numpy(self, dtype: type[np.floating[Any]] = np.float32) -> NDArray[Any]:
        """Its values as a NumPy array of `dtype`; a view of the file where nothing has to be converted."""
        if self.dtype == "bfloat16":
            return widen_bfloat16(self.data).astype(dtype, copy=False)
        return self.data.astype(dtype, copy=False)

    def check_finite(self, name: str, where: str) -> None:
        """Raise `DamagedFileError` if a value is infinite or not a number."""
        flat = self.data.reshape(-1)
        for start in range(0, flat.size, _CHUNK):
            part = flat[start : start + _CHUNK]
            if self.dtype == "bfloat16":
                finite = bool(((part & 0x7F80) != 0x7F80).all())
            else:
                finite = part.dtype.kind != "f" or bool(np.isfinite(part).all())
            if not finite:
                raise DamagedFileError(
                    f"{where}: tensor {name} holds values that are not finite numbers; get an intact copy of the model")


def widen_bfloat16(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The float32 values of bfloat16 bit patterns; exact."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def round_bfloat16(values: NDArray[Any]) -> NDArray[np.uint16]:
    """The nearest bfloat16 bit patterns of finite float32 values, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)

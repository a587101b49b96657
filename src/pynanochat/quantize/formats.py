"""q8 and q4: what quantised weights mean, in NumPy. Every kernel equals `linear` to the bit.

A matrix (V rows, K columns) is cut along K into groups of 64, the last one may be shorter. Each group of a row has a
bfloat16 scale; a weight is scale * level, the level -127..127 in q8 and one of 16 in q4. Activations (M, K) are rounded
to -127..127 with a float32 scale for each group of each row. S groups to a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pynanochat.errors import DamagedFileError
from pynanochat.tensor import Tensor, widen_bfloat16

Format = Literal["q8", "q4"]
FORMATS: tuple[Format, ...] = ("q8", "q4")
GROUP = 64
LARGEST = 127
SMALLEST_PEAK = np.float32(1e-30)  # a group of activations below it counts as zero, so that no quotient overflows

# Lloyd's algorithm (IEEE Trans. Inf. Theory 28, 1982) on groups of 64 normal numbers, each scaled by what suits it
# best; -127 is the end that a group's scale, which has a sign, points at.
LEVELS = np.array([-127, -98, -77, -61, -46, -33, -21, -9, 2, 13, 24, 36, 49, 64, 82, 107], np.int8)
ZERO_INDEX = 8  # of the level 2: what stands in a group whose scale is 0


@dataclass(frozen=True, slots=True, eq=False)
class QuantizedTensor:
    """A quantised matrix, with the properties of a `Tensor`."""

    codes: NDArray[Any]  # q8: int8 (V, K) levels; q4: uint8 (V, ceil(K/2)) indices, the even column in the low half
    scales: NDArray[np.uint16]  # bfloat16 (V, S)
    dtype: Format
    shape: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Its size in bytes as stored."""
        return self.codes.nbytes + self.scales.nbytes

    def levels(self) -> NDArray[np.int8]:
        """(V, K) the whole numbers that the scales multiply."""
        if self.dtype == "q8":
            return self.codes
        halves = np.stack([self.codes & 15, self.codes >> 4], -1).reshape(self.shape[0], -1)
        return LEVELS[halves[:, : self.shape[1]]]

    def numpy(self, dtype: type[np.floating[Any]] = np.float32) -> NDArray[Any]:
        """(V, K) the weights that it stands for; exact in float32."""
        scales = np.repeat(widen_bfloat16(self.scales), GROUP, 1)[:, : self.shape[1]]
        return (self.levels() * scales).astype(dtype, copy=False)

    def __getitem__(self, rows: slice) -> QuantizedTensor:
        """Some of its rows."""
        codes = self.codes[rows]
        return QuantizedTensor(codes, self.scales[rows], self.dtype, (len(codes), self.shape[1]))

    def check_finite(self, name: str, where: str) -> None:
        """Raise `DamagedFileError` if a scale is infinite or not a number, or a level is -128."""
        if ((self.scales & 0x7F80) == 0x7F80).any() or (self.dtype == "q8" and self.codes.min(initial=0) == -128):
            raise DamagedFileError(
                f"{where}: tensor {name} holds values that are not finite numbers; get an intact copy of the model")


AnyTensor: TypeAlias = Tensor | QuantizedTensor


def format_of(dtype: object) -> Format | None:
    """The quantised format of that name; None for everything else."""
    return next((one for one in FORMATS if one == dtype), None)


def cache_dtype(weights: str) -> Literal["float32", "bfloat16"]:
    """The precision in which keys and values are kept beside such weights, if none is asked for.

    Rounding them to bfloat16 moves predictions by a hundredth of what rounding the weights to q8 does
    (`benchmarks/quantization.py`), and halves what a long context costs.
    """
    return "bfloat16" if weights in FORMATS else "float32"


def groups(columns: int) -> int:
    """S: the groups of a row of so many columns."""
    return -(-columns // GROUP)


def code_columns(columns: int, format: Format) -> int:  # noqa: A002
    """Bytes of the codes of a row of so many columns."""
    return columns if format == "q8" else -(-columns // 2)


def quantized_bytes(shape: tuple[int, ...], format: Format) -> int:  # noqa: A002
    """Bytes of the codes and scales of a matrix (V, K)."""
    rows, columns = shape
    return rows * (code_columns(columns, format) + 2 * groups(columns))


def round_activations(x: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """(M, K) -> whole numbers (M, S * 64), zeros after the last column, and their scales (M, S)."""
    rows, columns = x.shape
    padded = np.zeros((rows, groups(columns) * GROUP), np.float32)
    padded[:, :columns] = x
    parts = padded.reshape(rows, -1, GROUP)
    peaks = np.abs(parts).max(-1)
    used = peaks >= SMALLEST_PEAK
    inverse = np.where(used, np.float32(LARGEST) / np.where(used, peaks, np.float32(1)), np.float32(0))
    whole = np.rint(parts * inverse[..., None]).astype(np.int8)
    return whole.reshape(rows, -1), np.where(used, peaks / np.float32(LARGEST), np.float32(0))


def linear(x: NDArray[np.float32], w: QuantizedTensor) -> NDArray[np.float32]:
    """(M, K), (V, K) -> (M, V), the law: exact whole-number dots in a group, groups added in order.

    total = fma(dot, weight scale * activation scale, total), each step rounded once to float32.
    """
    return linear_rounded(*round_activations(x), w)


def linear_rounded(
    whole: NDArray[np.int8], scales: NDArray[np.float32], w: QuantizedTensor
) -> NDArray[np.float32]:
    """`linear` of activations that `round_activations` has rounded."""
    levels = np.zeros((w.shape[0], whole.shape[1]), np.float32)
    levels[:, : w.shape[1]] = w.levels()
    weight_scales = widen_bfloat16(w.scales)
    total = np.zeros((len(whole), w.shape[0]), np.float32)
    for group in range(scales.shape[1]):
        part = slice(group * GROUP, (group + 1) * GROUP)
        dots = whole[:, part].astype(np.float32) @ levels[:, part].T  # exact: every sum is below 2^24
        total = fused_multiply_add(dots, scales[:, group, None] * weight_scales[None, :, group],
                                   total)
    return total


def fused_multiply_add(
    a: NDArray[np.float32], b: NDArray[np.float32], c: NDArray[np.float32]
) -> NDArray[np.float32]:
    """a * b + c rounded once to float32, as the processors' instruction does.

    The product is exact in float64; the sum is rounded to odd there, after which rounding to float32 is as if from the
    exact sum. Source: Boldo and Melquiond, IEEE Trans. Computers 57 (2008).
    """
    product, addend = a.astype(np.float64) * b, c.astype(np.float64)
    total = product + addend
    moved = total - product
    lost = (product - (total - moved)) + (addend - moved)  # what the float64 sum rounded away (Knuth's TwoSum)
    even = (total.view(np.int64) & 1) == 0
    toward = np.where(lost > 0, np.inf, -np.inf)
    total = np.where((lost != 0) & even, np.nextafter(total, toward), total)
    return total.astype(np.float32)

"""Weights as the kernels read them: q8 and q4 packed in blocks of 16 outputs, floats where their file is mapped.

A block is its groups of 64 columns one after the other, then the sixteen bfloat16 scales of each group. In a group of
q8 four columns of output 0, the same four of output 1 and so on make 64 bytes; in one of q4 such 64 bytes hold the
next four columns in their high halves.
"""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynanochat.checkpoint.mapped_file import release
from pynanochat.quantize.formats import GROUP, QuantizedTensor, groups
from pynanochat.tensor import Tensor, round_bfloat16

OUTPUTS = 16
_HUGE = 2 << 20
_SCALE_BYTES = 2 * OUTPUTS


@dataclass(frozen=True)
class Weight:
    """A matrix where a kernel finds it: `array` keeps the memory alive."""

    array: NDArray[Any]
    stride: int  # bytes of a block of q8 or q4, of a row of floats
    outputs: int
    columns: int

    @property
    def address(self) -> int:
        """Of its first byte."""
        return address_of(self.array)


def address_of(array: NDArray[Any]) -> int:
    """Where an array's numbers begin."""
    return int(array.__array_interface__["data"][0])


def block_bytes(columns: int, kind: str) -> int:
    """Bytes of sixteen outputs in q8 or q4, whole cache lines."""
    size = _codes_bytes(columns, kind) + groups(columns) * _SCALE_BYTES
    return -(-size // 64) * 64


def _codes_bytes(columns: int, kind: str) -> int:
    """Bytes of a block's codes, before its scales."""
    return groups(columns) * OUTPUTS * GROUP * (8 if kind == "q8" else 4) // 8


def memory(size: int) -> NDArray[np.uint8]:
    """Zeros on whole cache lines, in large pages where the system gives them: fewer of them to look up."""
    if size == 0:
        return np.zeros(0, np.uint8)
    region = _private(size + _HUGE)
    whole = np.frombuffer(region, np.uint8)
    start = -address_of(whole) % _HUGE
    return whole[start : start + size]


def _private(size: int) -> mmap.mmap:
    """Anonymous memory of this process alone: shared memory gets no large pages."""
    if not hasattr(mmap, "MAP_ANONYMOUS"):  # Windows
        return mmap.mmap(-1, size)
    try:
        region = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(f"{size:,} bytes: {error.strerror}") from None
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without them
            region.madvise(mmap.MADV_HUGEPAGE)
    return region


def pack_all(
    names: list[str], tensor: Callable[[str], Any], kind: str, shapes: dict[str, tuple[int, int]], threads: int
) -> dict[str, Weight]:
    """Every matrix packed into one region, several at a time; what they are made of is let go at once."""
    sizes = [-(-shapes[name][0] // OUTPUTS) * block_bytes(shapes[name][1], kind) for name in names]
    region = memory(sum(sizes))
    starts = np.cumsum([0, *sizes])

    def one(place: int) -> Weight:
        name, (outputs, columns) = names[place], shapes[names[place]]
        room = region[starts[place] : starts[place + 1]]
        source = tensor(name)
        pack(source, room, outputs)
        release(source.codes)
        return Weight(room, block_bytes(columns, kind), outputs, columns)

    with ThreadPoolExecutor(threads) as pool:
        return dict(zip(names, pool.map(one, range(len(names))), strict=True))


def pack(tensor: QuantizedTensor, room: NDArray[np.uint8], outputs: int) -> None:
    """Fill a matrix's room with its first `outputs` rows."""
    columns = tensor.shape[1]
    wide, blocks, sets = groups(columns) * GROUP, -(-outputs // OUTPUTS), groups(columns)
    size = block_bytes(columns, tensor.dtype)
    lines = room.reshape(blocks, size)
    codes_bytes = _codes_bytes(columns, tensor.dtype)
    step = max((1 << 20) // (OUTPUTS * wide), 1)  # blocks at a time: a few megabytes of working memory
    for first in range(0, blocks, step):
        rows = slice(first * OUTPUTS, min((first + step) * OUTPUTS, outputs))
        count, here = rows.stop - rows.start, min(step, blocks - first)
        scales = np.zeros((here * OUTPUTS, sets), np.uint16)
        scales[:count] = tensor.scales[rows]
        target = lines[first : first + here]
        target[:, codes_bytes : codes_bytes + sets * _SCALE_BYTES] = np.ascontiguousarray(
            scales.reshape(here, OUTPUTS, sets).transpose(0, 2, 1)).view(np.uint8).reshape(here, -1)
        if tensor.dtype == "q8":
            levels = np.zeros((here * OUTPUTS, wide), np.int8)
            levels[:count, :columns] = tensor.codes[rows]
            fours = levels.view(np.uint32).reshape(here, OUTPUTS, wide // 4)
            target[:, :codes_bytes] = np.ascontiguousarray(fours.transpose(0, 2, 1)).view(np.uint8).reshape(here, -1)
        else:
            indices = np.zeros((here * OUTPUTS, wide), np.uint8)
            indices[:count, 0 : 2 * tensor.codes.shape[1] : 2] = tensor.codes[rows] & 15
            indices[:count, 1 : 2 * tensor.codes.shape[1] : 2] = tensor.codes[rows] >> 4
            eights = indices.view(np.uint32).reshape(here, OUTPUTS, wide // 8, 2)
            pairs = eights[..., 0] | (eights[..., 1] << np.uint32(4))
            target[:, :codes_bytes] = np.ascontiguousarray(pairs.transpose(0, 2, 1)).view(np.uint8).reshape(here, -1)


def as_floats(tensor: Tensor, kind: str) -> NDArray[Any]:
    """Rows of float32, or of bfloat16 as uint16; the mapped file itself where it is stored so."""
    if kind == "bfloat16":
        return tensor.data if tensor.dtype == "bfloat16" else round_bfloat16(tensor.numpy(np.float32))
    return np.ascontiguousarray(tensor.numpy(np.float32))


def float_weight(tensor: Tensor, kind: str, outputs: int) -> Weight:
    """A matrix of floats, its first `outputs` rows."""
    array = as_floats(tensor, kind)
    return Weight(array, array.strides[0], outputs, array.shape[1])

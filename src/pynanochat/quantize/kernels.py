"""The quantiser's loops, compiled by Numba; every row is by itself, so that any split of the rows gives the same.

First each group of 64 tries its candidate scales side by side, on numbers brought near 1 by a power of two; then its
codes are the levels nearest to weight / scale, exactly. Imported by `quantize` alone, since Numba takes a while.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import float32, njit, types, uint8, uint16
from numba import int8 as signed8

from pynanochat.quantize.formats import GROUP, LARGEST, LEVELS, ZERO_INDEX

Q8_BELOW = 4  # q8 tries this many bfloat16 numbers below the one nearest to peak / 127 ..
Q8_CANDIDATES = 8  # .. in all, with those above: farther off, clipping costs more than finer steps gain
_SHARES = np.linspace(0.75, 1.2, 24) / LARGEST  # q4: the level -127 lies at 0.75 to 1.2 of the peak, on either side
Q4_FACTORS = np.concatenate([_SHARES, -_SHARES]).astype(np.float32)  # times the peak, rounded to bfloat16

Floats = Any  # Numba's own types: arrays and scalars that it compiles for
_COUNT = len(Q4_FACTORS)
_MIDDLES = ((LEVELS[1:].astype(np.float32) + LEVELS[:-1].astype(np.float32)) / 2).astype(np.float32)
_LEVELS = LEVELS.astype(np.float32)
_ROUND = np.float32(12582912)  # 1.5 * 2^23: adding it rounds to a whole number, ties to even
_MATRIX = types.Array(float32, 2, "C", readonly=True)


def _compiled(*signatures: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile a function, for these types at once; the code is kept for the next process where there is a place."""

    def compile(function: Callable[..., Any]) -> Callable[..., Any]:  # noqa: A001
        settings: dict[str, Any] = {"nogil": True} | ({"signature_or_function": [signatures]} if signatures else {})
        try:
            return njit(**settings, cache=True)(function)  # type: ignore[no-any-return]
        except RuntimeError:  # no folder that may be written to
            return njit(**settings)(function)  # type: ignore[no-any-return]

    return compile


@_compiled()
def _unit(peak: Floats) -> Floats:
    """The power of two that brings a peak near 1."""
    exponent = max(-math.frexp(peak)[1], -126)
    return np.float32(math.ldexp(1.0, min(exponent, 127)))


@_compiled()
def _peak(row: Floats, start: int, end: int) -> Floats:
    peak = np.float32(0)
    for column in range(start, end):
        peak = max(peak, abs(row[column]))
    return peak


@_compiled(_MATRIX, signed8[:, ::1], uint16[:, ::1])
def q8(weights: Floats, codes: Floats, scales: Floats) -> None:
    """Fill the levels (V, K) and the bfloat16 scales (V, S) of weights (V, K)."""
    columns = weights.shape[1]
    scale = np.empty(Q8_CANDIDATES, np.float32)
    bits = scale.view(np.uint32)
    step, inverse, error = np.empty_like(scale), np.empty_like(scale), np.empty_like(scale)
    for row in range(weights.shape[0]):
        for group in range(scales.shape[1]):
            start, end = group * GROUP, min(group * GROUP + GROUP, columns)
            peak = _peak(weights[row], start, end)
            scale[0] = peak / np.float32(LARGEST)
            nearest = (np.int64(bits[0]) + 0x7FFF + ((bits[0] >> 16) & 1)) >> 16
            unit = _unit(peak) if peak > 0 else np.float32(1)
            for c in range(Q8_CANDIDATES):
                bits[c] = max(nearest - Q8_BELOW + c, 0) << 16
                step[c] = scale[c] * unit
                inverse[c] = np.float32(1) / step[c] if step[c] > 0 else np.float32(0)
                error[c] = 0
            for column in range(start, end):
                x = weights[row, column] * unit
                for c in range(Q8_CANDIDATES):
                    level = (x * inverse[c] + _ROUND) - _ROUND
                    level = min(max(level, np.float32(-LARGEST)), np.float32(LARGEST))
                    off = x - level * step[c]
                    error[c] += off * off
            best = np.argmin(error)
            if peak == 0 or scale[best] == 0:
                scales[row, group] = 0
                codes[row, start:end] = 0
                continue
            scales[row, group] = bits[best] >> 16
            divisor = np.float64(scale[best])
            for column in range(start, end):
                level64 = np.rint(np.float64(weights[row, column]) / divisor)
                codes[row, column] = np.int8(min(max(level64, -LARGEST), LARGEST))


@_compiled(_MATRIX, uint8[:, ::1], uint16[:, ::1])
def q4(weights: Floats, codes: Floats, scales: Floats) -> None:
    """Fill the packed indices (V, ceil(K/2)) and the bfloat16 scales (V, S) of weights (V, K)."""
    columns = weights.shape[1]
    scale = np.empty(_COUNT, np.float32)
    bits = scale.view(np.uint32)
    step, inverse, error = np.empty_like(scale), np.empty_like(scale), np.empty_like(scale)
    middles = np.empty_like(_MIDDLES)
    indices = np.empty(GROUP, np.uint8)
    for row in range(weights.shape[0]):
        for group in range(scales.shape[1]):
            start, end = group * GROUP, min(group * GROUP + GROUP, columns)
            peak = _peak(weights[row], start, end)
            unit = _unit(peak) if peak > 0 else np.float32(1)
            for c in range(_COUNT):
                scale[c] = peak * Q4_FACTORS[c]
                bits[c] = (np.int64(bits[c]) + 0x7FFF + ((bits[c] >> 16) & 1)) & 0xFFFF0000
                step[c] = scale[c] * unit
                inverse[c] = np.float32(1) / step[c] if step[c] != 0 else np.float32(0)
                error[c] = 0
            for column in range(start, end):
                x = weights[row, column] * unit
                for c in range(_COUNT):
                    quotient, level = x * inverse[c], _LEVELS[0]
                    for i in range(15):
                        level = _LEVELS[i + 1] if quotient > _MIDDLES[i] else level
                    off = x - level * step[c]
                    error[c] += off * off
            best = np.argmin(error)
            indices[:] = 0
            if peak == 0 or scale[best] == 0:
                scales[row, group] = 0
                indices[: end - start] = ZERO_INDEX
            else:
                scales[row, group] = bits[best] >> 16
                sign = np.float32(math.copysign(1.0, scale[best]))
                for i in range(15):
                    middles[i] = _MIDDLES[i] * (sign * scale[best])  # exact: 8 bits times 9
                for column in range(start, end):
                    index, x = 0, sign * weights[row, column]
                    for i in range(15):
                        index += x > middles[i]
                    indices[column - start] = index
            for place in range((end - start + 1) // 2):
                codes[row, start // 2 + place] = indices[2 * place] | (indices[2 * place + 1] << 4)

"""Philox: random numbers that are a function of where they are used, so that nothing has to be carried along."""

from __future__ import annotations

import os

_WORD = (1 << 64) - 1


def uniform(seed: int, sample: int, position: int) -> float:
    """A number in [0, 1), a multiple of 2^-53, that belongs to (seed, sample index, output index) alone."""
    first, _, _, _ = philox4x64((position, 0, 0, 0), (seed, sample))
    return (first >> 11) * 2.0**-53


def fresh_seed() -> int:
    """A 64-bit seed from the operating system's randomness."""
    return int.from_bytes(os.urandom(8), "little")


def philox4x64(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Four random 64-bit words for a counter and a key, by Philox4x64-10.

    Source: Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3 (doi:10.1145/2063384.2063405).
    """
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        left, right = a * 0xD2E7470EE14C6C93, c * 0xCA5A826395121157
        a, b, c, d = (right >> 64) ^ b ^ k0, right & _WORD, (left >> 64) ^ d ^ k1, left & _WORD
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & _WORD, (k1 + 0xBB67AE8584CAA73B) & _WORD
    return a, b, c, d

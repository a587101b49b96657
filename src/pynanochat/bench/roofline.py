"""Roofline: how fast this machine reads memory, which is what bounds decode, and what a token has to read."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynanochat.config import GPTConfig
from pynanochat.quantize.formats import FORMATS
from pynanochat.runner import Facts, page_bytes
from pynanochat.sizes import bytes_per_token

Kernel = Callable[[NDArray[np.int64]], Any]

BUFFER_BYTES = 512 << 20  # more than any cache that one process has to itself
_ALIGNMENT = 64  # whole cache lines for each thread
_LEAST_SECONDS = 0.02  # of one measurement, so that waking the threads costs nothing


def read_bandwidth(threads: int, buffer_bytes: int = BUFFER_BYTES, *, repeats: int = 9) -> float:
    """Bytes per second that `threads` threads read together from a buffer, in whatever pattern does best here.

    Sums of 64-bit integers, compiled and without the interpreter's lock; huge pages where the system has them. The
    median of `repeats`.
    """
    size = max(buffer_bytes // (threads * _ALIGNMENT), 1) * threads * _ALIGNMENT
    from pynanochat.backends.cpu.packed import memory

    words = memory(size).view(np.int64)
    words[:] = 1  # memory that was never written is one page of zeros
    parts = words.reshape(threads, -1)
    with ThreadPoolExecutor(threads) as pool:
        return max(size / _median_seconds(pool, kernel, parts, repeats) for kernel in _kernels())


def token_bytes(cfg: GPTConfig, facts: Facts, context: int) -> int:
    """The bytes that decoding one token at `context` reads: every weight and scale once, its keys and its values.

    What is not quantised counts as float32 beside q8 and q4.
    """
    one_byte = sum(count * size for count, size in zip(facts.pages, page_bytes(cfg, 1), strict=True))
    quantize = next((name for name in FORMATS if name == facts.dtype), None)
    width = {"float64": 8, "bfloat16": 2}.get(facts.dtype, 4)
    return bytes_per_token(cfg, width, context, facts.cache_bytes / one_byte, quantize)


def _median_seconds(
    pool: ThreadPoolExecutor, kernel: Kernel, parts: NDArray[np.int64], repeats: int
) -> float:
    """Of one pass over all parts, a thread to each."""

    def run(passes: int) -> float:
        def read(part: NDArray[np.int64]) -> None:
            for _ in range(passes):
                kernel(part)

        start = time.perf_counter()
        list(pool.map(read, parts))
        return (time.perf_counter() - start) / passes

    run(1)
    passes = max(1, round(_LEAST_SECONDS / run(1)))
    return statistics.median(run(passes) for _ in range(repeats))


def _one_stream(words: NDArray[np.int64]) -> int:
    total = 0
    for i in range(words.size):
        total += words[i]
    return total


def _four_streams(words: NDArray[np.int64]) -> int:
    quarter = words.size // 4
    first = second = third = fourth = 0
    for i in range(quarter):
        first += words[i]
        second += words[quarter + i]
        third += words[2 * quarter + i]
        fourth += words[3 * quarter + i]
    return first + second + third + fourth


def _kernels() -> list[Kernel]:
    import numba

    compiled = numba.njit("int64(int64[::1])", nogil=True)
    return [compiled(_one_stream), compiled(_four_streams)]

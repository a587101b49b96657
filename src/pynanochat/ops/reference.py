"""What each operation means, in NumPy, float64 or float32: the judge of every backend.

Bitwise the same for a row whatever else is in the batch: each row of a product is its own matrix-vector call, and
attention runs over exactly the keys that a row sees. (A plain x @ w.T differs between one row and many.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynanochat.batch import PAGE_TOKENS, Batch
from pynanochat.config import GPTConfig
from pynanochat.page_memory import PageMemory

Floats = NDArray[Any]


def embed(table: Floats, ids: NDArray[np.int32]) -> Floats:
    """(V, C), (N,) -> (N, C); zeros for a negative id."""
    rows: Floats = table[np.maximum(ids, 0)]
    rows[ids < 0] = 0
    return rows


def bigram_ids(tokens: NDArray[np.int32], prev_tokens: NDArray[np.int32], rows: int) -> NDArray[np.int64]:
    """(N,): the pair's hash below rows - 1, and rows - 1 itself where there is no token before.

    Source: karpathy/nanochat c88bbf8 gpt.py (27 and 28 January 2026).
    """
    mixed = (36313 * tokens.astype(np.int64)) ^ (27191 * prev_tokens.astype(np.int64))
    return np.where(prev_tokens < 0, rows - 1, mixed % (rows - 1))


def rms_norm(x: Floats, eps: float, scale: float = 1.0) -> Floats:
    """scale * x / sqrt(mean(x^2) + eps)."""
    normed: Floats = x / np.sqrt(np.mean(x * x, -1, keepdims=True) + x.dtype.type(eps))
    return normed if scale == 1.0 else normed * x.dtype.type(scale)


def linear(x: Floats, w: Floats) -> Floats:
    """(N, in), (out, in) -> (N, out)."""
    columns: Floats = np.matmul(w, x[..., None])  # one matrix-vector product per row
    return columns[..., 0]


def gate(x: Floats, w: Floats, gain: Any) -> Floats:
    """(N, rows): gain / (1 + exp(-w x)), over the first channels of x."""
    with np.errstate(over="ignore"):  # exp of a large number is infinite, and the gate then 0
        gates: Floats = gain / (1 + np.exp(-linear(np.ascontiguousarray(x[..., : w.shape[-1]]), w)))
    return gates


def add(x: Floats, y: Floats, a: Any = 1.0, b: Any = 1.0) -> Floats:
    """a x + b y."""
    if np.ndim(b) and np.ndim(b) < y.ndim:
        b = b[..., None]
    if isinstance(a, float):
        a = x.dtype.type(a)
    total: Floats = a * x + b * y
    return total


def relu2(x: Floats) -> Floats:
    """max(x, 0)^2."""
    return np.square(np.maximum(x, 0))


def clip(x: Floats, limit: float) -> Floats:
    """x limited to +-limit."""
    return np.clip(x, -limit, limit)


def softcap(x: Floats, cap: float) -> Floats:
    """cap * tanh(x / cap)."""
    capped: Floats = np.tanh(x / cap) * x.dtype.type(cap)
    return capped


def rope(x: Floats, positions: NDArray[np.int32], cos: Floats, sin: Floats) -> Floats:
    """(N, heads, D) turned by -position * frequency; the halves are the pairs."""
    half = x.shape[-1] // 2
    c, s = cos[positions][:, None], sin[positions][:, None]  # (N, 1, D/2)
    x1, x2 = x[..., :half], x[..., half:]
    return np.concatenate([x1 * c + x2 * s, x2 * c - x1 * s], -1)


def attention(
    q: Floats, k: Floats, v: Floats, batch: Batch, cache: KVCache, layer: int, window: int | None
) -> Floats:
    """(N, H, D): each row over the keys of its own sequence, from position - window (or the first) to its own."""
    cache.append(layer, batch, k, v)
    out = np.empty_like(q)
    for sequence, (start, end) in enumerate(zip(batch.seq_start, batch.seq_start[1:], strict=False)):
        first = 0 if window is None else max(0, int(batch.positions[start]) - window)
        keys, values = cache.read(layer, batch, sequence, first, int(batch.positions[end - 1]) + 1)  # (T, G, D)
        for row in range(start, end):
            now = int(batch.positions[row])
            begin = 0 if window is None else max(0, now - window)
            seen = slice(begin - first, now + 1 - first)
            out[row] = attend(q[row], keys[seen], values[seen])
    return out


def attend(q: Floats, keys: Floats, values: Floats) -> Floats:
    """(H, D), (T, G, D), (T, G, D) -> (H, D): one query of every head, H/G heads to a key head."""
    grouped = q.reshape(keys.shape[1], -1, q.shape[-1])  # (G, H/G, D)
    scores = grouped @ np.ascontiguousarray(keys.transpose(1, 2, 0)) / q.dtype.type(np.sqrt(q.shape[-1]))
    weights = np.exp(scores - scores.max(-1, keepdims=True))  # (G, H/G, T)
    weights /= weights.sum(-1, keepdims=True)
    mixed: Floats = weights @ np.ascontiguousarray(values.transpose(1, 0, 2))
    return mixed.reshape(q.shape)


def take(x: Floats, rows: NDArray[np.int32]) -> Floats:
    """(N, C), (M,) -> (M, C)."""
    return x[rows]


def heads(x: Floats, n: int) -> Floats:
    """(N, n D) -> (N, n, D)."""
    return x.reshape(*x.shape[:-1], n, -1)


def merge(x: Floats) -> Floats:
    """(N, n, D) -> (N, n D)."""
    return x.reshape(*x.shape[:-2], -1)


class KVCache(PageMemory):
    """Page memory in NumPy arrays."""

    def __init__(self, cfg: GPTConfig, pages: tuple[int, ...], dtype: type[np.floating[Any]]) -> None:
        super().__init__(cfg, pages, lambda shape: np.zeros(shape, dtype))

    def read(self, layer: int, batch: Batch, sequence: int, first: int, end: int) -> tuple[Floats, Floats]:
        """Keys and values (end - first, G, D) of a sequence's positions."""
        page, offset = np.divmod(np.arange(first, end), PAGE_TOKENS)
        slots = self.page_table(layer, batch)[sequence, page] * PAGE_TOKENS + offset
        return self.keys[layer][slots], self.values[layer][slots]

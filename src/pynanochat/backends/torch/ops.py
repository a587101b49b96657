"""The operations in torch: eager, differentiable, compilable; float32 or bfloat16, on any device.

S sequences of at most n new rows each; the rest as in `ops`. Sums depend on shapes here: results differ from the
reference, and between one row and many, by float noise.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pynanochat.backends.torch.cache import Cache, TorchBatch


def embed(table: Tensor, ids: Tensor) -> Tensor:
    """(V, C), (N,) -> (N, C); zeros for a negative id."""
    return F.embedding(ids.clamp_min(0), table) * (ids >= 0)[..., None]


def bigram_ids(tokens: Tensor, prev_tokens: Tensor, rows: int) -> Tensor:
    """(N,): the pair's hash, as the reference defines it."""
    mixed = (36313 * tokens.long()) ^ (27191 * prev_tokens.long())
    return torch.where(prev_tokens < 0, rows - 1, mixed % (rows - 1))


def rms_norm(x: Tensor, eps: float, scale: float = 1.0) -> Tensor:
    """scale * x / sqrt(mean(x^2) + eps)."""
    x = F.rms_norm(x, (x.size(-1),), eps=eps)
    return x if scale == 1.0 else x * scale


def linear(x: Tensor, w: Tensor) -> Tensor:
    """(N, in), (out, in) -> (N, out); a float32 weight is cast to the stream's dtype, as upstream trains."""
    return F.linear(x, w.to(x.dtype))


def gate(x: Tensor, w: Tensor, gain: Any) -> Tensor:
    """(N, rows): gain * sigmoid(w x) over the first channels of x."""
    gates: Tensor = gain * torch.sigmoid(linear(x[..., : w.size(-1)], w))
    return gates


def add(x: Tensor, y: Tensor, a: Any = 1.0, b: Any = 1.0) -> Tensor:
    """a x + b y."""
    if isinstance(b, Tensor) and 0 < b.ndim < y.ndim:
        b = b[..., None]
    left: Tensor = x if isinstance(a, float) and a == 1.0 else a * x
    return left + (y if isinstance(b, float) and b == 1.0 else b * y)


def relu2(x: Tensor) -> Tensor:
    """max(x, 0)^2."""
    return F.relu(x).square()


def clip(x: Tensor, limit: float) -> Tensor:
    """x limited to +-limit."""
    return x.clamp(-limit, limit)


def softcap(x: Tensor, cap: float) -> Tensor:
    """cap * tanh(x / cap) in float32."""
    return cap * torch.tanh(x.float() / cap)


def rope(x: Tensor, positions: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """(N, heads, D) turned by -position * frequency."""
    c, s = cos[positions][..., None, :], sin[positions][..., None, :]
    x1, x2 = x.chunk(2, -1)
    return torch.cat([x1 * c + x2 * s, x2 * c - x1 * s], -1)


def attention(
    q: Tensor, k: Tensor, v: Tensor, batch: TorchBatch, cache: Cache | None, layer: int, window: int | None
) -> Tensor:
    """(N, H, D): sequences with one new row together, each longer one by itself.

    Without a cache, as in training, q is (B, T, H, D) and each of the B rows is a whole sequence.
    """
    if cache is None:
        return whole_sequences(q, k, v, window)
    cache.append(layer, batch, k, v)
    out = torch.empty_like(q)
    for piece in batch.pieces:
        keys, values = cache.read(layer, batch, piece.sequences, piece.end)  # (S, T, G, D)
        rows = q[piece.rows]  # (S, n, H, D)
        ago = batch.positions[piece.rows][..., None] - torch.arange(piece.end, device=q.device)  # (S, n, T)
        seen = ago >= 0 if window is None else (ago >= 0) & (ago <= window)
        out[piece.rows] = F.scaled_dot_product_attention(
            rows.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2), attn_mask=seen[:, None],
            enable_gqa=q.size(-2) != k.size(-2)).transpose(1, 2)
    return out


def whole_sequences(q: Tensor, k: Tensor, v: Tensor, window: int | None, dropout: float = 0.0) -> Tensor:
    """(B, T, H, D): each of the B rows is a whole sequence; `dropout` of the attention's weights."""
    length, seen = q.size(1), None
    if window is not None and window < length - 1:
        place = torch.arange(length, device=q.device)
        ago = place[:, None] - place
        seen = (ago >= 0) & (ago <= window)  # (T, T)
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=seen, dropout_p=dropout, is_causal=seen is None,
        enable_gqa=q.size(1) != k.size(1)).transpose(1, 2)


def take(x: Tensor, rows: Tensor) -> Tensor:
    """(N, C), (M,) -> (M, C)."""
    return x[rows]


def heads(x: Tensor, n: int) -> Tensor:
    """(N, n D) -> (N, n, D)."""
    return x.reshape(*x.shape[:-1], n, -1)


def merge(x: Tensor) -> Tensor:
    """(N, n, D) -> (N, n D)."""
    return x.flatten(-2)

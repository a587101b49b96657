"""The operations of `model.py` while it trains: whole rows of tokens at once, tables looked up before, dropout.

B rows of T tokens, C channels, H/G query/key-value heads, D head_dim.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from pynanochat.backends.torch import ops
from pynanochat.train.attention import CausalAttention

THIS, BEFORE = 0, 1  # what `Rows` has for tokens: a row of a looked-up table is found by how far back its token lies


class Rows:
    """The batch that `model.hidden` reads."""

    tokens = THIS
    prev_tokens = BEFORE

    def __init__(self, positions: Tensor) -> None:
        self.positions = positions  # (T,)


class Operations:
    """An `Ops` over (B, T, C); its tables hold the rows of the batch's tokens, (B, T, C), not those of the vocabulary.

    So the lookups, whose gradients are sums over equal tokens, stay outside of what is compiled: torch's own
    embedding adds them in a fixed order, a compiled one with atomics.
    """

    bigram_ids = staticmethod(lambda tokens, prev_tokens, rows: THIS)
    rms_norm = staticmethod(ops.rms_norm)
    linear = staticmethod(ops.linear)
    gate = staticmethod(ops.gate)
    add = staticmethod(ops.add)
    clip = staticmethod(ops.clip)
    softcap = staticmethod(ops.softcap)
    rope = staticmethod(ops.rope)
    take = staticmethod(ops.take)
    heads = staticmethod(ops.heads)
    merge = staticmethod(ops.merge)

    def __init__(self, dropout: float = 0.0, own_attention: bool = False) -> None:
        self._dropout = dropout  # on attention weights and on the hidden units of the MLP
        self._own_attention = own_attention  # where nothing is masked but what comes later

    @staticmethod
    def embed(rows: Tensor, back: int) -> Tensor:
        """(B, T, C): the rows themselves, or those of the tokens before, with zeros before the first."""
        return rows if back == THIS else F.pad(rows[:, :-1], (0, 0, 1, 0))

    def relu2(self, x: Tensor) -> Tensor:
        """max(x, 0)^2."""
        x = ops.relu2(x)
        return F.dropout(x, self._dropout) if self._dropout else x

    def attention(self, q: Tensor, k: Tensor, v: Tensor, batch: Rows, cache: Any, layer: int,
                  window: int | None) -> Tensor:
        """(B, T, H, D): each row is one whole sequence."""
        if self._own_attention and not self._dropout and (window is None or window >= q.size(1) - 1):
            y: Tensor = CausalAttention.apply(q, k, v)  # type: ignore[no-untyped-call]
            return y
        return ops.whole_sequences(q, k, v, window, self._dropout)

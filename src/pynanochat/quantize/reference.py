"""The reference operations with the law of quantised weights: `linear` goes by what its weight is, all else is as ever.

In float32 only. What every kernel for quantised weights is judged by.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from pynanochat.ops import reference
from pynanochat.ops.reference import (
    add,
    attention,
    bigram_ids,
    clip,
    embed,
    gate,
    heads,
    merge,
    relu2,
    rms_norm,
    rope,
    softcap,
    take,
)
from pynanochat.quantize import formats

__all__ = ["add", "attention", "bigram_ids", "clip", "embed", "gate", "heads", "linear", "merge", "relu2", "rms_norm",
           "rope", "softcap", "take"]


def linear(x: NDArray[Any], w: NDArray[Any] | formats.QuantizedTensor) -> NDArray[Any]:
    """(N, in), (out, in) -> (N, out); activations are rounded where the weight is quantised."""
    return formats.linear(x, w) if isinstance(w, formats.QuantizedTensor) else reference.linear(x, w)

"""The quantiser: float matrices into q8 and q4, each group's scale by the smallest squared error."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from pynanochat.config import GPTConfig
from pynanochat.cores import cores
from pynanochat.quantize.formats import Format, QuantizedTensor, code_columns, groups
from pynanochat.weights import LM_HEAD, block_tensor

_MATRICES = ("attn.c_q", "attn.c_k", "attn.c_v", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
_ROWS = 256  # of a piece of work: enough pieces for every thread, few enough that handing them out costs nothing


def matrices(cfg: GPTConfig) -> set[str]:
    """Names of the tensors that are quantised: every block's matrices and lm_head; not tables, gates and scalars."""
    return {LM_HEAD, *(block_tensor(layer, name) for layer in range(cfg.n_layer) for name in _MATRICES)}


def quantize(weights: NDArray[np.float32], format: Format) -> QuantizedTensor:  # noqa: A002
    """The quantised (V, K) finite float32 numbers; the same on every machine and for every number of threads.

    q8 tries the bfloat16 scales around peak / 127, q4 those that put its end level, of either sign, at 0.75 to 1.2 of
    the peak. The smallest squared error wins, the first of equals. Codes are the nearest levels: of two as near the
    even one in q8, the lower one in q4. A group of zeros has scale 0.
    """
    from pynanochat.quantize import kernels

    source = np.ascontiguousarray(weights, np.float32)
    rows, columns = source.shape
    kernel, kind = (kernels.q8, np.int8) if format == "q8" else (kernels.q4, np.uint8)
    codes = np.empty((rows, code_columns(columns, format)), kind)
    scales = np.empty((rows, groups(columns)), np.uint16)

    def fill(first: int) -> None:
        part = slice(first, first + _ROWS)
        kernel(source[part], codes[part], scales[part])

    with ThreadPoolExecutor(cores()) as pool:  # the kernels let go of the interpreter's lock
        list(pool.map(fill, range(0, rows, _ROWS)))
    return QuantizedTensor(codes, scales, format, (rows, columns))

"""The reference backend: the NumPy operations, step by step. Slow, exact, and always there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynanochat import model
from pynanochat.batch import Batch
from pynanochat.config import GPTConfig
from pynanochat.ops import reference as ops
from pynanochat.quantize.formats import AnyTensor
from pynanochat.rope import rope_tables
from pynanochat.runner import Facts, HostLogits
from pynanochat.weights import build

DTYPES: dict[str, type[np.floating[Any]]] = {"float32": np.float32, "float64": np.float64}


class ReferenceRunner:
    """A network over NumPy arrays of float32 or float64."""

    def __init__(
        self,
        cfg: GPTConfig,
        tensor: Callable[[str], AnyTensor],
        *,
        context: int,
        pages: tuple[int, ...],
        dtype: str = "float32",
        reason: str = "",
    ) -> None:
        self._cfg, numbers, sizes = cfg, DTYPES[dtype], []

        def load(name: str) -> NDArray[Any]:
            array = tensor(name).numpy(numbers)
            sizes.append(array.nbytes)
            return array

        cos, sin = rope_tables(cfg, context)
        self._weights = build(cfg, load, cos.astype(numbers), sin.astype(numbers))
        self._cache = ops.KVCache(cfg, pages, numbers)
        self.facts = Facts("reference", "cpu", dtype, pages, self._cache.nbytes, sum(sizes), reason)

    def forward(self, batch: Batch) -> HostLogits:
        """Run one step."""
        return HostLogits(model.forward(ops, self._cfg, self._weights, batch, self._cache))

    def copy_page(self, group: int, source: int, target: int) -> None:
        """Copy a page in every layer of a group."""
        self._cache.copy_page(group, source, target)

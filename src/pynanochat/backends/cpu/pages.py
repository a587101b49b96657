"""Pages: the keys and values of every layer as the attention kernels read them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynanochat.batch import PAGE_TOKENS
from pynanochat.config import GPTConfig

DTYPES: dict[str, Any] = {"float32": np.float32, "bfloat16": np.uint16}


class Pages:
    """Per layer keys (pages, G, D, 16 tokens) and values (pages, G, 16 tokens, D in whole vectors)."""

    def __init__(self, cfg: GPTConfig, pages: tuple[int, ...], kind: str) -> None:
        groups = cfg.layer_groups()
        self._layers = [layers for _, layers in groups]
        self.group = {layer: group for group, layers in enumerate(self._layers) for layer in layers}
        self.value_stride = -(-cfg.head_dim // 16) * 16
        self.kind = kind
        counts = [pages[self.group[layer]] for layer in range(cfg.n_layer)]
        heads, size, dtype = cfg.n_kv_head, cfg.head_dim, DTYPES[kind]
        # NumPy's zeros take no memory until they are written to.
        self.keys: list[NDArray[Any]] = [np.zeros((n, heads, size, PAGE_TOKENS), dtype) for n in counts]
        self.values: list[NDArray[Any]] = [np.zeros((n, heads, PAGE_TOKENS, self.value_stride), dtype)
                                           for n in counts]

    def copy_page(self, group: int, source: int, target: int) -> None:
        """Copy a page of every layer of the group."""
        for layer in self._layers[group]:
            for memory in (self.keys[layer], self.values[layer]):
                memory[target] = memory[source]

    @property
    def nbytes(self) -> int:
        """Bytes of page memory when all of it is used."""
        return sum(memory.nbytes for memory in (*self.keys, *self.values))

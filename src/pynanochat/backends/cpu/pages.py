"""Pages: the keys and values of every layer as the attention kernels read them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynanochat.batch import PAGE_TOKENS
from pynanochat.config import GPTConfig
from pynanochat.tensor import round_bfloat16, widen_bfloat16

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

    def read(self, layer: int, table: NDArray[np.int32], first: int, end: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Keys and values (T, G, D) in float32 of positions `first` up to `end` of a sequence with these pages."""
        page, offset = np.divmod(np.arange(first, end), PAGE_TOKENS)
        keys = self.keys[layer][table[page], :, :, offset]
        values = self.values[layer][table[page], :, offset, : keys.shape[-1]]
        return self._widened(keys), self._widened(values)

    def rounded(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """What pages keep of these numbers."""
        return widen_bfloat16(round_bfloat16(values)) if self.kind == "bfloat16" else values

    def _widened(self, kept: NDArray[Any]) -> NDArray[Any]:
        return widen_bfloat16(kept) if self.kind == "bfloat16" else kept

    @property
    def nbytes(self) -> int:
        """Bytes of page memory when all of it is used."""
        return sum(memory.nbytes for memory in (*self.keys, *self.values))

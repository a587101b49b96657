"""PageMemory: the keys and values of every layer in pages, for any kind of array that can be indexed by slots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pynanochat.batch import PAGE_TOKENS
from pynanochat.config import GPTConfig


class PageMemory:
    """Per layer two arrays (pages * PAGE_TOKENS, G, D); a slot is a token's place in them."""

    def __init__(
        self, cfg: GPTConfig, pages: tuple[int, ...], zeros: Callable[[tuple[int, int, int]], Any]
    ) -> None:
        groups = cfg.layer_groups()
        self._layers = [layers for _, layers in groups]
        self._group = {layer: group for group, layers in enumerate(self._layers) for layer in layers}
        shapes = [(pages[self._group[layer]] * PAGE_TOKENS, cfg.n_kv_head, cfg.head_dim)
                  for layer in range(cfg.n_layer)]
        self.keys = [zeros(shape) for shape in shapes]
        self.values = [zeros(shape) for shape in shapes]

    def append(self, layer: int, batch: Any, k: Any, v: Any) -> None:
        """Keep k and v (N, G, D) where the batch's page tables say."""
        slots = batch.slots[self._group[layer]]
        self.keys[layer][slots], self.values[layer][slots] = k, v

    def page_table(self, layer: int, batch: Any) -> Any:
        """(S, pages) the pages of each sequence in this layer."""
        return batch.page_tables[self._group[layer]]

    def copy_page(self, group: int, source: int, target: int) -> None:
        """Copy a page of every layer of the group."""
        old, new = (slice(page * PAGE_TOKENS, (page + 1) * PAGE_TOKENS) for page in (source, target))
        for layer in self._layers[group]:
            for memory in (self.keys[layer], self.values[layer]):
                memory[new] = memory[old]

    @property
    def nbytes(self) -> int:
        """Bytes of page memory."""
        return sum(memory.nbytes for memory in (*self.keys, *self.values))

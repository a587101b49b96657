"""A step's batch and the page memory as torch tensors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pynanochat.batch import PAGE_TOKENS, Batch, Ints
from pynanochat.config import GPTConfig
from pynanochat.page_memory import PageMemory


class Piece(NamedTuple):
    """Sequences of a step that attend together: all have the same number of new rows."""

    sequences: Tensor  # (S,)
    rows: Tensor  # (S, n) their rows in the batch
    end: int  # the longest of them, new rows included, in tokens


class TorchBatch:
    """A `Batch` on a device."""

    def __init__(self, batch: Batch, device: torch.device) -> None:
        def to(array: Ints) -> Tensor:
            return torch.from_numpy(array).to(device, torch.int64, non_blocking=True)

        self.tokens = to(batch.tokens)
        self.prev_tokens = to(batch.prev_tokens)
        self.positions = to(batch.positions)
        self.sample_rows = to(batch.sample_rows)
        self.slots = [to(slots) for slots in batch.slots]
        self.page_tables = [to(np.maximum(table, 0)) for table in batch.page_tables]
        self.pieces = [
            Piece(to(sequences), to(np.add.outer(batch.seq_start[sequences], np.arange(rows, dtype=np.int32))), end)
            for sequences, rows, end in _pieces(batch)]


def _pieces(batch: Batch) -> list[tuple[Ints, int, int]]:
    """(sequences, rows of each, longest end): all that decode one token together, each other one alone."""
    rows = np.diff(batch.seq_start)
    ends = batch.positions[batch.seq_start[1:] - 1] + 1
    alone = [np.array([sequence], np.int32) for sequence in np.flatnonzero(rows > 1)]
    together = np.flatnonzero(rows == 1).astype(np.int32)
    return [(sequences, int(rows[sequences[0]]), int(ends[sequences].max()))
            for sequences in (*([together] if len(together) else []), *alone)]


class Cache(PageMemory):
    """Page memory in torch tensors on a device."""

    def __init__(self, cfg: GPTConfig, pages: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(cfg, pages, lambda shape: torch.zeros(shape, dtype=dtype, device=device))

    def read(self, layer: int, batch: TorchBatch, sequences: Tensor, end: int) -> tuple[Tensor, Tensor]:
        """Keys and values (S, end, G, D); positions that were let go or not yet written hold anything finite."""
        positions = torch.arange(end, device=sequences.device)
        table = self.page_table(layer, batch)[sequences]  # (S, pages)
        slots = table[:, positions // PAGE_TOKENS] * PAGE_TOKENS + positions % PAGE_TOKENS
        return self.keys[layer][slots], self.values[layer][slots]

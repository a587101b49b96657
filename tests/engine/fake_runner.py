"""A runner without numbers: its page memory holds token ids, and a row's logits follow from what its pages show."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from pynanochat.batch import PAGE_TOKENS, Batch
from pynanochat.config import GPTConfig
from pynanochat.runner import Facts, HostLogits

CONFIG = GPTConfig(sequence_len=96, vocab_size=64, n_layer=2, n_head=2, n_kv_head=1, n_embd=32,
                   window_pattern="SL", short_window=20)


def next_logits(cfg: GPTConfig, tokens: Sequence[int]) -> np.ndarray:
    """(V,) what follows `tokens`: a hash of the tokens that each layer group may see."""
    seen = [tuple(tokens[0 if window is None else max(0, len(tokens) - 1 - window):])
            for window, _ in cfg.layer_groups()]
    digest = hashlib.blake2b(repr(seen).encode(), digest_size=8).digest()
    return np.random.default_rng(int.from_bytes(digest, "little")).standard_normal(cfg.vocab_size).astype(np.float32)


class FakeRunner:
    def __init__(self, cfg: GPTConfig, pages: tuple[int, ...]) -> None:
        self.cfg = cfg
        self.facts = Facts("fake", "nowhere", "int64", pages, 0, 0)
        self.memory = [np.full(count * PAGE_TOKENS, -1, np.int64) for count in pages]
        self.steps = 0
        self.rows = 0
        self.fail_at: int | None = None

    def forward(self, batch: Batch) -> HostLogits:
        self.steps += 1
        self.rows += len(batch.tokens)
        if self.steps == self.fail_at:
            raise MemoryError("the device is full")
        assert len(batch.tokens) > 0
        for memory, slots in zip(self.memory, batch.slots, strict=True):
            assert len(set(slots.tolist())) == len(slots), "two rows write to the same place"
            assert slots.min() >= 0, "a row writes to a page that was let go"
            memory[slots] = batch.tokens
        rows = [self._logits(batch, int(row)) for row in batch.sample_rows]
        return HostLogits(np.array(rows, np.float32).reshape(len(rows), self.cfg.vocab_size))

    def _logits(self, batch: Batch, row: int) -> np.ndarray:
        sequence, now = int(batch.row_sequences[row]), int(batch.positions[row])
        seen = []
        for (window, _), memory, table in zip(self.cfg.layer_groups(), self.memory, batch.page_tables, strict=True):
            positions = np.arange(0 if window is None else max(0, now - window), now + 1)
            pages = table[sequence, positions // PAGE_TOKENS]
            assert pages.min() >= 0, "a page inside the window was let go"
            seen.append(tuple(memory[pages * PAGE_TOKENS + positions % PAGE_TOKENS].tolist()))
        digest = hashlib.blake2b(repr(seen).encode(), digest_size=8).digest()
        generator = np.random.default_rng(int.from_bytes(digest, "little"))
        return generator.standard_normal(self.cfg.vocab_size).astype(np.float32)

    def copy_page(self, group: int, source: int, target: int) -> None:
        memory = self.memory[group].reshape(-1, PAGE_TOKENS)
        memory[target] = memory[source]

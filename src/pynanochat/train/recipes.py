"""Recipes: runs that are known to work, each a function that gives the numbers of one. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pynanochat.config import GPTConfig
from pynanochat.train.config import TrainConfig
from pynanochat.train.depth import depth_config

__all__ = ["bundled", "bundled_sft", "depth", "of_model", "sft", "tiny"]

_LEAST_STEPS = 50  # of an epoch
_MOST_BATCH = 1 << 27  # tokens; what a meta file says above that is no batch
_RATES = ("embedding_lr", "unembedding_lr", "matrix_lr", "scalar_lr")


def depth(
    layers: int, *, vocab_size: int = 32768, sequence_len: int = 2048, ratio: float = 12.0, head_dim: int = 128,
    aspect_ratio: int = 64, window_pattern: str = "SSSL", **changes: Any
) -> TrainConfig:
    """Upstream's one dial: width, heads, horizon, batch, rates and weight decay all follow from the depth.

    `ratio` is the horizon in tokens per matrix and head parameter, `aspect_ratio` the width per layer.
    """
    config = depth_config(layers, vocab_size=vocab_size, sequence_len=sequence_len, ratio=ratio, head_dim=head_dim,
                          aspect_ratio=aspect_ratio)
    return replace(config, network=replace(config.network, window_pattern=window_pattern), **changes)


def tiny(*, vocab_size: int = 1024, **changes: Any) -> TrainConfig:
    """A network of about a million parameters that learns a megabyte of text on a laptop."""
    network = GPTConfig(sequence_len=256, vocab_size=vocab_size, n_layer=4, n_head=4, n_kv_head=2, n_embd=128,
                        window_pattern="L")
    return replace(TrainConfig(
        network=network, steps=600, batch_tokens=8192, rows=32, matrix_lr=0.02, embedding_lr=0.2,
        unembedding_lr=0.004, scalar_lr=0.2, weight_decay=0.1, warmup_steps=20, eval_every=100, eval_tokens=65_536,
        save_every=200), **changes)


def bundled(*, vocab_size: int = 4096, **changes: Any) -> TrainConfig:
    """The model that comes with the package, 8 million parameters, before it is fine-tuned: hours on two cores."""
    network = GPTConfig(sequence_len=512, vocab_size=vocab_size, n_layer=6, n_head=4, n_kv_head=2, n_embd=256,
                        window_pattern="L")
    return replace(TrainConfig(
        network=network, steps=7000, batch_tokens=16_384, rows=16, matrix_lr=0.02, embedding_lr=0.3,
        unembedding_lr=0.006, scalar_lr=0.3, weight_decay=0.1, warmup_steps=50, warmdown_ratio=0.65, eval_every=250,
        eval_tokens=131_072, save_every=125, sample_prompts=("Once upon a time",)), **changes)


def sft(start: TrainConfig, *, steps: int, **changes: Any) -> TrainConfig:
    """Fine-tuning after the run `start`: its network and batch, upstream's schedule and no weight decay.

    Source: karpathy/nanochat scripts/chat_sft.py, July 2026.
    """
    return replace(start, **({
        "steps": steps, "weight_decay": 0.0, "warmup_steps": 0, "warmdown_ratio": 0.5, "final_lr_frac": 0.0,
        "start_lr_frac": 0.8} | changes))


def of_model(
    network: GPTConfig, meta: Mapping[str, Any], *, tokens: int, batch_tokens: int | None = None, row_tokens: int = 0
) -> TrainConfig:
    """What `sft` starts from where a model comes without the run that made it: an epoch of so many `tokens`.

    Rates and batch are those that upstream's meta file tells, as upstream's own fine-tuning takes them, else the depth
    dial's. The batch is made smaller, to a power of two of rows, until an epoch has 50 steps; rates go with its square
    root. Raises `TrainingError` for a given batch or row that cannot be.
    Source: karpathy/nanochat scripts/chat_sft.py, 00255c1; the root scripts/base_train.py, batch_lr_scale.
    """
    dial = depth_config(network.n_layer, vocab_size=network.vocab_size)
    told = meta.get("user_config")
    told = told if isinstance(told, dict) else {}
    full = next((size for size in (meta.get("total_batch_size"), told.get("total_batch_size"))
                 if type(size) is int and 0 < size <= _MOST_BATCH), dial.batch_tokens)
    if batch_tokens is None:
        width = row_tokens or network.sequence_len
        batch_tokens = width << max(0, (min(full, tokens // _LEAST_STEPS) // width).bit_length() - 1)
    config = TrainConfig(network=network, steps=1, batch_tokens=batch_tokens, row_tokens=row_tokens)
    scale = math.sqrt(batch_tokens / full)
    rates = {name: scale * (told[name] if _is_rate(told.get(name)) else getattr(dial, name)) for name in _RATES}
    return replace(config, steps=max(1, -(-tokens // batch_tokens)), **rates)


def _is_rate(value: object) -> bool:
    return type(value) in (int, float) and 0 < value < 1e3  # type: ignore[operator]


def bundled_sft(*, vocab_size: int = 4096, steps: int = 1500, **changes: Any) -> TrainConfig:
    """The bundled model's second stage: conversations alone, where only answers count."""
    own: dict[str, Any] = {
        "start_lr_frac": 0.3, "warmdown_ratio": 1.0,
        "sample_prompts": ("Tell me a story about an owl named Uma who lost a key.", "What is 1234 times 56?")}
    return sft(bundled(vocab_size=vocab_size), steps=steps, **(own | changes))

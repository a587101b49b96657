"""Recipes: runs that are known to work, each a function that gives the numbers of one. Needs no torch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pynanochat.config import GPTConfig
from pynanochat.train.config import TrainConfig
from pynanochat.train.depth import depth_config

__all__ = ["bundled", "bundled_sft", "depth", "sft", "tiny"]


def depth(layers: int, *, vocab_size: int = 32768, **changes: Any) -> TrainConfig:
    """Upstream's one dial: width, heads, horizon, batch, rates and weight decay all follow from the depth."""
    return replace(depth_config(layers, vocab_size=vocab_size), **changes)


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


def bundled_sft(*, vocab_size: int = 4096, steps: int = 900, **changes: Any) -> TrainConfig:
    """The bundled model's second stage: conversations alone, where only answers count."""
    own: dict[str, Any] = {
        "start_lr_frac": 0.3,
        "sample_prompts": ("Tell me a story about an owl named Uma who lost a key.", "What is 1234 times 56?")}
    return sft(bundled(vocab_size=vocab_size), steps=steps, **(own | changes))

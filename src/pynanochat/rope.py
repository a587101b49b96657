"""Rotary tables: the cosines and sines of every position, as upstream rounds them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pynanochat.config import GPTConfig
from pynanochat.errors import ConfigError
from pynanochat.tensor import round_bfloat16, widen_bfloat16


def rope_tables(cfg: GPTConfig, length: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """cos and sin, each (length, D/2), of angle position * rope_base^(-2j/D).

    Frequencies and angles are rounded to float32 as upstream's are: at position 5,000 that moves an angle by 3e-4.
    Raises `ConfigError` beyond `max_context`. Source: Su et al. 2021; karpathy/nanochat gpt.py
    _precompute_rotary_embeddings (tables in bfloat16 until 1076f97, 2026-03-04).
    """
    if length > cfg.max_context:
        raise ConfigError(f"a context of {length} tokens is beyond the rotary tables of this network; "
                          f"expected at most {cfg.max_context}")
    half = cfg.head_dim // 2
    exponents = np.arange(0, cfg.head_dim, 2, dtype=np.float32) / np.float32(cfg.head_dim)
    powers = np.power(float(cfg.rope_base), exponents.astype(np.float64)).astype(np.float32)
    frequencies = np.float32(1.0) / powers
    angles = np.arange(length, dtype=np.float32)[:, None] * frequencies  # (length, D/2)
    assert angles.shape == (length, half)
    cos, sin = (f(angles.astype(np.float64)).astype(np.float32) for f in (np.cos, np.sin))
    if cfg.rope_table_dtype == "bfloat16":
        return widen_bfloat16(round_bfloat16(cos)), widen_bfloat16(round_bfloat16(sin))
    return cos, sin

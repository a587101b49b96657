"""The depth dial: one number that sets width, heads, batch, rates, decay and length of a compute-optimal run."""

from __future__ import annotations

import math

from pynanochat.config import GPTConfig
from pynanochat.errors import TrainingError
from pynanochat.train.config import TrainConfig
from pynanochat.weights import LM_HEAD, tensor_shapes

_TUNED_DEPTH = 12  # where batch and rates were tuned
_TUNED_BATCH = 1 << 19  # tokens
_BATCH_POWER = 0.383  # the best batch grows with this power of the tokens of a run


def depth_config(
    depth: int, *, vocab_size: int = 32768, sequence_len: int = 2048, ratio: float = 12.0, head_dim: int = 128,
    aspect_ratio: int = 64,
) -> TrainConfig:
    """The run that upstream's base_train makes of a depth; `ratio` is its tokens per parameter that scales.

    The batch goes with tokens^0.383, to the nearest power of two; rates with sqrt(batch); weight decay with
    sqrt(batch) / tokens, each relative to depth 12. Raises `TrainingError` for sizes that are none.
    Source: karpathy/nanochat scripts/base_train.py, 92d63d4; batch Bergsma et al. 2025 (arXiv:2505.13738), weight decay
    Wang and Aitchison 2024 (arXiv:2405.13698).
    """
    sizes = {"depth": depth, "vocab_size": vocab_size, "sequence_len": sequence_len, "head_dim": head_dim,
             "aspect_ratio": aspect_ratio}
    for name, value in sizes.items():
        if type(value) is not int or value < 1:
            raise TrainingError(f"{name} is {value!r}; expected a whole number, 1 or more")
    if type(ratio) not in (int, float) or not 0 < ratio < 1e6:
        raise TrainingError(f"ratio is {ratio!r}; expected a number of tokens per parameter, above 0")

    def network(layers: int) -> GPTConfig:
        heads = -(-layers * aspect_ratio // head_dim)
        return GPTConfig(sequence_len=sequence_len, vocab_size=vocab_size, n_layer=layers, n_head=heads,
                         n_kv_head=heads, n_embd=heads * head_dim)

    cfg = network(depth)
    tokens = int(ratio * scaling_parameters(cfg))
    tuned_tokens = ratio * scaling_parameters(network(_TUNED_DEPTH))
    batch = 1 << round(math.log2(_TUNED_BATCH * (tokens / tuned_tokens) ** _BATCH_POWER))
    scale = math.sqrt(batch / _TUNED_BATCH)
    tuned = TrainConfig(network=cfg, steps=1, batch_tokens=batch)
    return TrainConfig(
        network=cfg,
        steps=max(1, tokens // batch),
        batch_tokens=batch,
        embedding_lr=tuned.embedding_lr * scale,
        unembedding_lr=tuned.unembedding_lr * scale,
        matrix_lr=tuned.matrix_lr * scale,
        scalar_lr=tuned.scalar_lr * scale,
        weight_decay=tuned.weight_decay * scale * (tuned_tokens / tokens),
    )


def scaling_parameters(cfg: GPTConfig) -> int:
    """Numbers in the blocks (gates of value embeddings included) and in the head, its rows of padding included."""
    return sum(math.prod(shape) for name, shape in tensor_shapes(cfg).items()
               if name == LM_HEAD or name.startswith("transformer.h."))

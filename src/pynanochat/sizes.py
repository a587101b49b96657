"""Sizes by arithmetic: parameters, bytes and floating-point operations of a network, from its config alone.

Shape letters: C n_embd, H n_head, G n_kv_head, D head_dim, L layers. `context` is the number of tokens that a token
attends to, itself included; a layer with a window sees min(context, window + 1) of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pynanochat.config import GPTConfig
from pynanochat.errors import ConfigError
from pynanochat.quantize.formats import FORMATS, Format, cache_dtype, format_of, quantized_bytes
from pynanochat.quantize.quantizer import matrices
from pynanochat.weights import BIGRAM_EMBED, LM_HEAD, SMEAR_GATE, WTE, tensor_shapes

_DTYPE_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
_MATMUL_GROUPS = ("attention", "mlp", "gates", "lm_head")


def parameters(cfg: GPTConfig) -> dict[str, int]:
    """Numbers stored in each group of tensors, and their "total"; groups that the network lacks are 0.

    wte, value_embeds and bigram are tables, of which a token reads one row; attention, mlp, gates and lm_head are
    matrices; lambdas are the scalars.
    """
    groups = dict.fromkeys(("wte", "value_embeds", "bigram", "attention", "mlp", "gates", "lambdas", "lm_head"), 0)
    for name, shape in tensor_shapes(cfg).items():
        groups[_group(name)] += math.prod(shape)
    return groups | {"total": sum(groups.values())}


def matmul_parameters(cfg: GPTConfig) -> int:
    """Weights that every token is multiplied with: all but tables and scalars."""
    groups = parameters(cfg)
    return sum(groups[group] for group in _MATMUL_GROUPS)


def kv_bytes_per_token(cfg: GPTConfig, bytes_per_value: float = 4) -> int:
    """Bytes of keys and values that one token adds to the cache: 2 L G D values."""
    return round(cfg.n_layer * _kv_values(cfg) * bytes_per_value)


def kv_bytes(cfg: GPTConfig, context: int, bytes_per_value: float = 4) -> int:
    """Bytes of keys and values needed at `context` tokens: 2 G D values per layer and token that it still sees."""
    return round(_visible(cfg, context) * _kv_values(cfg) * bytes_per_value)


def weight_bytes(cfg: GPTConfig, bytes_per_weight: float = 4, quantize: Format | None = None) -> int:
    """Bytes of all tensors; with `quantize` the matrices count in that format, the others by `bytes_per_weight`."""
    numbers, size = _quantized(cfg, quantize)
    return round((parameters(cfg)["total"] - numbers) * bytes_per_weight) + size


def bytes_per_token(
    cfg: GPTConfig, bytes_per_weight: float = 4, context: int = 0, bytes_per_value: float | None = None,
    quantize: Format | None = None,
) -> int:
    """Bytes read to decode one token alone, the least that memory bandwidth has to carry.

    All matrices and scalars, one row of each table, and the keys and values of `context` tokens (`bytes_per_value`
    each, as the weights if None). With `quantize` the matrices count in that format, scales included.
    """
    groups = parameters(cfg)
    value_rows = sum(cfg.has_value_embed(layer) for layer in range(cfg.n_layer)) * cfg.n_kv_head * cfg.head_dim
    table_rows = cfg.n_embd * (1 + cfg.bigram) + value_rows
    weights = matmul_parameters(cfg) + groups["lambdas"] + table_rows
    per_value = bytes_per_weight if bytes_per_value is None else bytes_per_value
    numbers, size = _quantized(cfg, quantize)
    return round((weights - numbers) * bytes_per_weight) + size + kv_bytes(cfg, context, per_value)


def flops_per_token(cfg: GPTConfig, context: int) -> int:
    """Floating-point operations of the forward pass of one token, norms and activations left out.

    2 per matrix weight, and 4 H D per layer and token that it sees: queries with keys, weights with values.
    """
    return 2 * matmul_parameters(cfg) + 4 * cfg.n_head * cfg.head_dim * _visible(cfg, context)


def training_flops_per_token(cfg: GPTConfig, context: int | None = None) -> int:
    """Operations of forward and backward, three times the forward's, at `context` (None: sequence_len) tokens.

    The same as nanochat's 6 N + 12 H D T per layer, which counts window, not window + 1 tokens for a short window, and
    does not count the smear gate in N.
    Source: karpathy/nanochat nanochat/gpt.py, GPT.estimate_flops, after Chowdhery et al. 2022 (arXiv:2204.02311), B.
    """
    return 3 * flops_per_token(cfg, cfg.sequence_len if context is None else context)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """All of these numbers for one network, one dtype and one context, to print."""

    dtype: str
    context: int
    parameters: dict[str, int]
    matmul_parameters: int
    weight_bytes: int
    kv_bytes_per_token: int
    kv_bytes: int
    bytes_per_token: int
    flops_per_token: int
    training_flops_per_token: int

    @classmethod
    def of(cls, cfg: GPTConfig, dtype: str = "float32", context: int | None = None, *, rest: str = "float32") -> Sizes:
        """The sizes with weights and cache in `dtype`, at `context` tokens (None: sequence_len).

        In q8 and q4 the tensors that are not quantised are in `rest`, and the cache is as the cpu backend keeps it.
        """
        format = format_of(dtype)  # noqa: A001
        width = _DTYPE_BYTES.get(dtype if format is None else rest)
        if width is None:
            raise ConfigError(f"dtype is {dtype!r}; expected one of {', '.join((*_DTYPE_BYTES, *FORMATS))}")
        value_width = width if format is None else _DTYPE_BYTES[cache_dtype(format)]
        tokens = cfg.sequence_len if context is None else context
        groups = parameters(cfg)
        return cls(
            dtype=dtype,
            context=tokens,
            parameters=groups,
            matmul_parameters=matmul_parameters(cfg),
            weight_bytes=weight_bytes(cfg, width, format),
            kv_bytes_per_token=kv_bytes_per_token(cfg, value_width),
            kv_bytes=kv_bytes(cfg, tokens, value_width),
            bytes_per_token=bytes_per_token(cfg, width, tokens, value_width, format),
            flops_per_token=flops_per_token(cfg, tokens),
            training_flops_per_token=training_flops_per_token(cfg, tokens),
        )


def _group(name: str) -> str:
    if name in (WTE, LM_HEAD, BIGRAM_EMBED):
        return {WTE: "wte", LM_HEAD: "lm_head", BIGRAM_EMBED: "bigram"}[name]
    if name.startswith("value_embeds."):
        return "value_embeds"
    if name == SMEAR_GATE or name.endswith(".ve_gate.weight"):
        return "gates"
    if ".attn." in name:
        return "attention"
    return "mlp" if ".mlp." in name else "lambdas"


def _quantized(cfg: GPTConfig, format: Format | None) -> tuple[int, int]:  # noqa: A002
    """Numbers in the tensors that are quantised, and their bytes."""
    shapes = [] if format is None else [tensor_shapes(cfg)[name] for name in matrices(cfg)]
    return sum(map(math.prod, shapes)), sum(quantized_bytes(shape, format) for shape in shapes if format)


def _kv_values(cfg: GPTConfig) -> int:
    """Values that a layer caches for a token: a key and a value, G D each."""
    return 2 * cfg.n_kv_head * cfg.head_dim


def _visible(cfg: GPTConfig, context: int) -> int:
    """Tokens that the last one sees, summed over the layers."""
    if context < 0:
        raise ConfigError(f"context is {context}; expected a number of tokens")
    windows = (cfg.window(layer) for layer in range(cfg.n_layer))
    return sum(context if window is None else min(context, window + 1) for window in windows)

"""The tensors of a network: their names and shapes for a config, and the tree that `model.py` reads.

Names and [out, in] shapes are upstream's state dict, the contract of every checkpoint format. T is any array type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pynanochat.config import GPTConfig
from pynanochat.errors import UnsupportedError

T = TypeVar("T")
Shape = tuple[int, ...]

WTE = "transformer.wte.weight"
LM_HEAD = "lm_head.weight"
RESID_LAMBDAS = "resid_lambdas"
X0_LAMBDAS = "x0_lambdas"
SMEAR_GATE = "smear_gate.weight"
SMEAR_LAMBDA = "smear_lambda"
BACKOUT_LAMBDA = "backout_lambda"
BIGRAM_EMBED = "bigram_embed.embed.weight"
BIGRAM_LAMBDAS = "bigram_lambdas"


def block_tensor(layer: int, name: str) -> str:
    """The full name of a tensor of a block, such as attn.c_q of layer 3."""
    return f"transformer.h.{layer}.{name}.weight"


def value_embed(layer: int) -> str:
    """The full name of a layer's table of value embeddings."""
    return f"value_embeds.{layer}.weight"


def tensor_shapes(cfg: GPTConfig) -> dict[str, Shape]:
    """Name and shape of every tensor that a network of `cfg` has, in the order of upstream's state dict.

    Source: karpathy/nanochat nanochat/gpt.py, 3a5e0bc (2025-10-13) to 92d63d4 (2026-07-03).
    """
    c, rows, kv = cfg.n_embd, cfg.padded_vocab_size, cfg.n_kv_head * cfg.head_dim
    shapes: dict[str, Shape] = {}
    if cfg.lambdas:
        shapes |= {RESID_LAMBDAS: (cfg.n_layer,), X0_LAMBDAS: (cfg.n_layer,)}
    if cfg.bigram:
        shapes[BIGRAM_LAMBDAS] = (cfg.n_layer,)
    if cfg.smear:
        shapes[SMEAR_LAMBDA] = (1,)
    if cfg.backout:
        shapes[BACKOUT_LAMBDA] = (1,)
    shapes[WTE] = (rows, c)
    for i in range(cfg.n_layer):
        shapes[block_tensor(i, "attn.c_q")] = (c, c)
        shapes[block_tensor(i, "attn.c_k")] = (kv, c)
        shapes[block_tensor(i, "attn.c_v")] = (kv, c)
        shapes[block_tensor(i, "attn.c_proj")] = (c, c)
        if cfg.has_value_embed(i):
            shapes[block_tensor(i, "attn.ve_gate")] = (cfg.n_kv_head, cfg.value_gate_width)
        shapes[block_tensor(i, "mlp.c_fc")] = (cfg.n_inner, c)
        shapes[block_tensor(i, "mlp.c_proj")] = (c, cfg.n_inner)
    shapes[LM_HEAD] = (rows, c)
    if cfg.smear:
        shapes[SMEAR_GATE] = (1, cfg.smear_gate_width)
    if cfg.bigram:
        shapes[BIGRAM_EMBED] = (cfg.bigram_rows, c)
    for i in range(cfg.n_layer):
        if cfg.has_value_embed(i):
            shapes[value_embed(i)] = (rows, kv)
    return shapes


def check_tensors(cfg: GPTConfig, found: Mapping[str, Shape], where: str) -> None:
    """Raise `UnsupportedError` naming the first tensor that is missing, unknown or of another shape than `cfg` says."""
    expected = tensor_shapes(cfg)
    for name, shape in expected.items():
        if name not in found:
            raise UnsupportedError(f"{where}: tensor {name} {_text(shape)} is missing; "
                                   "the file is incomplete, or its config belongs to another model")
        if tuple(found[name]) != shape:
            raise UnsupportedError(f"{where}: tensor {name} is {_text(found[name])}, the config says {_text(shape)}; "
                                   "give the config that belongs to these weights")
    refuse_unknown(found, expected, where)


def refuse_unknown(found: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raise `UnsupportedError` naming the first tensor that no known network has: dropping it changes the model."""
    unknown = sorted(set(found) - set(known))
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise UnsupportedError(f"{where}: tensor {unknown[0]!r}{more} belongs to no known nanochat network; "
                               "it would have to be dropped, which changes the model, so it is refused")


def _text(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "a single number"


@dataclass(frozen=True)
class Block(Generic[T]):
    """The tensors of one layer; the last two are None where the layer has no value embeddings."""

    c_q: T
    c_k: T
    c_v: T
    c_proj: T
    c_fc: T
    mlp_proj: T
    ve_gate: T
    value_embed: T


@dataclass(frozen=True)
class Weights(Generic[T]):
    """All tensors of a network and its rotary tables, as a backend's arrays; None for what the config has off."""

    wte: T
    lm_head: T
    h: tuple[Block[T], ...]
    resid_lambdas: T
    x0_lambdas: T
    smear_gate: T
    smear_lambda: T
    backout_lambda: T
    bigram_embed: T
    bigram_lambdas: T
    cos: T  # (context, D/2)
    sin: T


def _first_rows(table: Any, rows: int) -> Any:
    return table[:rows]


def build(cfg: GPTConfig, tensor: Callable[[str], T], cos: T, sin: T) -> Weights[T]:
    """The tree of a network whose tensors `tensor(name)` gives."""

    def where(on: bool, name: str) -> Any:
        return tensor(name) if on else None

    def block(i: int) -> Block[T]:
        return Block(
            c_q=tensor(block_tensor(i, "attn.c_q")),
            c_k=tensor(block_tensor(i, "attn.c_k")),
            c_v=tensor(block_tensor(i, "attn.c_v")),
            c_proj=tensor(block_tensor(i, "attn.c_proj")),
            c_fc=tensor(block_tensor(i, "mlp.c_fc")),
            mlp_proj=tensor(block_tensor(i, "mlp.c_proj")),
            ve_gate=where(cfg.has_value_embed(i), block_tensor(i, "attn.ve_gate")),
            value_embed=where(cfg.has_value_embed(i), value_embed(i)),
        )

    return Weights(
        wte=tensor(WTE),
        lm_head=_first_rows(tensor(LM_HEAD), cfg.vocab_size),  # padding rows are no tokens
        h=tuple(block(i) for i in range(cfg.n_layer)),
        resid_lambdas=where(cfg.lambdas, RESID_LAMBDAS),
        x0_lambdas=where(cfg.lambdas, X0_LAMBDAS),
        smear_gate=where(cfg.smear, SMEAR_GATE),
        smear_lambda=where(cfg.smear, SMEAR_LAMBDA),
        backout_lambda=where(cfg.backout, BACKOUT_LAMBDA),
        bigram_embed=where(cfg.bigram, BIGRAM_EMBED),
        bigram_lambdas=where(cfg.bigram, BIGRAM_LAMBDAS),
        cos=cos,
        sin=sin,
    )

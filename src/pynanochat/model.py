"""The nanochat GPT, every generation of it, stated once over the operations of `ops`.

N rows of the step, M of them sampled, C n_embd, H/G query/key-value heads, D head_dim, V vocab_size.
"""

from __future__ import annotations

from typing import Any

from pynanochat.config import GPTConfig
from pynanochat.ops import Array, Ops
from pynanochat.weights import Block, Weights


def forward(ops: Ops, cfg: GPTConfig, w: Weights[Array], batch: Any, cache: Any) -> Array:
    """Logits (M, V) of the token after each sampled row; keeps the step's keys and values in `cache`."""
    x = hidden(ops, cfg, w, batch, cache)
    return head(ops, cfg, w, ops.take(x, batch.sample_rows))


def hidden(ops: Ops, cfg: GPTConfig, w: Weights[Array], batch: Any, cache: Any) -> Array:
    """The residual stream (N, C) after the last block."""
    x = embedding(ops, cfg, w, batch.tokens)
    if cfg.smear:  # a share of the token before: a cheap bigram
        before = embedding(ops, cfg, w, batch.prev_tokens)  # zeros before the first token
        x = ops.add(x, before, b=ops.gate(x, w.smear_gate, gain=w.smear_lambda[0]))
    pairs = None
    if cfg.bigram:
        pairs = ops.embed(w.bigram_embed, ops.bigram_ids(batch.tokens, batch.prev_tokens, cfg.bigram_rows))
    x0, middle = x, x
    for i, block in enumerate(w.h):
        if cfg.lambdas:
            x = ops.add(x, x0, a=w.resid_lambdas[i], b=w.x0_lambdas[i])
        if pairs is not None:
            x = ops.add(x, pairs, b=w.bigram_lambdas[i])
        x = ops.add(x, attention(ops, cfg, block, ops.rms_norm(x, cfg.norm_eps), batch, cache, i, w))
        x = ops.add(x, mlp(ops, block, ops.rms_norm(x, cfg.norm_eps)))
        if i == cfg.n_layer // 2:
            middle = x
    if cfg.backout:  # what the middle already knew is taken out again
        x = ops.add(x, middle, b=-w.backout_lambda[0])
    return x


def head(ops: Ops, cfg: GPTConfig, w: Weights[Array], x: Array) -> Array:
    """(M, C) -> logits (M, V)."""
    logits = ops.linear(ops.rms_norm(x, cfg.norm_eps), w.lm_head)
    if cfg.logit_clip is not None:
        logits = ops.clip(logits, cfg.logit_clip)
    return ops.softcap(logits, cfg.softcap)


def embedding(ops: Ops, cfg: GPTConfig, w: Weights[Array], tokens: Array) -> Array:
    """(N,) -> (N, C)."""
    x = ops.embed(w.wte, tokens)
    return ops.rms_norm(x, cfg.norm_eps) if cfg.embed_norm else x


def attention(
    ops: Ops, cfg: GPTConfig, block: Block[Array], x: Array, batch: Any, cache: Any, layer: int, w: Weights[Array]
) -> Array:
    """(N, C) -> (N, C)."""
    q = ops.heads(ops.linear(x, block.c_q), cfg.n_head)  # (N, H, D)
    k = ops.heads(ops.linear(x, block.c_k), cfg.n_kv_head)  # (N, G, D)
    v = ops.heads(ops.linear(x, block.c_v), cfg.n_kv_head)
    if cfg.qkv_clip is not None:
        q, k, v = (ops.clip(t, cfg.qkv_clip) for t in (q, k, v))
    if cfg.has_value_embed(layer):  # one gate per key-value head
        values = ops.heads(ops.embed(block.value_embed, batch.tokens), cfg.n_kv_head)
        v = ops.add(v, values, b=ops.gate(x, block.ve_gate, gain=cfg.value_gate_gain))
    q = ops.rms_norm(ops.rope(q, batch.positions, w.cos, w.sin), cfg.norm_eps, scale=cfg.qk_scale)
    k = ops.rms_norm(ops.rope(k, batch.positions, w.cos, w.sin), cfg.norm_eps, scale=cfg.qk_scale)
    y = ops.attention(q, k, v, batch, cache, layer, cfg.window(layer))  # (N, H, D)
    return ops.linear(ops.merge(y), block.c_proj)


def mlp(ops: Ops, block: Block[Array], x: Array) -> Array:
    """(N, C) -> (N, C)."""
    return ops.linear(ops.relu2(ops.linear(x, block.c_fc)), block.mlp_proj)

"""M3, M6, M7, M9: the blocks, their norms, grouped heads and the softcap, measured through the chosen backend."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pynanochat.backends.reference import ReferenceRunner
from pynanochat.batch import NO_TOKEN, Batch, Span
from pynanochat.check.demo import CONFIG, PORT, Demo, difference
from pynanochat.check.result import Check, Measure, at_most, equal
from pynanochat.engine.request import Request
from pynanochat.initialize import random_tensors
from pynanochat.ops import reference
from pynanochat.tensor import Tensor
from pynanochat.weights import block_tensor, value_embed

_ROUNDING = 2e-5  # of float32 logits whose sums run in another order
_UNCAPPED = 1e6


def parameter_count(demo: Demo) -> Measure:
    """nanochat-rs' demo prints "~2M" for its network; these are the numbers in its tensors."""
    return equal(sum(t.data.size for t in random_tensors(PORT, demo.seed).values()), 786_432, "nanochat-rs' network")


def shape(demo: Demo) -> Measure:
    """(T, V) logits, all of them numbers."""
    logits = demo.model.logits([1, 2, 3, 4, 5])
    right = logits.shape == (5, 256) and bool(np.isfinite(logits).all())
    return Measure(str(logits.shape), "= (5, 256), finite", right)


def reference_agrees(demo: Demo) -> Measure:
    """The backend against the operations that define it, in float64."""
    tokens = demo.tokens(40)
    runner = ReferenceRunner(CONFIG, random_tensors(CONFIG, demo.seed).__getitem__, context=128, dtype="float64",
                             pages=tuple(8 for _ in CONFIG.layer_groups()))
    pages = [list(range(8)) for _ in CONFIG.layer_groups()]
    law = runner.forward(Batch.of([Span(tokens, NO_TOKEN, 0, pages, len(tokens))])).numpy()
    return at_most(difference(demo.model.logits(tokens), law), 1e-3, f"{demo.facts.name} beside float64, 40 tokens")


def causality(demo: Demo) -> Measure:
    """Another token at a place changes the logits from there on, and none before."""
    tokens = demo.tokens(24)
    before = demo.model.logits(tokens)
    past, own = 0.0, np.inf
    for place in range(len(tokens)):
        after = demo.model.logits([*tokens[:place], (tokens[place] + 1) % 256, *tokens[place + 1 :]])
        past = max(past, difference(before[:place], after[:place]) if place else 0.0)
        own = min(own, difference(before[place], after[place]))
    return Measure(past, f"<= {demo.tolerance:g}, later ones change", past <= demo.tolerance and own > 1e-3,
                   f"24 edits; the least change at the edit itself is {own:.2g}")


def beside_strangers(demo: Demo) -> Measure:
    """A prompt among others of other lengths gets the logits that it gets alone."""
    prompts = [demo.tokens(count, count) for count in (19, 3, 40, 11)]
    rows: list[list[NDArray[np.float32]]] = [[] for _ in prompts]

    def keep(place: int) -> Request:
        return Request(prompt=tuple(prompts[place]), max_tokens=0,
                       on_prompt_logits=lambda first, logits: rows[place].append(logits.copy()))

    demo.model.run([keep(place) for place in range(len(prompts))]).drain()
    worst = max(difference(np.concatenate(rows[place]), demo.model.logits(prompt))
                for place, prompt in enumerate(prompts))
    return at_most(worst, demo.tolerance, "4 prompts of 3 to 40 tokens")


def query_norms(demo: Demo) -> Measure:
    """After their norm, queries and keys have mean square 1, whatever came in."""
    x = np.random.default_rng(demo.seed).standard_normal((64, 4, 32)) * np.logspace(-1, 3, 64)[:, None, None]
    normed = reference.rms_norm(x, CONFIG.norm_eps)
    return at_most(float(np.abs(np.mean(normed**2, -1) - 1).max()), 1e-4, "reference operation, scales 0.1 to 1000")


def norm_weights(demo: Demo) -> Measure:
    """RMSNorm has nothing to learn: no tensor has the shape of a norm's weight."""
    shapes = [tensor.shape for tensor in demo.model.checkpoint.tensors.values()]
    found = shapes.count((CONFIG.n_embd,)) + shapes.count((CONFIG.head_dim,))
    return equal(found, 0, "tensors of a norm's shape")


def grouped_heads(demo: Demo) -> Measure:
    """Two key-value heads give the logits of four that repeat them."""
    tensors = random_tensors(CONFIG, demo.seed)
    wide = dict(tensors)
    for layer in range(CONFIG.n_layer):
        for name in ("attn.c_k", "attn.c_v"):
            wide[block_tensor(layer, name)] = _repeat(tensors[block_tensor(layer, name)], CONFIG.head_dim, 0)
        if CONFIG.has_value_embed(layer):
            wide[block_tensor(layer, "attn.ve_gate")] = _repeat(tensors[block_tensor(layer, "attn.ve_gate")], 1, 0)
            wide[value_embed(layer)] = _repeat(tensors[value_embed(layer)], CONFIG.head_dim, 1)
    tokens = demo.tokens(24)
    four = demo.llm(replace(CONFIG, n_kv_head=4), wide).logits(tokens)
    return at_most(difference(demo.model.logits(tokens), four), _ROUNDING, "G=2 beside G=4 with every head twice")


def cache_share(demo: Demo) -> Measure:
    """Bytes of page memory per page, with two key-value heads and with four."""
    two, four = demo.model.backend, demo.llm(replace(CONFIG, n_kv_head=4)).backend
    share = (two.cache_bytes / sum(two.pages)) / (four.cache_bytes / sum(four.pages))
    return equal(share, 0.5, "cache bytes per page, G=2 over G=4")


def softcap_bound(demo: Demo) -> Measure:
    """Weights fifty times too large overflow nothing and reach no logit above the cap."""
    logits = _blown_up(demo, CONFIG.softcap)
    free = float(np.abs(_blown_up(demo, _UNCAPPED)).max())
    worst = float(np.abs(logits).max()) if np.isfinite(logits).all() else np.inf
    return Measure(worst, f"<= {CONFIG.softcap:g}, above it without", worst <= CONFIG.softcap < free,
                   f"matrices x50; without the cap {free:.3g}")


def softcap_curve(demo: Demo) -> Measure:
    """Capped logits are cap * tanh(logit / cap) of the uncapped ones, which keeps their order."""
    tokens = demo.tokens(16)
    free = demo.llm(replace(CONFIG, softcap=_UNCAPPED)).logits(tokens).astype(np.float64)
    curve = CONFIG.softcap * np.tanh(free / CONFIG.softcap)
    return at_most(difference(demo.model.logits(tokens), curve), _ROUNDING, f"logits up to {np.abs(free).max():.3g}")


def _blown_up(demo: Demo, cap: float) -> NDArray[np.float32]:
    tensors = {name: Tensor.of(t.data * np.float32(50)) if len(t.shape) == 2 else t
               for name, t in random_tensors(CONFIG, demo.seed).items()}
    return demo.llm(replace(CONFIG, softcap=cap), tensors).logits(demo.tokens(16))


def _repeat(tensor: Tensor, width: int, axis: int) -> Tensor:
    """The tensor with every head, `width` rows or columns wide, twice in a row."""
    heads = np.split(tensor.data, tensor.shape[axis] // width, axis)
    return Tensor.of(np.concatenate([head for head in heads for _ in range(2)], axis))


CHECKS = (
    Check("M3", "parameters", parameter_count),
    Check("M3", "logits", shape),
    Check("M3", "equal to the reference", reference_agrees),
    Check("M3", "causality", causality),
    Check("M3", "alone or beside others", beside_strangers),
    Check("M6", "norm of queries and keys", query_norms),
    Check("M6", "norms without weights", norm_weights),
    Check("M7", "grouped heads", grouped_heads),
    Check("M7", "cache of grouped heads", cache_share),
    Check("M9", "softcap bounds logits", softcap_bound),
    Check("M9", "softcap keeps their order", softcap_curve),
)

"""What 8 and 4 bits cost in quality: q8 and q4 beside llama.cpp's Q8_0 and Q4_0 of the same weights, all by NumPy.

Mean KL divergence from the float32 model, top-1 agreement and perplexity by the float32 model's, over at least --tokens
teacher-forced tokens; the text is what the model itself says at temperature 1 with fixed seeds, or that of --text.
Every matrix is quantised, activations to 8 bits too, by each format's own rule. A table, one JSON line last.
"""

import argparse
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

import pynanochat as nc
from pynanochat import checkpoint, model
from pynanochat.batch import NO_TOKEN, Batch, Span
from pynanochat.check.quality import quality
from pynanochat.ops import reference
from pynanochat.quantize import reference as law
from pynanochat.quantize.formats import FORMATS, quantized_bytes
from pynanochat.quantize.quantizer import matrices
from pynanochat.rope import rope_tables
from pynanochat.runner import sequence_pages
from pynanochat.weights import build, tensor_shapes

BLOCK = 32  # of llama.cpp


def q4_0(x: np.ndarray) -> np.ndarray:
    """The numbers that Q4_0 stores.

    Source: ggml-org/llama.cpp 36491e4 ggml/src/ggml-quants.c, quantize_row_q4_0_ref and, below, quantize_row_q8_0_ref.
    """
    blocks = x.reshape(-1, BLOCK)
    d = np.take_along_axis(blocks, np.abs(blocks).argmax(1)[:, None], 1) / np.float32(-8)
    inverse = np.divide(1, d, where=d != 0, out=np.zeros_like(d))
    whole = np.minimum((blocks * inverse + np.float32(8.5)).astype(np.int8), 15) - np.float32(8)
    return (whole * d.astype(np.float16).astype(np.float32)).reshape(x.shape)


def q8_0(x: np.ndarray) -> np.ndarray:
    """The numbers that Q8_0 stores, which is also how activations meet Q4_0."""
    blocks = x.reshape(-1, BLOCK)
    d = np.abs(blocks).max(1, keepdims=True) / np.float32(127)
    scaled = blocks * np.divide(1, d, where=d != 0, out=np.zeros_like(d))
    whole = np.trunc(scaled + np.copysign(np.float32(0.5), scaled))  # roundf: halves away from zero
    return (whole * d.astype(np.float16).astype(np.float32)).reshape(x.shape)


class Blocks(np.ndarray):
    """A matrix whose activations are rounded as Q8_0."""


class LlamaOps:
    """The reference operations, with llama.cpp's rounding of activations."""

    def __getattr__(self, name: str) -> Any:
        return getattr(reference, name)

    def linear(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        """(N, in), (out, in) -> (N, out)."""
        return q8_0(x) @ np.asarray(w).T if isinstance(w, Blocks) else reference.linear(x, w)


@dataclass
class Direct:
    """A model run a window at a time by given operations."""

    llm: nc.LLM
    ops: Any
    tensor: Callable[[str], Any]

    def __post_init__(self) -> None:
        self.config, self.context, self.need_tokenizer = self.llm.config, self.llm.context, self.llm.need_tokenizer
        self.weights = build(self.config, self.tensor, *rope_tables(self.config, self.context))

    def logits(self, tokens: list[int]) -> np.ndarray:
        """(T, V)."""
        pages = sequence_pages(self.config, self.context, self.context)
        cache = reference.KVCache(self.config, pages, np.float32)
        span = Span(tokens, NO_TOKEN, 0, [range(count) for count in pages], len(tokens))
        return model.forward(self.ops, self.config, self.weights, Batch.of([span]), cache)



ON_CPU = {"q8 on cpu": {"quantize": "q8"}, "q4 on cpu": {"quantize": "q4"},
          "bfloat16 pages": {"cache_dtype": "bfloat16"}}


class Remembering:
    """A model that computes the logits of a window once."""

    def __init__(self, llm: nc.LLM) -> None:
        self.config, self.context, self.need_tokenizer = llm.config, llm.context, llm.need_tokenizer
        self._logits = lru_cache(maxsize=None)(llm.logits)

    def logits(self, tokens: list[int]) -> np.ndarray:
        """(T, V)."""
        return self._logits(tuple(tokens))


def spoken(llm: nc.LLM, count: int) -> list[int]:
    """At least so many tokens of what the model says after <|bos|>, texts kept apart by it."""
    bos, tokens, seed = llm.need_tokenizer().special_tokens["<|bos|>"], [], 0
    while len(tokens) < count:
        for output in [llm.generate([bos], llm.context - 1, seed=seed + n, tools=False) for n in range(4)]:
            tokens += [*output.tokens, bos]
        seed += 4
    return tokens


def direct(llm: nc.LLM, name: str) -> tuple[Direct, float]:
    """The model in a format, and its bits per weight of a matrix."""
    tensors, names = llm.checkpoint.tensors, matrices(llm.config)
    if name in FORMATS:
        made = checkpoint.quantized(llm.config, tensors, name)
        shapes = [tensor_shapes(llm.config)[matrix] for matrix in names]
        bits = 8 * sum(quantized_bytes(shape, name) for shape in shapes) / sum(rows * width for rows, width in shapes)
        return Direct(llm, law, lambda n: made[n] if n in names else made[n].numpy()), bits
    rule = {"Q4_0": q4_0, "Q8_0": q8_0}[name]
    return Direct(llm, LlamaOps(), lambda n: rule(tensors[n].numpy()).view(Blocks) if n in names
                  else tensors[n].numpy()), {"Q4_0": 4.5, "Q8_0": 8.5}[name]


def on_cpu(name: str, options: dict[str, str]) -> tuple[nc.LLM, float]:
    """The model on the cpu backend, pages as it keeps them, and the bits of a weight there."""
    llm = nc.load(name, backend="cpu", **options)
    return llm, {"q8": 8.25, "q4": 4.25, "bfloat16": 16.0, "float32": 32.0}[llm.backend.dtype]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--model", default="tests/fixtures/story5m", help="a float checkpoint")
    options.add_argument("--tokens", type=int, default=30_000)
    options.add_argument("--text", type=Path, help="measure on this file instead of what the model says")
    asked = options.parse_args()
    llm = nc.load(asked.model, backend="reference")
    if asked.text:
        tokens = llm.need_tokenizer().encode(asked.text.read_text(encoding="utf-8"))[: asked.tokens]
    else:
        tokens = spoken(llm, asked.tokens)
    plain, results = Remembering(llm), {}
    print(f"{'format':<18}{'bits/weight':>12}{'KL':>12}{'KL p99':>12}{'top-1':>10}{'perplexity ratio':>18}")
    contestants = {name: partial(direct, llm, name) for name in ("q8", "Q8_0", "q4", "Q4_0")}
    for name, options in ON_CPU.items():
        contestants[name] = partial(on_cpu, asked.model, options)
    for name, make in contestants.items():
        other, bits = make()
        found = quality(plain, other, tokens)
        results[name] = {"bits_per_weight": round(bits, 4)} | found.to_dict()
        print(f"{name:<18}{bits:>12.3f}{found.kl:>12.2e}{found.kl_99:>12.2e}{found.top1:>10.2%}"
              f"{found.perplexity_ratio:>18.5f}", flush=True)
    print(json.dumps({"benchmark": "quantization", "machine": platform.platform(), "python": platform.python_version(),
                      "numpy": np.__version__, "model": llm.checkpoint.path.name, "tokens": len(tokens),
                      "text": asked.text.name if asked.text else "its own, temperature 1", "results": results}))


if __name__ == "__main__":
    main()

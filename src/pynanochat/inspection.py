"""Inspection: what is known of a checkpoint without running it, in plain numbers and names."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pynanochat import checkpoint
from pynanochat.checkpoint.layout import nbytes
from pynanochat.checkpoint.lazy_tensors import kinds
from pynanochat.config import GPTConfig
from pynanochat.generation import GENERATIONS
from pynanochat.ops.plan import Plan
from pynanochat.ops.record import plan_of
from pynanochat.quantize.formats import format_of
from pynanochat.quantize.quantizer import matrices
from pynanochat.sizes import Sizes
from pynanochat.tokenizer import Tokenizer
from pynanochat.weights import WTE


@dataclass(frozen=True)
class TensorFacts:
    """One tensor as it is stored."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int


@dataclass(frozen=True)
class TokenizerFacts:
    """The tokenizer that belongs to a checkpoint."""

    path: Path
    vocab_size: int
    special_tokens: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """A checkpoint's format, network, sizes and tensors."""

    path: Path  # the folder
    format: str
    generation: str
    since: str | None  # upstream's first commit with this network and its date
    config: GPTConfig
    sizes: Sizes  # as run, in the dtype and at the context that were asked for
    tensors: tuple[TensorFacts, ...]
    tokenizer: TokenizerFacts | None
    meta: dict[str, Any]
    notes: tuple[str, ...]  # what the files do not say and was assumed

    @property
    def stored_bytes(self) -> int:
        """Bytes of all tensors as they are stored."""
        return sum(tensor.nbytes for tensor in self.tensors)

    def plan(self) -> Plan:
        """What the cpu backend runs for this network, with weights as they are stored, or in q8 or q4 as `sizes` is."""
        quantised = any(format_of(kind) for kind in (self.sizes.dtype, *(tensor.dtype for tensor in self.tensors)))
        return plan_of(self.config, matrices(self.config) if quantised else ())

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        tokenizer = self.tokenizer and {
            "path": str(self.tokenizer.path), "vocab_size": self.tokenizer.vocab_size,
            "special_tokens": list(self.tokenizer.special_tokens)}
        return {
            "path": str(self.path), "format": self.format, "generation": self.generation, "since": self.since,
            "config": self.config.to_dict(), "sizes": asdict(self.sizes), "stored_bytes": self.stored_bytes,
            "tokenizer": tokenizer, "meta": self.meta, "notes": list(self.notes),
            "tensors": [asdict(tensor) | {"shape": list(tensor.shape)} for tensor in self.tensors],
        }


def inspect(
    name: str | os.PathLike[str] | None = None,
    *,
    tokenizer: str | os.PathLike[str] | None = None,
    source: str | None = None,
    step: int | None = None,
    softcap: float | None = None,
    rope_table_dtype: Literal["float32", "bfloat16"] | None = None,
    dtype: str = "float32",
    context: int | None = None,
) -> Inspection:
    """What a model's files say, named as in `load`; weights are neither read nor checked.

    `dtype` and `context` (None: sequence_len) are those of `Inspection.sizes`. Raises as `load`.
    """
    opened = checkpoint.open(
        checkpoint.resolve(name, source=source, step=step), step=step, tokenizer=tokenizer, softcap=softcap,
        rope_table_dtype=rope_table_dtype, verify=False)
    words = None
    if opened.tokenizer_path is not None:
        loaded = Tokenizer.load(opened.tokenizer_path)
        words = TokenizerFacts(opened.tokenizer_path, loaded.vocab_size, tuple(loaded.special_tokens))
    generation = GENERATIONS.get(opened.generation)
    found = kinds(opened.tensors)
    tensors = tuple(TensorFacts(name, shape, kind, nbytes(shape, kind)) for name, (kind, shape) in found.items())
    return Inspection(
        path=opened.path, format=opened.format, generation=opened.generation,
        since=generation.since if generation else None, config=opened.config,
        sizes=Sizes.of(opened.config, dtype, opened.config.context(context), rest=found[WTE][0]), tensors=tensors,
        tokenizer=words, meta=dict(opened.meta), notes=opened.notes)

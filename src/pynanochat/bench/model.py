"""Model: the network that is measured, a checkpoint's or one of random weights, and how it becomes a runner.

Tensors are made when a runner asks for them and kept nowhere else, so that the memory measured is the runner's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynanochat import checkpoint
from pynanochat.backends import Choice, open_runner
from pynanochat.checkpoint import Checkpoint
from pynanochat.checkpoint.lazy_tensors import LazyTensors
from pynanochat.config import GPTConfig
from pynanochat.errors import BackendError, RequestError
from pynanochat.generation import name_of
from pynanochat.quantize.formats import LEVELS, AnyTensor, Format, QuantizedTensor, code_columns, groups
from pynanochat.quantize.quantizer import matrices
from pynanochat.runner import Runner, page_bytes
from pynanochat.sizes import weight_bytes
from pynanochat.tensor import Tensor, round_bfloat16, widen_bfloat16
from pynanochat.weights import RESID_LAMBDAS, WTE, tensor_shapes

ASPECT, HEAD = 64, 128  # n_embd is 64 a layer, in whole heads of 128
_LEVEL_SPREAD = {"q8": np.arange(-127, 128).std(), "q4": LEVELS.std()}  # of levels drawn evenly


@dataclass(frozen=True)
class Model:
    """A network to measure and where its tensors come from."""

    name: str
    config: GPTConfig
    tensors: Mapping[str, AnyTensor]  # made when they are asked for
    random: bool

    @property
    def generation(self) -> str:
        """The nanochat generation whose network it is."""
        return name_of(self.config)

    def open(self, choice: Choice, *, context: int, pages: tuple[int, ...], threads: int | None = None) -> Runner:
        """The runner of the network; `BackendError` where it does not fit the memory that is free."""
        width = {"float64": 8, "float32": 4, "bfloat16": 2}[choice.dtype]
        cache = sum(count * size for count, size in zip(pages, page_bytes(self.config, width), strict=True))
        quantized = checkpoint.quantization(self.tensors) if choice.backend == "cpu" else None
        check_room(weight_bytes(self.config, width, quantized) + cache, self.name)
        try:
            return open_runner(choice, self.config, self.tensors.__getitem__, context=context, pages=pages,
                               threads=threads)
        except MemoryError:
            raise _too_large(self.name) from None


def network_of_depth(depth: int) -> GPTConfig:
    """The network that upstream trains at this depth, at nanochat's own vocabulary of 32,768.

    Source: karpathy/nanochat scripts/base_train.py, build_model_meta (2026-07-03).
    """
    if type(depth) is not int or not 1 <= depth <= 256:
        raise RequestError(f"the depth is {depth!r}; expected a number of layers from 1 to 256, such as 12 or 20")
    heads = -(-depth * ASPECT // HEAD)
    return GPTConfig(n_layer=depth, n_head=heads, n_kv_head=heads, n_embd=heads * HEAD)


def random_model(name: str, cfg: GPTConfig, dtype: str, quantize: Format | None = None) -> Model:
    """A network of random weights in `dtype`, or with matrices in `quantize` and bfloat16 for the rest.

    Made in seconds at any size; every number is finite and of a sensible size, all matrices and `wte` are as large as
    real ones. The rows of other tables (value embeddings, bigrams) are one row over and over: a token reads one row of
    each, so it costs the same time, without gigabytes of memory.
    """
    def make(place: int, name: str, shape: tuple[int, ...], kind: str) -> AnyTensor:
        rng = np.random.default_rng([7, place])
        if len(shape) == 1:
            noise = rng.standard_normal(shape, np.float32)
            return Tensor.of(np.float32(0.1) * noise + np.float32(name == RESID_LAMBDAS))
        if name in large:
            spread = 1 / math.sqrt(shape[1])
            return _levels(rng, shape, spread, quantize) if quantize else _floats(rng, shape, spread, kind)
        if shape[0] < cfg.vocab_size or name == WTE:  # gates, and the table that differs from token to token
            return _floats(rng, shape, 1.0, kind)
        row = _floats(rng, (1, shape[1]), 1.0, kind)
        return Tensor(np.broadcast_to(row.data, shape), kind)

    large, tensors = matrices(cfg), {}
    rest = "bfloat16" if quantize else dtype
    for place, (tensor, shape) in enumerate(tensor_shapes(cfg).items()):
        kind = "float32" if len(shape) == 1 else quantize if quantize and tensor in large else rest
        tensors[tensor] = (kind, shape), partial(make, place, tensor, shape, kind)
    return Model(name, cfg, LazyTensors(tensors), random=True)


def stored_model(opened: Checkpoint, quantize: Format | None = None) -> Model:
    """The model of an opened checkpoint, its matrices in `quantize` where that is given."""
    cfg = opened.config
    tensors = opened.tensors if quantize is None else checkpoint.quantized(cfg, opened.tensors, quantize)
    return Model(opened.path.name, cfg, tensors, random=False)


def open_checkpoint(name: str | None, **files: Any) -> Checkpoint:
    """The checkpoint of a path or name (None: the bundled model), as `load` finds it."""
    step = files.get("step")
    return checkpoint.open(checkpoint.resolve(name, source=files.pop("source", None), step=step), **files)


def check_room(needed_bytes: int, name: str) -> None:
    """Raise `BackendError` where so many bytes are more than the machine has free, as far as it says."""
    free = _free_bytes()
    if free is not None and needed_bytes > free:
        raise _too_large(name, f"needs about {needed_bytes / 1e9:.1f} GB, {free / 1e9:.1f} GB are free")


def _too_large(name: str, why: str = "does not fit the memory") -> BackendError:
    return BackendError(f"{name} {why}; take a smaller depth, fewer --batches or a narrower --dtype")


def _free_bytes() -> int | None:
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            sizes = dict(line.split(":") for line in file)
        return int(sizes["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):  # not Linux
        return None


def _floats(rng: np.random.Generator, shape: tuple[int, ...], spread: float, dtype: str) -> Tensor:
    """Numbers from 1 to 2 of either sign, times a power of two near `spread`: a byte of randomness makes a bfloat16."""
    noise = np.frombuffer(rng.bytes(math.prod(shape)), np.uint8).reshape(shape).astype(np.uint16)
    exponent = 127 + round(math.log2(spread / 1.53))  # 1.53 is the spread of numbers from 1 to 2 of either sign
    bits = ((noise & 0x80) << 8 | noise & 0x7F | exponent << 7).astype(np.uint16)
    return Tensor(bits, "bfloat16") if dtype == "bfloat16" else Tensor.of(widen_bfloat16(bits))


def _levels(rng: np.random.Generator, shape: tuple[int, ...], spread: float, quantize: Format) -> QuantizedTensor:
    """Levels drawn evenly, all with the same scale."""
    rows, columns = shape
    noise = np.frombuffer(rng.bytes(rows * code_columns(columns, quantize)), np.uint8).reshape(rows, -1)
    codes: NDArray[Any] = np.maximum(noise.view(np.int8), -127) if quantize == "q8" else noise
    scale = round_bfloat16(np.array([spread / _LEVEL_SPREAD[quantize]]))
    return QuantizedTensor(codes, np.repeat(scale, rows * groups(columns)).reshape(rows, -1), quantize, (rows, columns))

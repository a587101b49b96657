"""Quantised tensors of a checkpoint: made of floats when they are asked for, and in files as `name.q`, `name.scale`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from pynanochat.checkpoint.lazy_tensors import Kind, LazyTensors, kinds
from pynanochat.checkpoint.safetensors_file import widest_first
from pynanochat.config import GPTConfig
from pynanochat.errors import UnsupportedError
from pynanochat.quantize.formats import FORMATS, AnyTensor, Format, QuantizedTensor, code_columns, format_of, groups
from pynanochat.quantize.quantizer import matrices, quantize
from pynanochat.tensor import Tensor
from pynanochat.weights import tensor_shapes

CODES, SCALES = ".q", ".scale"  # endings of the names in a file
_CODE_DTYPES: dict[Format, str] = {"q8": "int8", "q4": "uint8"}


def quantization(tensors: Mapping[str, AnyTensor]) -> Format | None:
    """The format of the quantised ones among them; None if all are floats."""
    return next((found for dtype, _ in kinds(tensors).values() if (found := format_of(dtype))), None)


def quantized(cfg: GPTConfig, tensors: Mapping[str, AnyTensor], format: Format) -> LazyTensors[AnyTensor]:  # noqa: A002
    """The tensors of a network, its matrices in q8 or q4, each made when it is asked for.

    Raises `UnsupportedError` where they are in another of these formats already.
    """
    if format not in FORMATS:
        raise UnsupportedError(f"quantize is {format!r:.60}; expected one of {', '.join(FORMATS)}")
    own = quantization(tensors)
    if own not in (None, format):
        raise UnsupportedError(f"the weights are {own} already, and {format} made of them would lose twice; quantise "
                               "the float original instead")

    def make(name: str) -> AnyTensor:
        tensor = tensors[name]
        return tensor if isinstance(tensor, QuantizedTensor) else quantize(tensor.numpy(np.float32), format)

    names = matrices(cfg)
    return LazyTensors({
        name: ((format, shape), partial(make, name)) if name in names
        else ((dtype, shape), partial(tensors.__getitem__, name))
        for name, (dtype, shape) in kinds(tensors).items()})


def split(tensors: Mapping[str, AnyTensor]) -> tuple[LazyTensors[Tensor], list[str]]:
    """The tensors as they lie in a file, and the order to write them in.

    Both parts of a quantised tensor stand together, last of all, so that it is made once.
    """
    parts = _Parts(tensors)
    plain: dict[str, tuple[Kind, Callable[[], Tensor]]] = {}
    pairs: dict[str, tuple[Kind, Callable[[], Tensor]]] = {}
    for name, (dtype, shape) in kinds(tensors).items():
        format = format_of(dtype)  # noqa: A001
        if format is None:
            plain[name] = (dtype, shape), partial(parts.plain, name)
        else:
            codes, scales = _kinds(shape, format)
            pairs[f"{name}{SCALES}"] = scales, partial(parts.scales, name)
            pairs[f"{name}{CODES}"] = codes, partial(parts.codes, name)
    return LazyTensors(plain | pairs), [*widest_first(LazyTensors(plain)), *pairs]


class _Parts:
    """The parts of tensors; the quantised one that was asked for last is kept."""

    def __init__(self, tensors: Mapping[str, AnyTensor]) -> None:
        self._tensors = tensors
        self._last: tuple[str, QuantizedTensor] | None = None

    def plain(self, name: str) -> Tensor:
        tensor = self._tensors[name]
        return Tensor.of(tensor.numpy()) if isinstance(tensor, QuantizedTensor) else tensor

    def scales(self, name: str) -> Tensor:
        return Tensor(self._whole(name).scales, "bfloat16")

    def codes(self, name: str) -> Tensor:
        return Tensor.of(self._whole(name).codes)

    def _whole(self, name: str) -> QuantizedTensor:
        if self._last is None or self._last[0] != name:
            tensor = self._tensors[name]
            if not isinstance(tensor, QuantizedTensor):
                raise UnsupportedError(f"tensor {name} is {tensor.dtype}; expected it quantised")
            self._last = name, tensor
        return self._last[1]


def joined(
    cfg: GPTConfig, tensors: Mapping[str, Tensor], format: Format, where: str  # noqa: A002
) -> dict[str, AnyTensor]:
    """The tensors of a file, its pairs as quantised tensors under their plain names.

    Raises `UnsupportedError` naming a part that is missing or not of the kind that the config and the format say.
    """
    rest: dict[str, AnyTensor] = dict(tensors)
    shapes = tensor_shapes(cfg)
    for name in sorted(matrices(cfg)):
        rows, columns = shapes[name]
        parts = []
        for ending, kind in zip((CODES, SCALES), _kinds((rows, columns), format), strict=True):
            part = tensors.get(f"{name}{ending}")
            if part is None or (part.dtype, part.shape) != kind:
                found = "missing" if part is None else f"{part.dtype} {part.shape}"
                raise UnsupportedError(f"{where}: tensor {name}{ending} is {found}; {format} weights of this network "
                                       f"are {kind[0]} {kind[1]} there")
            parts.append(part.data)
            del rest[f"{name}{ending}"]
        if name in rest:
            raise UnsupportedError(f"{where}: tensor {name} is there twice, as floats and in {format}")
        rest[name] = QuantizedTensor(parts[0], parts[1], format, (rows, columns))
    return rest


def _kinds(shape: tuple[int, ...], format: Format) -> tuple[Kind, Kind]:  # noqa: A002
    """Dtype and shape of the codes and of the scales of a matrix (V, K)."""
    rows, columns = shape
    return (_CODE_DTYPES[format], (rows, code_columns(columns, format))), ("bfloat16", (rows, groups(columns)))

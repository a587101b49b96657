"""Tensors that are made when they are asked for, so that one at a time is in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Generic, TypeVar

from pynanochat.quantize.formats import AnyTensor
from pynanochat.tensor import Tensor

Kind = tuple[str, tuple[int, ...]]  # dtype and shape
T = TypeVar("T", bound=AnyTensor)


class LazyTensors(Mapping[str, T], Generic[T]):
    """Names with the kind of a tensor and a function that makes it."""

    def __init__(self, entries: Mapping[str, tuple[Kind, Callable[[], T]]]) -> None:
        self.kinds = {name: kind for name, (kind, _) in entries.items()}
        self._makers = {name: maker for name, (_, maker) in entries.items()}

    def __getitem__(self, name: str) -> T:
        return self._makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def kinds(tensors: Mapping[str, AnyTensor]) -> dict[str, Kind]:
    """Dtype and shape of every tensor, without making one."""
    if isinstance(tensors, LazyTensors):
        return dict(tensors.kinds)
    return {name: (tensor.dtype, tensor.shape) for name, tensor in tensors.items()}


def renamed(tensors: Mapping[str, T], names: Mapping[str, str]) -> LazyTensors[T]:
    """The same tensors in the order and under the names of the values of `names`."""
    found = kinds(tensors)
    return LazyTensors({new: (found[old], partial(tensors.__getitem__, old)) for old, new in names.items()})


def derived(
    tensors: Mapping[str, Tensor], name: str, kind: Kind, change: Callable[[Any], Any]
) -> tuple[Kind, Callable[[], Tensor]]:
    """An entry whose array is `change` of the array of `name`."""
    return kind, lambda: Tensor(change(tensors[name].data), kind[0])

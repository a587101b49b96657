"""The .pt files of torch, read and written without torch: a zip of one pickle and one entry per storage.

Tensors are views of the mapped file. Source: pytorch torch/serialization.py (_save, _load), torch/_utils.py.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pynanochat import pickle_writer, unpickle
from pynanochat.checkpoint.layout import STORAGE, is_shape, raw, tensor_at
from pynanochat.checkpoint.lazy_tensors import Kind, LazyTensors
from pynanochat.checkpoint.zip_file import ZipFile
from pynanochat.checkpoint.zip_file import write as write_zip
from pynanochat.errors import CheckpointError, DamagedFileError, UnsafeFileError, UnsupportedError
from pynanochat.pickle_writer import EMPTY_ORDERED_DICT, Persistent
from pynanochat.tensor import Tensor
from pynanochat.unpickle import ORDERED_DICT, Global, Record

_TENSOR, _PARAMETER = "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter"
_STORAGES = {
    "torch.DoubleStorage": "float64", "torch.FloatStorage": "float32", "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16", "torch.LongStorage": "int64", "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16", "torch.CharStorage": "int8", "torch.ByteStorage": "uint8",
    "torch.BoolStorage": "bool",
}
_STORAGE_OF = {dtype: name for name, dtype in _STORAGES.items()}
_ALLOWED = frozenset({_TENSOR, _PARAMETER, ORDERED_DICT, *_STORAGES})
_ROOT = "archive"  # of every entry's name; torch takes any


@dataclass(frozen=True, slots=True)
class _Storage:
    """A run of numbers in the file."""

    dtype: str
    offset: int
    count: int


def read(path: Path, *, verify: bool = True) -> Any:
    """The data of a .pt file: dicts, lists and numbers as `torch.save` got them, with `Tensor` views of the file.

    `verify` reads the whole file once for its checksums. Raises `UnsafeFileError` for code, for sizes that the file
    does not have and for tensors that repeat memory, `DamagedFileError`, `UnsupportedError`.
    """
    return _Reader(path, verify).data()


class _Reader:
    def __init__(self, path: Path, verify: bool) -> None:
        self.where = str(path)
        self.zip = ZipFile(path)
        if verify:
            self.zip.check()
        roots = [name.removesuffix("/data.pkl") for name in self.zip.entries if name.endswith("/data.pkl")]
        if len(roots) != 1 or "/" in roots[0]:
            raise UnsupportedError(f"{self.where}: a zip file that is none of torch's; expected one data.pkl")
        self.root = roots[0]
        order = f"{self.root}/byteorder"
        if order in self.zip.entries and bytes(self.zip.data(order)[:16]) != b"little":
            raise UnsupportedError(f"{self.where}: big-endian numbers; save it again on a little-endian machine")

    def data(self) -> Any:
        pickled = self.zip.data(f"{self.root}/data.pkl")
        return self.plain(unpickle.load(pickled, where=self.where, allowed=_ALLOWED, persistent=self.storage))

    def storage(self, key: Any) -> _Storage:
        """The storage of a persistent id ("storage", class, entry, device, count)."""
        if type(key) is not tuple or len(key) != 5 or key[0] != "storage" or type(key[1]) is not Global:
            raise self.damaged("a storage that is none")
        _, kind, entry, device, count = key
        if kind.name not in _STORAGES or type(entry) is not str or type(device) is not str or type(count) is not int:
            raise self.damaged("a storage without class, entry, device and length")
        name, dtype = f"{self.root}/data/{entry}", _STORAGES[kind.name]
        found = self.zip.entries.get(name)
        if found is None:
            raise self.damaged(f"storage {entry[:40]!r} is missing")
        if count < 0 or found.size != count * STORAGE[dtype].itemsize:
            raise self.unsafe(f"storage {entry[:40]!r} claims {count:,} numbers in {found.size:,} bytes")
        return _Storage(dtype, found.offset, count)

    def plain(self, value: Any) -> Any:
        """The value with its records made into tensors."""
        if type(value) is Record:
            return self.parameter(value) if value.name == _PARAMETER else self.tensor(value)
        if type(value) is dict:
            return {key: self.plain(item) for key, item in value.items()}
        if type(value) in (list, tuple):
            return type(value)(self.plain(item) for item in value)
        if type(value) in (Global, _Storage):
            raise self.unsupported("something that is neither a number, text nor a tensor")
        return value

    def parameter(self, record: Record) -> Tensor:
        if record.how != "call" or record.state is not None or len(record.args) != 3:
            raise self.damaged("a parameter that is none")
        tensor = record.args[0]
        if type(tensor) is not Record or tensor.name != _TENSOR:
            raise self.damaged("a parameter without a tensor")
        return self.tensor(tensor)

    def tensor(self, record: Record) -> Tensor:
        if record.name != _TENSOR or record.how != "call" or record.state is not None or len(record.args) not in (6, 7):
            raise self.damaged("a tensor that is none")
        storage, offset, shape, strides = record.args[:4]
        if type(storage) is not _Storage or type(offset) is not int or not is_shape(shape):
            raise self.damaged("a tensor without storage, offset and shape")
        if type(shape) is not tuple or type(strides) is not tuple or len(shape) != len(strides):
            raise self.damaged("a tensor without a stride for each dimension")
        count = math.prod(shape)
        if offset < 0 or offset + count > storage.count:
            raise self.unsafe(f"a tensor of {count:,} numbers at {offset:,} in a storage of {storage.count:,}")
        expected = 1
        for size, stride in zip(reversed(shape), reversed(strides), strict=True):
            if size > 1 and count and stride != expected:
                raise self.unsupported("a tensor that is not row by row in memory; save a contiguous() copy of it")
            expected *= size
        start = storage.offset + offset * STORAGE[storage.dtype].itemsize
        return tensor_at(self.zip.view, start, shape, storage.dtype)

    def damaged(self, what: str) -> CheckpointError:
        return DamagedFileError(f"{self.where}: {what}; get an intact copy")

    def unsafe(self, what: str) -> CheckpointError:
        return UnsafeFileError(f"{self.where}: {what}; refused")

    def unsupported(self, what: str) -> CheckpointError:
        return UnsupportedError(f"{self.where} holds {what}")


def write(file: BinaryIO, data: Any) -> None:
    """Write nested dicts, lists, tuples, numbers and text with `Tensor` in them as a file that torch.load reads.

    The same data gives the same bytes. `LazyTensors` are made one at a time.
    """
    fetches: list[Callable[[], memoryview]] = []

    def record(kind: Kind, fetch: Callable[[], Tensor]) -> Record:
        dtype, shape = kind
        strides, step = [], 1
        for size in reversed(shape):
            strides.append(step)
            step *= max(size, 1)
        key = str(len(fetches))
        fetches.append(lambda: raw(fetch()))
        storage = Persistent(("storage", Global(_STORAGE_OF[dtype]), key, "cpu", math.prod(shape)))
        args = (storage, 0, tuple(shape), tuple(reversed(strides)), False, EMPTY_ORDERED_DICT)
        return Record(_TENSOR, args, None, "call")

    def plain(value: Any) -> Any:
        if isinstance(value, Tensor):
            return record((value.dtype, value.shape), lambda: value)
        if isinstance(value, LazyTensors):
            return {name: record(kind, functools.partial(value.__getitem__, name))
                    for name, kind in value.kinds.items()}
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(plain(item) for item in value)
        return value

    pickled = pickle_writer.dumps(plain(data), protocol=2)
    entries: list[tuple[str, Callable[[], bytes | memoryview]]] = [
        (f"{_ROOT}/data.pkl", lambda: pickled), (f"{_ROOT}/byteorder", lambda: b"little")]
    entries += [(f"{_ROOT}/data/{i}", fetch) for i, fetch in enumerate(fetches)]
    entries += [(f"{_ROOT}/version", lambda: b"3\n")]
    write_zip(file, entries)

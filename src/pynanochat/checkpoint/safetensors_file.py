"""safetensors files, read without a tensor library (bfloat16 stays as its bits) and written in one fixed order.

Layout: 8 bytes little-endian header length, a JSON header, the tensors' bytes without overlap or hole.
Source: huggingface/safetensors README.md, "Format".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from pynanochat.checkpoint.json_file import parse
from pynanochat.checkpoint.layout import STORAGE, is_shape, nbytes, raw, tensor_at
from pynanochat.checkpoint.lazy_tensors import kinds
from pynanochat.checkpoint.mapped_file import map_file
from pynanochat.errors import DamagedFileError, UnsafeFileError, UnsupportedError
from pynanochat.tensor import Tensor

_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
_MAX_HEADER = 1 << 20  # bytes; a model of a hundred layers needs a tenth


class Writable(Protocol):
    """What can be written to."""

    def write(self, data: Any, /) -> int:
        """Append bytes."""
        ...


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, as views of it; `DamagedFileError` or `UnsafeFileError` says what is wrong."""
    view, where = map_file(path), str(path)
    if len(view) < 10:
        raise DamagedFileError(f"{where} has {len(view)} bytes; too short for a safetensors file")
    length = int.from_bytes(view[:8], "little")
    if length > _MAX_HEADER:
        raise UnsafeFileError(f"{where}: a safetensors header of {length:,} bytes; expected at most {_MAX_HEADER:,}")
    if length > len(view) - 8 or view[8] != 0x7B:
        raise DamagedFileError(f"{where}: no safetensors header of {length:,} bytes; get an intact copy")
    header = parse(view[8 : 8 + length].tobytes(), where)
    if not isinstance(header, dict):
        raise DamagedFileError(f"{where}: the safetensors header is no JSON object")
    header.pop("__metadata__", None)
    spans = {name: _entry(entry, name, where) for name, entry in header.items()}
    end = 0
    for name, (_, _, begin, stop) in sorted(spans.items(), key=lambda item: item[1][2:]):
        if begin != end:
            what = "overlaps another tensor" if begin < end else "leaves a hole before it"
            raise UnsafeFileError(f"{where}: tensor {name[:80]!r} {what}; a safetensors file has neither")
        end = stop
    if end != len(view) - 8 - length:
        raise DamagedFileError(f"{where}: the header describes {end:,} bytes of tensors, the file holds "
                               f"{len(view) - 8 - length:,}; get an intact copy")
    return {name: tensor_at(view, 8 + length + begin, shape, dtype)
            for name, (dtype, shape, begin, _) in spans.items()}


def write(
    file: Writable, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], order: Sequence[str] | None = None
) -> None:
    """Write `tensors`, fetched one at a time in `order`; if None the widest first, so that every one is aligned."""
    found = kinds(tensors)
    names = widest_first(tensors) if order is None else order
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name in names:
        dtype, shape = found[name]
        begin, end = end, end + nbytes(shape, dtype)
        header[name] = {"dtype": _CODES[dtype], "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in names:
        file.write(raw(tensors[name]))


def widest_first(tensors: Mapping[str, Tensor]) -> list[str]:
    """Their names by the width of a number, else in the model's order."""
    found = kinds(tensors)
    return sorted(found, key=lambda name: -STORAGE[found[name][0]].itemsize)


def _entry(entry: object, name: str, where: str) -> tuple[str, tuple[int, ...], int, int]:
    def wrong(what: str) -> DamagedFileError:
        return DamagedFileError(f"{where}: tensor {name[:80]!r} has {what}; get an intact copy")

    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise wrong("no dtype, shape and data_offsets")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in _DTYPES:
        raise UnsupportedError(f"{where}: tensor {name[:80]!r} has the dtype {str(code)[:40]!r}; "
                               f"expected one of {', '.join(_DTYPES)}")
    if not is_shape(shape):
        raise wrong("a shape that no tensor has")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(type(offset) is int for offset in offsets):
        raise wrong("no two data offsets")
    begin, end = offsets
    dtype, sizes = _DTYPES[code], tuple(shape)
    if begin < 0 or end - begin != nbytes(sizes, dtype):
        raise UnsafeFileError(f"{where}: tensor {name[:80]!r} of {nbytes(sizes, dtype):,} bytes claims the span "
                              f"{begin:,} to {end:,}")
    return dtype, sizes, begin, end

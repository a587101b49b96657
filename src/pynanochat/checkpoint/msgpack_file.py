"""MessagePack, read as views of the mapped file and written piece by piece: weights are never copied whole.

Source: msgpack/msgpack spec.md. Without extension types, which no model file here has.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, BinaryIO

from pynanochat.errors import CheckpointError, DamagedFileError, UnsafeFileError

_MAX_DEPTH = 32
_MAX_VALUES = 200_000  # a model of a hundred layers has 20,000
_NUMBERS = {
    0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i",
    0xD3: ">q",
}
_LENGTHS = {  # code: (kind, bytes of the length)
    0xC4: ("bin", 1), 0xC5: ("bin", 2), 0xC6: ("bin", 4), 0xD9: ("str", 1), 0xDA: ("str", 2), 0xDB: ("str", 4),
    0xDC: ("array", 2), 0xDD: ("array", 4), 0xDE: ("map", 2), 0xDF: ("map", 4),
}


def load(view: memoryview, where: str) -> Any:
    """The value of a file: dict (keys are str, none twice), list, str, numbers, bool, None; bin is a memoryview."""
    reader = _Reader(view, where)
    value = reader.value(0)
    if reader.at != len(view):
        raise reader.damaged("bytes after the end of the data")
    return value


class _Reader:
    def __init__(self, view: memoryview, where: str) -> None:
        self.view = view
        self.where = where
        self.at = 0
        self.left = _MAX_VALUES

    def damaged(self, what: str) -> CheckpointError:
        return DamagedFileError(f"{self.where}: {what} (byte {self.at:,}); get an intact copy")

    def unsafe(self, what: str) -> CheckpointError:
        return UnsafeFileError(f"{self.where}: {what}; refused, no honest model file has that")

    def take(self, count: int) -> memoryview:
        if count > len(self.view) - self.at:
            raise self.damaged(f"a value of {count:,} bytes in a file that has {len(self.view) - self.at:,} left")
        self.at += count
        return self.view[self.at - count : self.at]

    def value(self, depth: int) -> Any:
        self.left -= 1
        if self.left < 0 or depth > _MAX_DEPTH:
            raise self.unsafe(f"more than {_MAX_VALUES:,} values, or nested more than {_MAX_DEPTH} deep")
        code = self.take(1)[0]
        if code < 0x80 or code >= 0xE0:
            return code - 256 * (code >= 0xE0)
        if code < 0xC0:
            kind, count = ("map", code & 15) if code < 0x90 else ("array", code & 15) if code < 0xA0 else (
                "str", code & 31)
        elif code in _LENGTHS:
            kind, size = _LENGTHS[code]
            count = int.from_bytes(self.take(size), "big")
        elif code in _NUMBERS:
            form = _NUMBERS[code]
            return struct.unpack(form, self.take(struct.calcsize(form)))[0]
        elif code in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[code]
        else:
            raise self.damaged(f"0x{code:02x}, which is no value")
        if kind == "bin":
            return self.take(count)
        if kind == "str":
            return self.text(count)
        if count > len(self.view) - self.at:
            raise self.unsafe(f"{count:,} values in a file that has {len(self.view) - self.at:,} bytes left")
        if count * (1 + (kind == "map")) > self.left:  # before the first of them is read
            raise self.unsafe(f"more than {_MAX_VALUES:,} values")
        return self.map(count, depth) if kind == "map" else [self.value(depth + 1) for _ in range(count)]

    def text(self, count: int) -> str:
        try:
            return str(self.take(count), "utf-8")
        except UnicodeDecodeError:
            raise self.damaged("text that is not UTF-8") from None

    def map(self, count: int, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for _ in range(count):
            key = self.value(depth + 1)
            if not isinstance(key, str):
                raise self.damaged("a key that is no text")
            if key in values:
                raise self.damaged(f"the key {key[:80]!r} twice")
            values[key] = self.value(depth + 1)
        return values


def dump(file: BinaryIO, value: Any) -> None:
    """Write a value in its shortest form; a callable stands for the bytes that it gives when its turn comes."""
    if value is None:
        file.write(b"\xc0")
    elif isinstance(value, bool):
        file.write(b"\xc3" if value else b"\xc2")
    elif isinstance(value, int) and 0 <= value < 1 << 32:
        if value < 0x80:
            file.write(bytes((value,)))
        else:
            file.write(_sized(value, (0xCC, 0xCD, 0xCE)))
    elif isinstance(value, str):
        data = value.encode("utf-8")
        file.write(bytes((0xA0 | len(data),)) if len(data) < 32 else _sized(len(data), (0xD9, 0xDA, 0xDB)))
        file.write(data)
    elif isinstance(value, (list, dict)):
        small, codes = (0x90, (0, 0xDC, 0xDD)) if isinstance(value, list) else (0x80, (0, 0xDE, 0xDF))
        file.write(bytes((small | len(value),)) if len(value) < 16 else _sized(len(value), codes))
        for item in value if isinstance(value, list) else (part for pair in value.items() for part in pair):
            dump(file, item)
    elif isinstance(value, Callable):  # type: ignore[arg-type]
        data = value()
        file.write(_sized(len(data), (0xC4, 0xC5, 0xC6)))
        file.write(data)
    else:
        raise ValueError(f"a {type(value).__name__} cannot be written as MessagePack")


def _sized(count: int, codes: tuple[int, int, int]) -> bytes:
    """A code and a number in as few bytes as the code's family allows; 0 marks a size that it lacks."""
    for code, size in zip(codes, (1, 2, 4), strict=True):
        if code and count < 1 << (8 * size):
            return bytes((code,)) + count.to_bytes(size, "big")
    raise ValueError(f"{count:,} bytes are too many for MessagePack")

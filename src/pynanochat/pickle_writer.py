"""Writes plain data as a pickle that Python and torch read: the counterpart of `unpickle`, equally without `pickle`.

The same data always gives the same bytes: nothing is memoised, keys keep their order.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from pynanochat.unpickle import ORDERED_DICT, Global, Record

EMPTY_ORDERED_DICT = Record(ORDERED_DICT, (), None, "call")
_MAX_DEPTH = 64


@dataclass(frozen=True, slots=True)
class Persistent:
    """An object that lies outside of the pickle, under this id."""

    value: Any


def dumps(value: Any, *, protocol: int = 4) -> bytes:
    """The pickle of plain data, `Global`, `Record` and `Persistent`, in protocol 2 or 4.

    `ValueError` for anything else, for data nested more than 64 deep, and for bytes in protocol 2, which has none.
    Source: CPython Lib/pickletools.py, the opcodes of protocols 2 and 4.
    """
    if protocol not in (2, 4):
        raise ValueError(f"protocol is {protocol!r}; expected 2 or 4")
    out = bytearray((0x80, protocol))
    _write(out, value, protocol, 0)
    out += b"."
    return bytes(out)


def _write(out: bytearray, value: Any, protocol: int, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError(f"data nested more than {_MAX_DEPTH} deep cannot be written as a pickle")
    kind = type(value)
    if value is None:
        out += b"N"
    elif kind is bool:
        out += b"\x88" if value else b"\x89"
    elif kind is int:
        _write_int(out, value)
    elif kind is float:
        out += b"G" + struct.pack(">d", value)
    elif kind is str:
        _write_str(out, value, protocol)
    elif kind is bytes:
        _write_bytes(out, value, protocol)
    elif kind is tuple:
        _write_tuple(out, value, protocol, depth)
    elif kind is list:
        out += b"](" if value else b"]"
        for item in value:
            _write(out, item, protocol, depth + 1)
        out += b"e" if value else b""
    elif kind is dict:
        out += b"}(" if value else b"}"
        for key, item in value.items():
            _write(out, key, protocol, depth + 1)
            _write(out, item, protocol, depth + 1)
        out += b"u" if value else b""
    elif kind is Global:
        _write_global(out, value.name, protocol)
    elif kind is Record:
        _write_global(out, value.name, protocol)
        _write_tuple(out, value.args, protocol, depth)
        out += b"\x81" if value.how == "new" else b"R"
        if value.state is not None:
            _write(out, value.state, protocol, depth + 1)
            out += b"b"
    elif kind is Persistent:
        _write(out, value.value, protocol, depth + 1)
        out += b"Q"
    else:
        raise ValueError(f"a {kind.__name__} cannot be written as a pickle; expected plain data")


def _write_int(out: bytearray, value: int) -> None:
    if 0 <= value < 1 << 8:
        out += b"K" + value.to_bytes(1, "little")
    elif 0 <= value < 1 << 16:
        out += b"M" + value.to_bytes(2, "little")
    elif -(1 << 31) <= value < 1 << 31:
        out += b"J" + value.to_bytes(4, "little", signed=True)
    else:
        size = (value + (value < 0)).bit_length() // 8 + 1
        if size > 16:
            raise ValueError("a whole number of more than 16 bytes cannot be written as a pickle")
        out += b"\x8a" + size.to_bytes(1, "little") + value.to_bytes(size, "little", signed=True)


def _write_str(out: bytearray, value: str, protocol: int) -> None:
    data = value.encode("utf-8")
    if protocol >= 4 and len(data) < 1 << 8:
        out += b"\x8c" + len(data).to_bytes(1, "little") + data
    else:
        out += b"X" + len(data).to_bytes(4, "little") + data


def _write_bytes(out: bytearray, value: bytes, protocol: int) -> None:
    if protocol < 3:
        raise ValueError("bytes cannot be written in protocol 2; expected protocol 4")
    if len(value) < 1 << 8:
        out += b"C" + len(value).to_bytes(1, "little") + value
    else:
        out += b"B" + len(value).to_bytes(4, "little") + value


def _write_tuple(out: bytearray, value: tuple[Any, ...], protocol: int, depth: int) -> None:
    if len(value) > 3:
        out += b"("
    for item in value:
        _write(out, item, protocol, depth + 1)
    out += (b")", b"\x85", b"\x86", b"\x87")[len(value)] if len(value) <= 3 else b"t"


def _write_global(out: bytearray, name: str, protocol: int) -> None:
    module, _, attribute = name.rpartition(".")
    if not module or "\n" in name:
        raise ValueError(f"{name!r} is no dotted name")
    if protocol >= 4:
        _write_str(out, module, protocol)
        _write_str(out, attribute, protocol)
        out += b"\x93"
    else:
        out += b"c" + module.encode("utf-8") + b"\n" + attribute.encode("utf-8") + b"\n"

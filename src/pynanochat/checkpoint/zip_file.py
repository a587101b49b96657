"""The zip files that torch writes: entries stored as they are, so that tensors can be mapped where they lie.

Read by our own index, which trusts no size: every span is inside the file and none overlaps another.
Source: PKWARE APPNOTE.TXT 6.3.10, 4.3.7 (local header), 4.3.12 (central directory), 4.3.14 to 4.3.16 (ends).
"""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pynanochat.checkpoint.mapped_file import map_file
from pynanochat.errors import CheckpointError, DamagedFileError, UnsafeFileError

_LOCAL = struct.Struct("<4s5H3I2H")  # signature version flags method time date crc packed size name extra
_CENTRAL = struct.Struct("<4s6H3I5H2I")  # ... made-by first; name extra comment disk attributes(2) offset
_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_LARGE = 0xFFFFFFFF  # a 32-bit field with this value: the real one is in the zip64 extra field
_DESCRIPTOR, _UTF8 = 1 << 3, 1 << 11  # the flag bits that torch sets
_MAX_ENTRIES = 1 << 16
_MAX_NAME = 512
_ALIGN = 64  # as torch does, so that a mapped tensor begins on a cache line
_CHUNK = 1 << 24


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored file: where its bytes are."""

    offset: int
    size: int
    crc: int


class ZipFile:
    """The index of a mapped zip file."""

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self.view = map_file(path)
        self.entries = self._index()

    def data(self, name: str) -> memoryview:
        """The bytes of an entry, unchecked."""
        entry = self.entries[name]
        return self.view[entry.offset : entry.offset + entry.size]

    def check(self) -> None:
        """Raise `DamagedFileError` where the bytes of an entry do not have its CRC-32."""
        for name, entry in self.entries.items():
            crc = 0
            for start in range(entry.offset, entry.offset + entry.size, _CHUNK):
                crc = zlib.crc32(self.view[start : min(start + _CHUNK, entry.offset + entry.size)], crc)
            if crc != entry.crc:
                raise self._damaged(f"entry {name!r} was altered: its checksum does not match")

    def _index(self) -> dict[str, Entry]:
        start, stop, count = self._directory()
        entries: dict[str, Entry] = {}
        spans: list[tuple[int, int]] = []
        at = start
        for _ in range(count):
            if at + _CENTRAL.size > stop:
                raise self._damaged("the zip index ends early")
            (mark, _, _, flags, method, _, _, crc, packed, size, name_length, extra_length, comment_length, disk, _, _,
             offset) = _CENTRAL.unpack_from(self.view, at)
            name_at = at + _CENTRAL.size
            at = name_at + name_length + extra_length + comment_length
            if mark != b"PK\x01\x02" or at > stop or not 0 < name_length <= _MAX_NAME or disk not in (0, 0xFFFF):
                raise self._damaged("the zip index is damaged")
            raw_name = bytes(self.view[name_at : name_at + name_length])
            extra = bytes(self.view[name_at + name_length : name_at + name_length + extra_length])
            size, packed, offset = self._large(extra, size, packed, offset)
            name = self._name(raw_name)
            if flags & ~(_DESCRIPTOR | _UTF8) or method != 0 or packed != size:
                raise UnsafeFileError(f"{self.where}: zip entry {name!r} is packed or encrypted; "
                                      "torch stores tensors as they are")
            if name in entries:
                raise UnsafeFileError(f"{self.where}: zip entry {name!r} is there twice")
            data = self._local(raw_name, name, offset, flags, size, crc, start)
            entries[name] = Entry(data, size, crc)
            spans.append((offset, data + size))
        if at != stop:
            raise self._damaged("the zip index is longer than its entries")
        spans.sort()
        if any(end > begin for (_, end), (begin, _) in itertools.pairwise(spans)):
            raise UnsafeFileError(f"{self.where}: zip entries that overlap")
        return entries

    def _directory(self) -> tuple[int, int, int]:
        """Begin, end and number of entries of the central directory."""
        size = len(self.view)
        if size < _END.size or bytes(self.view[:2]) != b"PK":
            raise self._damaged("no zip file, as torch has written them since version 1.6")
        end_at = size - _END.size
        mark, *disks, here, count, length, start, comment = _END.unpack_from(self.view, end_at)
        if mark != b"PK\x05\x06" or comment:
            raise self._damaged("the zip file has no end; it is truncated")
        stop = end_at
        claimed = (here, count, length, start)
        if end_at >= _LOCATOR.size + _END64.size and bytes(self.view[end_at - _LOCATOR.size :][:4]) == b"PK\x06\x07":
            stop = end_at - _LOCATOR.size - _END64.size
            _, disk, at, total = _LOCATOR.unpack_from(self.view, end_at - _LOCATOR.size)
            mark, record, _, _, *more, here, count, length, start = _END64.unpack_from(self.view, stop)
            disks += [disk, total - 1, *more]
            if mark != b"PK\x06\x06" or at != stop or record != _END64.size - 12:
                raise self._damaged("the zip file has no proper end")
            for old, new, sentinel in zip(claimed, (here, count, length, start), (0xFFFF, 0xFFFF, _LARGE, _LARGE),
                                          strict=True):
                if old not in (new, sentinel):
                    raise UnsafeFileError(f"{self.where}: the two ends of the zip file contradict each other")
        if any(disks) or here != count or start + length != stop:
            raise self._damaged("the zip file does not end with its index")
        if count > _MAX_ENTRIES or count * _CENTRAL.size > length:
            raise UnsafeFileError(f"{self.where}: a zip index of {count:,} entries in {length:,} bytes")
        return start, stop, count

    def _large(self, extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
        """The three sizes, from the zip64 extra field where they are too large for 32 bits."""
        values, at = [size, packed, offset], 0
        while at + 4 <= len(extra) and _LARGE in values:
            kind, length = struct.unpack_from("<2H", extra, at)
            if kind == 1:
                field = extra[at + 4 : at + 4 + length]
                for i, value in enumerate(values):
                    if value == _LARGE:
                        if len(field) < 8:
                            raise self._damaged("a zip64 size is missing")
                        values[i], field = int.from_bytes(field[:8], "little"), field[8:]
                break
            at += 4 + length
        return values[0], values[1], values[2]

    def _local(self, raw_name: bytes, name: str, offset: int, flags: int, size: int, crc: int, limit: int) -> int:
        """Where an entry's bytes begin, after a header that agrees with the index."""
        if offset + _LOCAL.size > limit:
            raise UnsafeFileError(f"{self.where}: zip entry {name!r} lies outside of the file")
        mark, _, own_flags, method, _, _, own_crc, _, own_size, name_length, extra_length = _LOCAL.unpack_from(
            self.view, offset)
        at = offset + _LOCAL.size
        data: int = at + name_length + extra_length
        if data + size > limit:
            raise UnsafeFileError(f"{self.where}: zip entry {name!r} of {size:,} bytes lies outside of the file")
        said = flags & _DESCRIPTOR or (own_crc == crc and own_size in (size, _LARGE))
        if (mark, own_flags, method) != (b"PK\x03\x04", flags, 0) or not said:
            raise UnsafeFileError(f"{self.where}: zip entry {name!r} differs from the index")
        if bytes(self.view[at : at + name_length]) != raw_name:
            raise UnsafeFileError(f"{self.where}: zip entry {name!r} has another name than in the index")
        return data

    def _name(self, raw_name: bytes) -> str:
        try:
            return raw_name.decode("utf-8")
        except UnicodeDecodeError:
            raise self._damaged("a zip entry whose name is not UTF-8") from None

    def _damaged(self, what: str) -> CheckpointError:
        return DamagedFileError(f"{self.where}: {what}; get an intact copy")


def write(file: BinaryIO, entries: Iterable[tuple[str, Callable[[], bytes | memoryview]]]) -> None:
    """Write entries in order, each fetched when its turn comes, its bytes aligned to 64."""
    at, directory, count = 0, bytearray(), 0
    for name, fetch in entries:
        raw_name, data = name.encode("utf-8"), fetch()
        size, crc, offset = len(data), zlib.crc32(data), at
        large = _pack64(size, size) if size >= _LARGE else b""
        begin = at + _LOCAL.size + len(raw_name) + len(large) + 4
        pad = -begin % _ALIGN
        extra = large + struct.pack("<2H", 0x4246, pad) + bytes(pad)
        short = min(size, _LARGE)
        version = 45 if large else 20
        header = _LOCAL.pack(b"PK\x03\x04", version, _UTF8, 0, 0, 0x21, crc, short, short, len(raw_name), len(extra))
        file.write(header + raw_name + extra)
        file.write(data)
        at = begin + pad + size
        far = [size, size] * (size >= _LARGE) + [offset] * (offset >= _LARGE)
        large = _pack64(*far) if far else b""
        directory += _CENTRAL.pack(
            b"PK\x01\x02", 45, 45 if far else 20, _UTF8, 0, 0, 0x21, crc, short, short, len(raw_name), len(large), 0, 0,
            0, 0, min(offset, _LARGE)) + raw_name + large
        count += 1
    file.write(directory)
    if count >= 0xFFFF or at >= _LARGE:
        file.write(_END64.pack(b"PK\x06\x06", _END64.size - 12, 45, 45, 0, 0, count, count, len(directory), at))
        file.write(_LOCATOR.pack(b"PK\x06\x07", 0, at + len(directory), 1))
    few = min(count, 0xFFFF)
    file.write(_END.pack(b"PK\x05\x06", 0, 0, few, few, len(directory), min(at, _LARGE), 0))


def _pack64(*values: int) -> bytes:
    return struct.pack(f"<2H{len(values)}Q", 1, 8 * len(values), *values)

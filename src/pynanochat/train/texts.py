"""Texts on disk as documents: .txt, .jsonl and .parquet, the first two also as .gz or .xz, and folders of these.

Everything is read as a stream in the order of the sorted names, so memory does not grow with the files.
"""

from __future__ import annotations

import gzip
import json
import lzma
import os
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pynanochat.chat import Message
from pynanochat.errors import DataError
from pynanochat.train.characters import whole_characters
from pynanochat.train.conversations import messages_of
from pynanochat.train.place import place_of

PASSAGE_CHARS = 4_000  # a long .txt is cut at the first blank line after so many
END_OF_TEXT = "<|endoftext|>"  # alone on a line of a .txt it ends a document, as in GPT-2's files and TinyStories
_LONGEST_PASSAGE_CHARS = 64_000  # where there are no blank lines
_MAX_LINE_BYTES = 64 << 20
_MAX_CHARS = 64 << 20
_CHUNK_CHARS = 1 << 16
_OPEN: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".xz": lzma.open}
_KINDS = (".txt", ".jsonl", ".parquet")


@dataclass(frozen=True, slots=True)
class Document:
    """A text or a conversation, which of the given paths it came from, and the place to name where it is wrong."""

    text: str | None = None
    messages: tuple[Message, ...] | None = None
    source: str = ""
    where: str = ""


def documents(
    paths: Iterable[str | os.PathLike[str]], *, key: str | None = None, separator: str | None = None
) -> Iterator[Document]:
    """The documents of files and folders, without those that hold nothing but blanks.

    .txt: a line `<|endoftext|>` ends a document, and one longer than 4,000 characters is cut at the next blank line;
    `separator` cuts just there instead, "" nowhere. .jsonl: a line is an object with its text under `key` (text if
    None) or a conversation under "messages", a bare list of messages, or a bare text. .parquet: the column `key`, else
    text, else messages; needs pyarrow. Raises `DataError` with file and line for what cannot be read.
    """
    found = [(str(path), file) for path in _several(paths) for file in files(path)]
    return _documents(found, key, separator)


def files(path: str | os.PathLike[str]) -> list[Path]:
    """The files of texts under a path, sorted by name; `DataError` where there are none."""
    place = place_of(path, "the path of texts")
    try:
        mode = place.stat().st_mode
    except (OSError, ValueError) as error:
        raise DataError(f"{place} cannot be read: {getattr(error, 'strerror', None) or error}; expected a file or "
                        "folder of texts") from None
    if not stat.S_ISDIR(mode):
        if not stat.S_ISREG(mode):
            raise DataError(f"{place} is no regular file; expected a file or folder of texts")
        _kind(place)
        return [place]
    found: list[Path] = []
    for folder, folders, names in os.walk(place):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(folder, name) for name in names if not name.startswith(".") and _is_text(Path(name))]
    if not found:
        raise DataError(f"{place} holds no text; expected files named {' '.join(_KINDS)}, the first two also with .gz "
                        "or .xz")
    return sorted(found)


def _several(paths: Iterable[str | os.PathLike[str]]) -> list[str | os.PathLike[str]]:
    if isinstance(paths, (str, os.PathLike)):
        return [paths]
    given = list(paths)
    if not given:
        raise DataError("no paths; expected files or folders of texts")
    return given


def _documents(found: list[tuple[str, Path]], key: str | None, separator: str | None) -> Iterator[Document]:
    for source, file in found:
        kind = _kind(file)
        if kind == ".txt":
            for number, text in _texts(file, separator):
                if text := text.strip("\n"):
                    yield Document(text=text, source=source, where=f"{file}, line {number}")
        elif kind == ".jsonl":
            for number, line in _lines(file):
                if line.strip():
                    where = f"{file}, line {number}"
                    yield from _document(_json(line, where), key, source, where)
        else:
            from pynanochat.train.parquet import rows

            for number, value in rows(file, key):
                yield from _document(value, key, source, f"{file}, row {number}")


def _document(value: Any, key: str | None, source: str, where: str) -> Iterator[Document]:
    """One document, or none where it is blank."""
    if isinstance(value, dict):
        known = next((name for name in ((key,) if key else ("messages", "text")) if value.get(name) is not None), None)
        if known is None:
            raise DataError(f"{where}: an object with the keys {_names(value)}; expected {key or 'text or messages'}"
                            f"{'' if key else ', or name the key of the text'}")
        value = messages_of(value[known], where) if known == "messages" else value[known]
    elif key is not None:
        raise DataError(f"{where}: a {type(value).__name__}; expected an object with the key {key!r:.60}")
    if isinstance(value, (list, tuple)):
        messages = value if isinstance(value, tuple) else messages_of(value, where)
        yield Document(messages=messages, source=source, where=where)
    elif not isinstance(value, str):
        raise DataError(f"{where}: a {type(value).__name__}; expected a text, or a list of messages")
    elif not value.isspace() and value:
        yield Document(text=whole_characters(value), source=source, where=where)


def _texts(file: Path, separator: str | None) -> Iterator[tuple[int, str]]:
    """The texts of a .txt and the number of the line in which each ends."""
    if separator is None:
        yield from _passages(file)
        return
    parts: list[str] = []
    rest, size, number = "", 0, 0
    for number, line in _lines(file):
        parts.append(line)
        size += len(line)
        if size >= _CHUNK_CHARS and separator:
            *whole, rest = (rest + "".join(parts)).split(separator)
            parts, size = [], 0
            for text in whole:
                yield number, text
        if len(rest) + size > _MAX_CHARS:
            raise DataError(f"{file}, line {number}: a document of over {_MAX_CHARS:,} characters; name a separator, "
                            "or leave it out to cut at blank lines")
    rest += "".join(parts)
    for text in rest.split(separator) if separator else [rest]:
        yield number, text


def _passages(file: Path) -> Iterator[tuple[int, str]]:
    parts: list[str] = []
    size = number = 0
    for number, line in _lines(file):
        bare = line.strip()
        ends = bare == END_OF_TEXT
        if ends or (size >= PASSAGE_CHARS and not bare) or size >= _LONGEST_PASSAGE_CHARS:
            yield number, "".join(parts)
            parts, size = [], 0
        if not ends and (bare or parts):
            parts.append(line)
            size += len(line)
    yield number, "".join(parts)


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file, each with its number from 1; line ends are \\n."""
    number = 0
    try:
        with _opened(file) as opened:
            while data := opened.readline(_MAX_LINE_BYTES + 1):
                number += 1
                if len(data) > _MAX_LINE_BYTES:
                    raise DataError(f"{file}, line {number}: over {_MAX_LINE_BYTES >> 20} MiB; expected shorter lines")
                if number == 1:
                    data = data.removeprefix(b"\xef\xbb\xbf")
                if data.endswith(b"\r\n"):
                    data = data[:-2] + b"\n"
                yield number, data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{file}, line {number}: byte {error.start} is no UTF-8; expected a UTF-8 text") from None
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise DataError(f"{file}, after line {number}: the compressed file is damaged ({error}); get an intact copy"
                        ) from None
    except OSError as error:
        raise DataError(f"{file}, after line {number}: cannot be read: {error.strerror or error}") from None


def _opened(file: Path) -> BinaryIO:
    opened: BinaryIO = _OPEN[file.suffix](file) if file.suffix in _OPEN else file.open("rb")
    return opened


def _json(line: str, where: str) -> Any:
    try:
        return json.loads(line)
    except RecursionError:
        raise DataError(f"{where}: JSON nested too deep") from None
    except ValueError as error:
        raise DataError(f"{where}: no JSON: {error}; expected one JSON value per line") from None


def _kind(file: Path) -> str:
    suffix = Path(file.stem).suffix if file.suffix in _OPEN else file.suffix
    if not _is_text(file):
        zstd = "; decompress it first (zstd -d)" if file.suffix == ".zst" else ""
        raise DataError(f"{file} is no text that is known by its name; expected {' '.join(_KINDS)}, the first two also "
                        f"with .gz or .xz{zstd}")
    return suffix


def _is_text(file: Path) -> bool:
    if file.suffix in _OPEN:
        return Path(file.stem).suffix in _KINDS[:2]
    return file.suffix in _KINDS


def _names(value: dict[Any, Any]) -> str:
    return f"{', '.join(map(str, value)):.100}" or "none"

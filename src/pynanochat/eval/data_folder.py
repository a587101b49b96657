"""DataFolder: where the tasks' files lie, and how they are read: bounded, in memory, nothing unpacked to disk."""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
import os
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from pynanochat.checkpoint.directory import base_dir
from pynanochat.errors import DataError
from pynanochat.train.texts import END_OF_TEXT

MOST_BYTES = 512 << 20  # of one file, unpacked
MOST_LINES = 1 << 22  # of one file: short ones take far more memory than their bytes
TEXT_KEYS = ("text", "story", "content")  # of a .jsonl document, the first that it has
_END = re.compile(rf"^[^\S\n]*{re.escape(END_OF_TEXT)}[^\S\n]*$", re.MULTILINE)

CORE, MMLU, GSM8K, HUMANEVAL = (
    "core_eval_data.tar.xz", "mmlu_csv.tar.xz", "gsm8k_test.jsonl.xz", "HumanEval.jsonl.gz")
SOURCES = {  # where a file comes from, for whoever lacks it
    CORE: "pack scripts/eval/local_data of github.com/mosaicml/llm-foundry as eval_data/, or put upstream's folder "
          "eval_bundle there",
    MMLU: "pack the CSV files of MMLU (github.com/hendrycks/test) as mmlu/test/*_test.csv with the columns question, "
          "choice0 to choice3, answer",
    GSM8K: "pack test.jsonl of github.com/openai/grade-school-math with xz",
    HUMANEVAL: "it is data/HumanEval.jsonl.gz of github.com/openai/human-eval",
}


class DataFolder:
    """The folder of the evaluation's files; None: NANOCHAT_EVAL_DATA, else eval_data beside upstream's models."""

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        given = folder or os.environ.get("NANOCHAT_EVAL_DATA")
        self.path = Path(given).expanduser() if given else base_dir() / "eval_data"

    def has(self, name: str) -> bool:
        """Whether the folder holds a file or folder of this name."""
        return (self.path / name).exists()

    def need(self, name: str) -> Path:
        """The path of a file; `DataError` says where to get it from if it is not there."""
        path = self.path / name
        if not path.is_file():
            source = SOURCES.get(name)
            raise DataError(f"{path} is not there; name the folder that holds {name} with --data"
                            + (f" ({source})" if source else ""))
        return path

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The objects of a .jsonl file, which may be packed."""
        path = self.need(name)
        return objects(unpacked(path), str(path))


def text_file(path: str | os.PathLike[str]) -> Path:
    """The path of a .txt or .jsonl file, which may be packed as .xz or .gz; `DataError` for any other and for none."""
    place = Path(path)
    if _kind(place) not in (".txt", ".jsonl"):
        raise DataError(f"{place}: expected a .txt or .jsonl file, or one of them packed as .xz or .gz")
    if not place.is_file():
        raise DataError(f"{place} is not there; give the path of a text file")
    return place


def documents(path: str | os.PathLike[str]) -> list[str]:
    """The texts of a .txt file, parted by lines `<|endoftext|>`, or of a .jsonl file, one a line; either may be packed.

    Raises `DataError` for a file that is not there, is damaged, or holds something else.
    """
    place = text_file(path)
    data = unpacked(place)
    if _kind(place) == ".txt":
        return _ended(_text(data, str(place)))
    return [_document(item, f"{place}, line {number}") for number, item in enumerate(objects(data, str(place)), 1)]


def unpacked(path: Path) -> bytes:
    """The bytes of a file, unpacked if it ends in .xz or .gz. Raises `DataError` for a damaged or an absurd one."""
    try:
        with _opened(path) as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error!s:.200}; fetch it again") from None
    if len(data) > MOST_BYTES:
        raise DataError(f"{path} holds more than {MOST_BYTES >> 20} MiB; give a smaller file")
    return data


def members(path: Path, wanted: str = "") -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each plain file in a packed tar whose name starts with `wanted`, read from front to end.

    Raises `DataError` for a damaged archive and for one that unpacks to more than it should.
    """
    left = MOST_BYTES
    try:
        with _opened(path) as file, tarfile.open(fileobj=(whole := _Bounded(file, str(path))), mode="r|") as archive:
            for member in archive:
                if not member.isreg() or not member.name.startswith(wanted):
                    continue
                left -= member.size
                if left < 0:
                    raise DataError(f"{path} holds more than {MOST_BYTES >> 20} MiB; it is no such archive")
                held = archive.extractfile(member)
                assert held is not None, "a plain file can be read"
                yield member.name, held.read()
            while whole.read(1 << 20):  # to the end, where the checksum is
                pass
    except DataError:
        raise
    except (OSError, EOFError, lzma.LZMAError, zlib.error, tarfile.TarError, ValueError, ArithmeticError, LookupError,
            RecursionError) as error:  # tarfile lets some of the last ones pass from what a header says
        raise DataError(f"{path} cannot be read: {error!s:.200}; fetch it again") from None


def objects(data: bytes, where: str) -> list[dict[str, Any]]:
    """The objects of JSON lines."""
    found = []
    for number, line in enumerate(_lines(data, where).split("\n"), 1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except (ValueError, RecursionError):
            item = None
        if not isinstance(item, dict):
            raise DataError(f"{where}, line {number}: expected a JSON object")
        found.append(item)
    if not found:
        raise DataError(f"{where} is empty; expected a JSON object a line")
    return found


def rows(data: bytes, where: str) -> list[dict[str, str]]:
    """The rows of a CSV file by its heading."""
    try:
        return list(csv.DictReader(io.StringIO(_lines(data, where), newline="")))
    except csv.Error as error:
        raise DataError(f"{where}: {error}; expected a CSV file") from None


class _Bounded(io.RawIOBase):
    """Reads no more than `MOST_BYTES` of what a file unpacks to."""

    def __init__(self, file: IO[bytes], where: str) -> None:
        self._file, self._where, self._left = file, where, MOST_BYTES

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(self._left + 1 if size < 0 else min(size, self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise DataError(f"{self._where} holds more than {MOST_BYTES >> 20} MiB; it is no such archive")
        return data


def _kind(path: Path) -> str:
    """The ending of the name, without that of its packing."""
    return path.with_suffix("").suffix if path.suffix in (".xz", ".gz") else path.suffix


def _opened(path: Path) -> IO[bytes]:
    if path.suffix == ".xz":
        return cast("IO[bytes]", lzma.open(path, "rb"))
    return cast("IO[bytes]", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{where} is no UTF-8 text; convert it first") from None


def _ended(text: str) -> list[str]:
    """The texts before and after lines of `END_OF_TEXT`, without the line ends about them; without one the text."""
    parts = _END.split(text)
    return parts if len(parts) == 1 else [part for part in (one.strip("\r\n") for one in parts) if part.strip()]


def _lines(data: bytes, where: str) -> str:
    if data.count(b"\n") + data.count(b"\r") > MOST_LINES:
        raise DataError(f"{where} has more than {MOST_LINES:,} lines; give a smaller file")
    return _text(data, where)


def _document(item: dict[str, Any], where: str) -> str:
    for key in TEXT_KEYS:
        if isinstance(item.get(key), str):
            return cast(str, item[key])
    raise DataError(f"{where}: no text under {', '.join(TEXT_KEYS)}; it has {', '.join(item)!s:.100}")

"""Ready-made texts: openly licensed files that a user has downloaded, as samples beside the generated ones.

What measures a model is never among them: the test files of these projects, two of the books and fifty of the stories.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pynanochat.calculator import calculate
from pynanochat.chat import Message, Part
from pynanochat.errors import DataError
from pynanochat.synthetic.clean_turns import clean_turns
from pynanochat.synthetic.sample import Sample

_LONGEST = 1800  # characters of a chunk or a conversation
_SHORTEST = 200  # of a chunk of a book
_BOOKS_HELD = 2
_STORIES_HELD = 50
_MARK = re.compile(r"<<([^<>=]*)=([^<>]*)>>")
_PLAIN = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "—": " - ", "–": "-", "…": "...", "\u00a0": " ",
                        "\u2060": "", "\ufeff": "", "\u200a": "", "\u2009": " ", "\u00ad": ""})


@dataclass(frozen=True)
class Source:
    """A file that may be trained on."""

    name: str
    file: str
    sha256: str
    licence: str
    repeats: int  # how often each text is given: the smaller and the better the source, the more often
    origin: str


SOURCES = (
    Source("stories", "stories_ccby_en.jsonl.xz", "16566f53d63b3cff807c0a6126eb911e66f9b442f7adadf6142add882a9fa4e9",
           "CC BY (3.0 or 4.0) or public domain, see the file's credits", 4,
           "global-asp/asp-source 99e022369a98, global-asp/pb-source 9ea530dfb001"),
    Source("books", "books_children_cc0.jsonl.xz", "92636b876e9d83ad31265b36f99cb81cf027065c9d497d35d2ac56812db48a72",
           "public domain in the US, Standard Ebooks' work CC0", 1, "20 repositories of github.com/standardebooks"),
    Source("chitchat", "chitchat_mit.jsonl.xz", "8c49d45fd70c8b2c6847174c32ffb20a92cfd351095b0aee415e23344034a763",
           "MIT", 1, "PyPI chitchat_dataset 0.9.0"),
    Source("gsm8k", "gsm8k_train.jsonl.xz", "bf94833f0d3d5446eb99d140c9f38ed6c5b93a557ca449e81f6cd73228b6ad8c",
           "MIT", 2, "openai/grade-school-math 3101c7d50724"),
    Source("taskmaster", "taskmaster4_ccby.jsonl.xz",
           "a2448d3e0dc654da66abc1b0ccbb7edc06ddefc325a851e6838a092f72bac7f5",
           "CC BY 4.0", 1, "google-research-datasets/Taskmaster d92cb6af3005"),
)


def documents(folder: str | Path) -> Iterator[tuple[Source, Sample]]:
    """The training texts of the files that are in the folder, source by source, as often as each is repeated.

    Raises `DataError` where none of them is there, or one is not the file that its name says.
    """
    for source, rows in _files(folder):
        texts = _READERS[source.name]
        for _ in range(source.repeats):
            for sample in texts(rows):
                yield source, sample


def held_out_texts(folder: str | Path, name: str) -> list[str]:
    """What training never sees of the stories, or of the books in chunks. Raises as `documents`."""
    ((_, rows),) = _files(folder, [source for source in SOURCES if source.name == name])
    if name == "books":
        held = _held_books(rows)
        return [chunk for row in rows if row["book"] in held for chunk in _chunks(row["text"])]
    held = _held_stories(rows)
    return [_plain(row["text"]) for row in rows if row["title"] in held]


def _files(
    folder: str | Path, sources: Sequence[Source] | None = None
) -> Iterator[tuple[Source, list[dict[str, Any]]]]:
    sources = SOURCES if sources is None else sources
    found = [source for source in sources if (Path(folder) / source.file).is_file()]
    if not found:
        names = ", ".join(source.file for source in sources)
        raise DataError(f"{folder} holds none of the ready-made texts; expected one or more of: {names}")
    for source in found:
        path = Path(folder) / source.file
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
        digest = hashlib.sha256(raw).hexdigest()
        if digest != source.sha256:
            raise DataError(
                f"{path} has the SHA-256 {digest[:12]}...; expected {source.sha256[:12]}..., the file of "
                f"this name. Get it from {source.origin}, or take it away")
        lines = lzma.decompress(raw).decode("utf-8").split("\n")  # not splitlines: the texts hold other line ends
        yield source, [json.loads(line) for line in lines if line]


def _plain(text: str) -> str:
    return text.translate(_PLAIN).replace("  ", " ").strip()


def _held_stories(rows: list[dict[str, Any]]) -> frozenset[str]:
    """The titles of those stories that are kept for measuring: the fifty with the smallest checksums."""
    titles = dict.fromkeys(row["title"] for row in rows)
    return frozenset(sorted(titles, key=lambda title: (zlib.crc32(title.encode("utf-8")), title))[:_STORIES_HELD])


def _held_books(rows: list[dict[str, Any]]) -> frozenset[str]:
    """The last two books, by name."""
    return frozenset(sorted({row["book"] for row in rows})[-_BOOKS_HELD:])


def _stories(rows: list[dict[str, Any]]) -> Iterator[Sample]:
    held = _held_stories(rows)
    for row in rows:
        if row["title"] not in held:
            for number, chunk in enumerate(_chunks(row["text"])):
                yield Sample(kind="stories", text=f"{_plain(row['title'])}\n\n{chunk}" if number == 0 else chunk)


def _books(rows: list[dict[str, Any]]) -> Iterator[Sample]:
    held = _held_books(rows)
    for row in rows:
        if row["book"] not in held:
            for chunk in _chunks(row["text"]):
                if len(chunk) >= _SHORTEST:
                    yield Sample(kind="books", text=chunk)


def _chunks(text: str) -> Iterator[str]:
    """Whole paragraphs together, up to the longest size where a paragraph is not longer itself."""
    chunk: list[str] = []
    size = 0
    for paragraph in filter(None, map(str.strip, re.split(r"\n+", _plain(text)))):
        if chunk and size + len(paragraph) > _LONGEST:
            yield "\n\n".join(chunk)
            chunk, size = [], 0
        chunk.append(paragraph)
        size += len(paragraph) + 2
    if chunk:
        yield "\n\n".join(chunk)


def _talks(kind: str) -> Callable[[list[dict[str, Any]]], Iterator[Sample]]:
    def talks(rows: list[dict[str, Any]]) -> Iterator[Sample]:
        for row in rows:
            for turns in clean_turns([(int(who), _plain(said)) for who, said in row["turns"]], _LONGEST):
                yield Sample(kind=kind, messages=tuple(
                    Message(role="assistant" if place % 2 else "user", content=said) for place,
                    said in enumerate(turns)))

    return talks


def _gsm8k(rows: list[dict[str, Any]]) -> Iterator[Sample]:
    for row in rows:
        question, solution = _plain(row["question"]), _solution(_plain(row["answer"]))
        yield Sample(kind="gsm8k", messages=(
            Message(role="user", content=question), Message(role="assistant", content=solution)))


def _solution(answer: str) -> list[Part]:
    """The answer with its <<sum=result>> marks as calls of the calculator, where ours gives the same result."""
    parts: list[Part] = []
    text, at = "", 0
    for found in _MARK.finditer(answer):
        text += answer[at : found.start()]
        at = found.end()
        result = calculate(found[1])
        if result is not None and _same(result, found[2]):
            parts += [{"type": "text", "text": text}] if text else []
            parts += [{"type": "python", "text": found[1]}, {"type": "python_output", "text": result}]
            text = ""
    return [*parts, {"type": "text", "text": text + answer[at:]}]


def _same(result: str, told: str) -> bool:
    try:
        return abs(float(result) - float(told.replace(",", ""))) < 1e-9
    except ValueError:
        return False


_READERS: dict[str, Callable[[list[dict[str, Any]]], Iterator[Sample]]] = {
    "stories": _stories, "books": _books, "chitchat": _talks("chitchat"), "gsm8k": _gsm8k,
    "taskmaster": _talks("taskmaster")}

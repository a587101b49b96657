"""nanochat train tokenizer: a vocabulary made from texts, and how well it fits them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pynanochat.cli.control_characters import visible
from pynanochat.cli.options import Json
from pynanochat.cli.terminal import amount, console, emit, paint, say, table

if TYPE_CHECKING:
    from pynanochat.train.texts import Document
    from pynanochat.train.tokenizer_report import Fit, Report

_EVERY = 5.0  # seconds between two lines of progress


def train_tokenizer(
    *paths: Annotated[Path, Parameter(help=".txt, .jsonl (also .gz, .xz) or .parquet files, or folders of these.")],
    out: Annotated[Path, Parameter(help="The folder to write tokenizer.json to.")],
    vocab_size: Annotated[int, Parameter(help="How many tokens, the nine special ones included.")] = 4096,
    max_chars: Annotated[int, Parameter(help="Characters of a document that count.")] = 10_000,
    key: Annotated[str | None, Parameter(help="The key or column of the text; text or messages if left out.")] = None,
    separator: Annotated[str | None, Parameter(
        help=r"What parts the documents of a .txt, such as \n\n; if left out, a line <|endoftext|>, and a blank line "
             "after 4,000 characters.", show_default=False)] = None,
    json: Json = False,
) -> int:
    """Train a tokenizer on texts: the same texts give the same one. Then measure how well it fits them."""
    from pynanochat.errors import DataError
    from pynanochat.train.texts import documents
    from pynanochat.train.tokenizer import texts_of, train
    from pynanochat.train.tokenizer_report import report

    def read(what: str) -> Iterator[Document]:
        return told(documents(paths, key=key, separator=unescaped(separator)), what)

    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file; give the name of a folder")
    tokenizer = train(texts_of(read("reading")), vocab_size, max_chars=max_chars)
    found = report(tokenizer, read("measuring"))
    try:
        file = tokenizer.save(out)
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror or error}") from None
    if tokenizer.vocab_size < vocab_size:
        say(f"note: the texts have pairs for {tokenizer.vocab_size:,} tokens only, not for {vocab_size:,}", "dim")
    if json:
        emit({"path": str(file)} | found.to_dict())
        return 0
    _show(found)
    say(f"{file}: {tokenizer.vocab_size:,} tokens, {found.total.bytes_per_token:.2f} bytes per token", "dim")
    return 0


def told(documents: Iterable[Document], what: str) -> Iterator[Document]:
    """The documents as they are; from time to time stderr says how far they are."""
    said = time.monotonic()
    chars = 0
    for count, document in enumerate(documents, 1):
        chars += len(document.text or "")
        yield document
        if (now := time.monotonic()) - said > _EVERY:
            said = now
            say(f"{what}: {count:,} documents{f', {amount(chars)} characters' if chars else ''} ...", "dim")


def unescaped(separator: str | None) -> str | None:
    r"""A separator as a shell passes it: \n and \t are meant as in Python."""
    return None if separator is None else separator.replace("\\n", "\n").replace("\\t", "\t")


def _show(found: Report) -> None:
    def row(name: str, fit: Fit) -> tuple[str, ...]:
        return (visible(name), f"{fit.documents:,}", f"{fit.bytes:,}", f"{fit.tokens:,}", f"{fit.bytes_per_token:.3f}")

    rows = [row(name, fit) for name, fit in found.sources.items()]
    if len(rows) > 1:
        rows.append(row("all", found.total))
    console().print(table(("source", "documents", "bytes", "tokens", "bytes per token"), rows, right=(1, 2, 3, 4)))
    print(f"{paint('never used', 'bold', sys.stdout):<12} {found.unused:,} of {found.vocab_size:,} tokens")
    print(f"{paint('longest', 'bold', sys.stdout):<12} {visible(' '.join(map(repr, found.longest)))}")

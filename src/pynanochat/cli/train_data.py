"""nanochat train data: texts and conversations as shards of tokens, ready to be trained on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from pynanochat.cli.control_characters import visible
from pynanochat.cli.options import Json
from pynanochat.cli.terminal import amount, console, emit, say, table
from pynanochat.cli.train_tokenizer import unescaped

if TYPE_CHECKING:
    from pynanochat.train.shard_index import Index

_EVERY = 5.0  # seconds between two lines of progress
_MANY_BYTES = 64 << 20  # of files, from which on starting more processes pays


def train_data(
    *paths: Annotated[Path, Parameter(
        help=".txt, .jsonl (also .gz, .xz) or .parquet files of texts or conversations, or folders of these.")],
    tokenizer: Annotated[Path, Parameter(help="The tokenizer's file or folder.")],
    out: Annotated[Path, Parameter(help="The folder to write; one of shards is replaced.")],
    val_share: Annotated[float, Parameter(help="Share of the documents held out, chosen by their content.")] = 0.02,
    key: Annotated[str | None, Parameter(help="The key or column of the text; text or messages if left out.")] = None,
    separator: Annotated[str | None, Parameter(
        help=r"What parts the documents of a .txt, such as \n\n; if left out, a line <|endoftext|>, and a blank line "
             "after 4,000 characters.", show_default=False)] = None,
    processes: Annotated[int | None, Parameter(
        help="Processes to work with; of 64 MiB on as many as there are cores, if left out.")] = None,
    json: Json = False,
) -> int:
    """Turn texts into tokens: documents in the splits train and val, with an index and checksums."""
    from pynanochat.cores import cores
    from pynanochat.tokenizer import Tokenizer
    from pynanochat.train import shards
    from pynanochat.train.texts import documents, files

    words = Tokenizer.load(tokenizer)
    if processes is None:
        size = sum(file.stat().st_size for path in paths for file in files(path))
        processes = cores() if size >= _MANY_BYTES else 1
    began = said = time.monotonic()

    def progress(done: int, tokens: int) -> None:
        nonlocal said
        if (now := time.monotonic()) - said > _EVERY:
            said = now
            say(f"{done:,} documents, {amount(tokens)} tokens, {amount(tokens / (now - began))} tokens/s ...", "dim")

    found = documents(paths, key=key, separator=unescaped(separator))
    try:
        index = shards.write(out, found, words, val_share=val_share, processes=processes, progress=progress)
    except KeyboardInterrupt:
        say(f"stopped; {out} is as it was before")
        raise
    seconds = time.monotonic() - began
    splits = {name: _sums(index, name) for name in ("train", "val")}
    total = sum(split["tokens"] for split in splits.values())
    if json:
        emit({"path": str(out), "vocab_size": index.vocab_size, "tokenizer_sha256": index.tokenizer_sha256,
              "splits": splits, "sources": index.sources, "seconds": round(seconds, 3)})
        return 0
    rows = [(name, *(f"{split[key]:,}" for key in ("documents", "conversations", "tokens", "text_bytes", "shards")))
            for name, split in splits.items()]
    console().print(table(("split", "documents", "conversations", "tokens", "bytes of text", "shards"), rows,
                          right=(1, 2, 3, 4, 5)))
    if len(index.sources) > 1:
        shares = [(visible(name), f"{counted['documents']:,}", f"{counted['tokens']:,}",
                   f"{counted['tokens'] / total:.1%}") for name, counted in index.sources.items()]
        console().print(table(("source", "documents", "tokens", "share"), shares, right=(1, 2, 3)))
    if not splits["val"]["documents"]:
        say("note: the split val is empty, so nothing can be measured on it", "dim")
    say(f"{out}: {amount(total)} tokens in {seconds:.1f} s, {amount(total / max(seconds, 1e-9))} tokens/s", "dim")
    return 0


def _sums(index: Index, split: str) -> dict[str, Any]:
    files = [shard for shard in index.shards if shard.split == split]
    counts = {name: sum(getattr(shard, name) for shard in files)
              for name in ("documents", "conversations", "tokens", "text_bytes")}
    return counts | {"shards": len(files)}

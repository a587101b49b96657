"""Writing of shards: documents as they come, to files of bounded size, the folder whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynanochat.checkpoint import json_file, safetensors_file, staging
from pynanochat.checkpoint.staging import HashingFile
from pynanochat.errors import CheckpointError, DataError
from pynanochat.tensor import Tensor
from pynanochat.tokenizer import Tokenizer
from pynanochat.train.place import place_of
from pynanochat.train.shard_index import FORMAT, INDEX, SHARD_NAME, SPLITS, TOKENIZER, Index, ShardFile, fingerprint
from pynanochat.train.texts import Document
from pynanochat.train.tokenization import Encoded, encode_all, token_dtype

SHARD_TOKENS = 1 << 24
VAL_SHARE = 0.02
_MAX_SOURCES = 1000

Progress = Callable[[int, int], None]  # documents and tokens so far


def write(
    folder: str | os.PathLike[str], documents: Iterable[Document], tokenizer: Tokenizer, *,
    val_share: float = VAL_SHARE, processes: int = 1, shard_tokens: int = SHARD_TOKENS,
    progress: Progress | None = None,
) -> Index:
    """The index of the folder that now holds the documents as tokens, with the tokenizer beside them.

    A document is held out for `val` where the 64-bit BLAKE2b of its content, as a fraction, is below `val_share`; if
    that is none, the document with the least: so equal documents are on the same side, and where they came does not
    matter. The same documents give the same files, whatever `processes`. A folder of shards is replaced, nothing else
    is. Raises `DataError` where there is no document, or it cannot be written.
    """
    if not 0 <= val_share < 1:
        raise DataError(f"val_share is {val_share!r}; expected 0 or more and less than 1")
    if type(shard_tokens) is not int or shard_tokens < 1:
        raise DataError(f"shard_tokens is {shard_tokens!r}; expected a whole number, 1 or more")
    with (_replacing(place_of(folder, "the folder to write").resolve()) as stage,
          contextlib.closing(encode_all(documents, tokenizer, processes)) as encoded):
        writer = _Writer(stage, tokenizer, shard_tokens)
        for split, one in _split(encoded, val_share):
            writer.add(split, one)
            if progress is not None:
                progress(writer.documents, writer.tokens)
        index = writer.end(val_share)
    return index


def _split(encoded: Iterable[Encoded], val_share: float) -> Iterator[tuple[str, Encoded]]:
    """Each document and its split; until one is held out by the rule, that with the least digest waits."""
    limit, waiting, trained = int(val_share * 2**64), list[Encoded](), False
    found = limit == 0
    for one in encoded:
        if one.digest < limit:
            found = True
            yield "val", one
        elif found or (waiting and one.digest > waiting[0].digest):
            trained = True
            yield "train", one
        elif waiting and one.digest == waiting[0].digest:
            waiting.append(one)
        else:
            trained = trained or bool(waiting)
            yield from (("train", other) for other in waiting)
            waiting = [one]
            continue
        if found:
            yield from (("train", other) for other in waiting)
            trained, waiting = trained or bool(waiting), []
    yield from (("val" if trained and not found else "train", other) for other in waiting)


class _Open:
    """A shard in memory, until it is full."""

    def __init__(self, tokens: int, dtype: np.dtype[Any]) -> None:
        self.tokens = np.empty(tokens, dtype)  # the system gives memory only where it is written
        self.mask: NDArray[np.uint8] | None = None
        self.starts: list[int] = []
        self.conversations = self.end = 0

    def add(self, one: Encoded) -> None:
        begin, self.end = self.end, self.end + len(one.tokens)
        self.starts.append(begin)
        self.tokens[begin : self.end] = one.tokens
        if one.mask is not None:
            self.conversations += 1
            if self.mask is None:
                self.mask = np.ones(len(self.tokens), np.uint8)
            self.mask[begin : self.end] = one.mask


class _Writer:
    def __init__(self, stage: Path, tokenizer: Tokenizer, shard_tokens: int) -> None:
        self.stage, self.tokenizer, self.shard_tokens = stage, tokenizer, shard_tokens
        self.dtype = token_dtype(tokenizer.vocab_size)
        self.token_bytes = np.array(tokenizer.token_bytes(), np.int64)
        self.open: dict[str, _Open] = {}
        self.written: list[ShardFile] = []
        self.sources: dict[str, list[int]] = {}
        self.documents = self.tokens = 0

    def add(self, split: str, one: Encoded) -> None:
        if len(one.tokens) < 2:
            return  # <|bos|> alone teaches nothing
        shard = self.open.get(split)
        if shard is not None and shard.end + len(one.tokens) > len(shard.tokens):
            self._write(split)
            shard = None
        if shard is None:
            shard = self.open[split] = _Open(max(self.shard_tokens, len(one.tokens)), self.dtype)
        shard.add(one)
        self.documents += 1
        self.tokens += len(one.tokens)
        name = one.source if one.source in self.sources or len(self.sources) < _MAX_SOURCES else "others"
        counted = self.sources.setdefault(name, [0, 0, 0])
        for place, more in enumerate((1, len(one.tokens), int(self.token_bytes[one.tokens].sum()))):
            counted[place] += more

    def end(self, val_share: float) -> Index:
        for split in SPLITS:
            if split in self.open:
                self._write(split)
        if not self.documents:
            raise DataError("there is no document to train on; expected at least one that is not blank")
        names = ("documents", "tokens", "text_bytes")
        index = Index(
            self.tokenizer.vocab_size, self.tokenizer.bos, fingerprint(self.tokenizer), float(val_share),
            {name: dict(zip(names, counted, strict=True)) for name, counted in self.sources.items()},
            tuple(sorted(self.written, key=lambda shard: shard.file)))
        self.tokenizer.save(self.stage)
        (self.stage / INDEX).write_bytes(json_file.dumps(index.to_dict()))
        return index

    def _write(self, split: str) -> None:
        shard = self.open.pop(split)
        tokens = shard.tokens[: shard.end]
        tensors = {"starts": Tensor.of(np.array(shard.starts, np.int64)), "tokens": stored(tokens)}
        if shard.mask is not None:
            tensors["mask"] = Tensor.of(shard.mask[: shard.end])
        name = f"{split}_{sum(one.split == split for one in self.written):06}.safetensors"
        with HashingFile(self.stage / name) as file:
            safetensors_file.write(file, tensors, {})
            digest = file.hexdigest()
        self.written.append(ShardFile(name, split, len(shard.starts), shard.conversations, len(tokens),
                                      int(self.token_bytes[tokens].sum()), digest))


def stored(tokens: NDArray[Any]) -> Tensor:
    """The tokens as they lie in a file: the bits of signed integers, since our safetensors files have no unsigned."""
    signed = tokens.view(f"<i{tokens.dtype.itemsize}")
    return Tensor(signed, signed.dtype.name)


@contextlib.contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """A new folder that takes the place of `target` when the block ends well, and vanishes when it does not."""
    try:
        with staging.replacing(target, _check_target) as stage:
            yield stage
    except CheckpointError as error:
        raise DataError(str(error)) from None


def _check_target(target: Path) -> None:
    """Raise `DataError` unless it is new, empty, or holds shards alone."""
    if not target.name:
        raise DataError(f"{target} holds other files, which would be lost; give a new folder")
    if not target.exists():
        return
    if not target.is_dir():
        raise DataError(f"{target} is a file; give the name of a folder for the shards")
    names = sorted(entry.name for entry in target.iterdir())
    foreign = [name for name in names if name not in (INDEX, TOKENIZER) and not SHARD_NAME.fullmatch(name)]
    ours = INDEX in names and FORMAT.encode("ascii") in (target / INDEX).read_bytes()[:200]
    if foreign or (names and not ours):
        raise DataError(f"{target} holds {(foreign or names)[0]!r:.60}, which would be lost; give a new folder")

"""Shards: documents as tokens on disk, memory-mapped, in the splits train and val. `write` makes them, `open` reads.

A shard is a safetensors file with `tokens` (N,), int16 or int32 whose bits are unsigned, `starts` (documents,), where
each document begins, and for conversations `mask` (N,), 1 where the model learns to say the token.
"""

from __future__ import annotations

import bisect
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynanochat.checkpoint import mapped_file, safetensors_file
from pynanochat.errors import CheckpointError, DataError, TokenizerError
from pynanochat.tokenizer import Tokenizer
from pynanochat.train.place import place_of
from pynanochat.train.shard_index import SPLITS, TOKENIZER, Index, ShardFile, fingerprint
from pynanochat.train.shard_writer import write
from pynanochat.train.tokenization import token_dtype

__all__ = ["Shards", "Split", "open", "write"]

_CHUNK = 1 << 22  # tokens looked at together


class Shards:
    """A folder of shards; `splits` are those of its splits that hold documents."""

    def __init__(self, folder: Path, index: Index, splits: dict[str, Split]) -> None:
        self.folder, self.index, self.splits = folder, index, splits

    @property
    def vocab_size(self) -> int:
        """V of the tokenizer that made them."""
        return self.index.vocab_size

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that made them; `DataError` where its file is another one by now."""
        try:
            tokenizer = Tokenizer.load(self.folder / TOKENIZER)
        except (TokenizerError, CheckpointError) as error:
            raise DataError(str(error)) from None
        self.check(tokenizer)
        return tokenizer

    def split(self, name: str) -> Split:
        """A split; `DataError` where it holds nothing."""
        if name not in SPLITS:
            raise DataError(f"there is no split {name!r:.40}; expected {' or '.join(SPLITS)}")
        if name not in self.splits:
            raise DataError(f"{self.folder}: the split {name} is empty; write the shards again from more texts"
                            f"{', or with a val_share above 0' if name == 'val' else ''}")
        return self.splits[name]

    def check(self, tokenizer: Tokenizer | None = None, vocab_size: int | None = None) -> None:
        """Raise `DataError` unless they were made by this tokenizer and fit a model of `vocab_size` ids."""
        if tokenizer is not None and fingerprint(tokenizer) != self.index.tokenizer_sha256:
            raise DataError(f"{self.folder} was made by another tokenizer, of {self.vocab_size:,} tokens, than this "
                            f"one of {tokenizer.vocab_size:,}; write the shards again with the model's tokenizer")
        if vocab_size is not None and vocab_size != self.vocab_size:
            raise DataError(f"{self.folder} has {self.vocab_size:,} tokens, the model {vocab_size:,}; write the shards "
                            "again with the model's tokenizer")

    def verify(self) -> None:
        """Read every byte and raise `DataError` where one is not as it was written."""
        for shard in self.index.shards:
            path = self.folder / shard.file
            try:
                same = mapped_file.sha256(path) == shard.sha256
            except CheckpointError as error:
                raise DataError(str(error)) from None
            if not same:
                raise DataError(f"{path} has changed since it was written: its SHA-256 is another; write the shards "
                                "again")
        for split in self.splits.values():
            split.verify(self.index)


class Split:
    """The documents of a split, numbered from 0; `lengths` (documents,) counts the tokens of each."""

    def __init__(self, folder: Path, files: list[ShardFile], dtype: np.dtype[Any]) -> None:
        self.files = files
        self._tensors = [_open_shard(folder / file.file, file, dtype) for file in files]
        self._first = np.cumsum([0] + [file.documents for file in files]).tolist()
        self.documents = self._first[-1]
        self.tokens = sum(file.tokens for file in files)
        self.text_bytes = sum(file.text_bytes for file in files)
        self.conversations = sum(file.conversations for file in files)
        self.lengths = np.concatenate([np.diff(starts, append=len(tokens)) for tokens, starts, _ in self._tensors])

    def document(self, number: int) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
        """A document's tokens and mask, views of the file; the mask is None where every token is taught."""
        place = bisect.bisect_right(self._first, number) - 1
        tokens, starts, mask = self._tensors[place]
        begin = int(starts[number - self._first[place]])
        end = begin + int(self.lengths[number])
        return tokens[begin:end], None if mask is None else mask[begin:end]

    def verify(self, index: Index) -> None:
        """Raise `DataError` for tokens that the vocabulary does not have, or a document that begins in its middle."""
        for file, (tokens, starts, _) in zip(self.files, self._tensors, strict=True):
            largest = max(int(tokens[at : at + _CHUNK].max()) for at in range(0, len(tokens), _CHUNK))
            if largest >= index.vocab_size or (tokens[starts] != index.bos).any():
                raise DataError(f"{file.file} holds tokens that the tokenizer does not make; write the shards again")


def open(folder: str | os.PathLike[str]) -> Shards:  # noqa: A001 - shards.open
    """The shards of a folder, mapped; `Shards.verify` compares their checksums. Raises `DataError`."""
    place = place_of(folder, "the folder of shards")
    index = Index.read(place)
    dtype = token_dtype(index.vocab_size)
    try:
        files = {name: [shard for shard in index.shards if shard.split == name] for name in SPLITS}
        return Shards(place, index, {name: Split(place, found, dtype) for name, found in files.items() if found})
    except CheckpointError as error:
        raise DataError(str(error)) from None


def _open_shard(
    path: Path, file: ShardFile, dtype: np.dtype[Any]
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.uint8] | None]:
    found = safetensors_file.read(path)
    expected = {"tokens": (f"int{8 * dtype.itemsize}", file.tokens), "starts": ("int64", file.documents)}
    if file.conversations:
        expected["mask"] = ("uint8", file.tokens)
    if {name: (one.dtype, *one.shape) for name, one in found.items()} != expected:
        raise DataError(f"{path} does not hold what the index says; write the shards again")
    starts: NDArray[np.int64] = found["starts"].data
    if starts[0] != 0 or starts[-1] >= file.tokens or (np.diff(starts) < 1).any():
        raise DataError(f"{path}: its documents do not follow each other; write the shards again")
    mask = found.get("mask")
    return found["tokens"].data.view(dtype), starts, None if mask is None else mask.data

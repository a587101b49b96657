"""The index of a folder of shards: which files there are, what they hold and which tokenizer made them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pynanochat import tokenizer_json
from pynanochat.checkpoint import json_file
from pynanochat.errors import CheckpointError, DataError
from pynanochat.tokenizer import Tokenizer
from pynanochat.train.tokenization import token_dtype
from pynanochat.vocabulary import Vocabulary

FORMAT, VERSION = "pynanochat-shards", 1
SPLITS = ("train", "val")
INDEX, TOKENIZER = "index.json", "tokenizer.json"
SHARD_NAME = re.compile(r"(train|val)_[0-9]{6}\.safetensors")
_MAX_BYTES = 32 << 20  # of the index: a hundred thousand shards
_MAX_COUNT = 1 << 48
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ShardFile:
    """A file of one split; `text_bytes` are those that its tokens stand for, special ones counting nothing."""

    file: str
    split: str
    documents: int
    conversations: int  # of the documents; a file with one has a mask
    tokens: int
    text_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Index:
    """What index.json holds."""

    vocab_size: int
    bos: int
    tokenizer_sha256: str
    val_share: float
    sources: dict[str, dict[str, int]]  # documents, tokens and text_bytes by source
    shards: tuple[ShardFile, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as it is written."""
        return {"format": FORMAT, "version": VERSION, "dtype": token_dtype(self.vocab_size).name, **asdict(self)}

    @classmethod
    def read(cls, folder: Path) -> Index:
        """The checked index of a folder; `DataError` where it is none of a folder of shards."""
        path = folder / INDEX
        if not path.is_file():
            raise DataError(f"{folder} holds no {INDEX}; expected a folder that `nanochat train data` wrote")
        try:
            found = json_file.read(path, _MAX_BYTES)
        except CheckpointError as error:
            raise DataError(str(error)) from None
        if found.get("format") != FORMAT:
            raise DataError(f"{path} is no index of shards; expected a folder that `nanochat train data` wrote")
        if found.get("version") != VERSION:
            raise DataError(f"{path} has version {found.get('version')!r:.20}; this program reads {VERSION}")
        return cls._checked(found, path)

    @classmethod
    def _checked(cls, found: dict[str, Any], path: Path) -> Index:
        def need(right: bool, what: str) -> None:
            if not right:
                raise DataError(f"{path}: {what}; write the shards again")

        vocab_size, sources, shards = found.get("vocab_size"), found.get("sources"), found.get("shards")
        need(_count(vocab_size, 1 << 31) and _count(found.get("bos"), vocab_size), "no vocab_size and bos that can be")
        need(found.get("dtype") == token_dtype(found["vocab_size"]).name, "a dtype that does not fit vocab_size")
        need(_hash(found.get("tokenizer_sha256")), "no SHA-256 of a tokenizer")
        need(type(found.get("val_share")) in (int, float), "no val_share")
        need(isinstance(sources, dict) and all(isinstance(one, dict) and all(_count(n) for n in one.values())
                                               for one in sources.values()), "no counts by source")
        need(isinstance(shards, list), "no list of shards")
        names = {field.name for field in fields(ShardFile)}
        made: list[ShardFile] = []
        for entry in shards:  # type: ignore[union-attr]
            need(isinstance(entry, dict) and set(entry) == names, f"a shard without just {', '.join(sorted(names))}")
            match = SHARD_NAME.fullmatch(entry["file"]) if isinstance(entry["file"], str) else None
            need(match is not None and match[1] == entry["split"], "a shard whose file is not named after its split")
            need(all(_count(entry[name]) for name in ("documents", "conversations", "tokens", "text_bytes"))
                 and 0 < entry["documents"] <= entry["tokens"] and entry["conversations"] <= entry["documents"]
                 and _hash(entry["sha256"]), f"shard {entry['file']} has counts or a SHA-256 that cannot be")
            made.append(ShardFile(**entry))
        need(len({shard.file for shard in made}) == len(made), "the same shard twice")
        return cls(found["vocab_size"], found["bos"], found["tokenizer_sha256"], float(found["val_share"]),
                   found["sources"], tuple(made))


def fingerprint(tokenizer: Tokenizer) -> str:
    """The SHA-256 of the tokenizer.json that this tokenizer saves."""
    vocabulary = Vocabulary.of(tokenizer.ranks, tokenizer.special_tokens, tokenizer.pattern)
    return hashlib.sha256(tokenizer_json.write(vocabulary)).hexdigest()


def _count(value: Any, limit: Any = _MAX_COUNT) -> bool:
    return type(value) is int and 0 <= value < limit


def _hash(value: Any) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None

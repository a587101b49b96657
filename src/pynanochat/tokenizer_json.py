"""tokenizer.json, the layout of Hugging Face's tokenizers library, for byte-level BPE as nanochat uses it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from pynanochat.errors import DamagedFileError, TokenizerError, UnsafeFileError
from pynanochat.vocabulary import Vocabulary

_MAX_VALUES = 1_600_000  # a vocabulary of 65,536 has 0.5 million of them
Merge = tuple[str, str]


class _Split(msgspec.Struct):
    regex: str = msgspec.field(name="Regex")


class _Step(msgspec.Struct):
    type: str
    pattern: _Split | None = None
    behavior: str | None = None
    invert: bool = False
    add_prefix_space: bool = True
    use_regex: bool = True


class _Steps(msgspec.Struct):
    type: str
    pretokenizers: list[_Step] = []


class _Typed(msgspec.Struct):
    type: str


class _Added(msgspec.Struct):
    id: int
    content: str
    special: bool = False


class _Model(msgspec.Struct):
    vocab: dict[str, int]
    merges: list[Merge | str]
    type: str = "BPE"
    dropout: float | None = None
    unk_token: str | None = None
    continuing_subword_prefix: str | None = None
    end_of_word_suffix: str | None = None
    byte_fallback: bool = False


class _File(msgspec.Struct):
    model: _Model
    pre_tokenizer: _Steps
    decoder: _Typed | None = None
    normalizer: _Typed | None = None
    added_tokens: list[_Added] = []


def _alphabet() -> list[str]:
    """The character that stands for each byte: itself where it is visible, else the next free one from U+0100.

    Source: openai/gpt-2, src/encoder.py, which all byte-level vocabularies follow.
    """
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = iter(range(0x100, 0x200))
    return [chr(byte if byte in visible else next(spare)) for byte in range(256)]


_CHARACTERS = _alphabet()
_BYTES = {character: byte for byte, character in enumerate(_CHARACTERS)}


def parse(data: bytes, where: str) -> Vocabulary:
    """The vocabulary in a tokenizer.json whose ids are ranks, so that merging by rank is what the file means.

    Raises `DamagedFileError` where it is no JSON, `UnsafeFileError` where it is absurdly nested, and `TokenizerError`
    where it describes another kind of tokenizer than nanochat's.
    """
    try:
        file = msgspec.convert(_json(data, where), _File)
    except msgspec.ValidationError as error:
        raise TokenizerError(f"{where}: not the layout of a byte-level BPE tokenizer: {error!s:.160}") from None
    pattern = _pattern(file, where)
    special = _special_tokens(file.added_tokens, where)
    vocab = {text: token for text, token in file.model.vocab.items() if special.get(text) != token}
    try:
        ranks = {bytes(map(_BYTES.__getitem__, text)): rank for text, rank in vocab.items()}
    except KeyError as error:
        raise TokenizerError(f"{where}: {error.args[0]!r} in the vocabulary stands for no byte") from None
    vocabulary = Vocabulary.of(ranks, special, pattern, where)
    _check_merges(file.model.merges, vocab, where)
    return vocabulary


def write(vocabulary: Vocabulary) -> bytes:
    """The tokenizer.json that Hugging Face's tokenizers library reads.

    Source: Hugging Face transformers 5.23.0, convert_slow_tokenizer.py, TikTokenConverter, for the layout.
    """
    vocab = {"".join(_CHARACTERS[byte] for byte in token): rank for token, rank in vocabulary.ranks.items()}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    split = {"type": "Split", "pattern": {"Regex": vocabulary.pattern}, "behavior": "Isolated", "invert": False}
    file = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [
            {"id": token, "content": name} | plain for name, token in vocabulary.special_tokens.items()],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [split, level | {"add_prefix_space": False, "use_regex": False}]},
        "post_processor": level | {"trim_offsets": False},
        "decoder": level,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": True,
            "vocab": vocab, "merges": [pair for text in vocab for pair in _splits(text, vocab)]},
    }
    return json.dumps(file, ensure_ascii=False, indent=2).encode("utf-8")


def _json(data: bytes, where: str) -> Any:
    if sum(map(data.count, (b",", b"[", b"{"))) > _MAX_VALUES:  # before any of them takes memory
        raise UnsafeFileError(f"{where}: more than {_MAX_VALUES:,} values, far more than a tokenizer needs")
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except UnicodeDecodeError:
        raise DamagedFileError(f"{where}: not UTF-8 text; get an intact copy") from None
    except RecursionError:
        raise UnsafeFileError(f"{where}: absurdly nested JSON") from None
    except _DuplicateKeyError as error:
        raise TokenizerError(f"{where}: the key {error.args[0]!r:.60} twice in one object") from None
    except ValueError as error:
        raise DamagedFileError(f"{where}: not valid JSON: {error!s:.120}; get an intact copy") from None


class _DuplicateKeyError(Exception):
    """One object holds a key twice."""


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys: set[str] = set()
        for key, _ in pairs:
            if key in keys:
                raise _DuplicateKeyError(key)
            keys.add(key)
    return found


def _pattern(file: _File, where: str) -> str:
    model, steps = file.model, file.pre_tokenizer.pretokenizers
    strange = {
        "model.type": model.type != "BPE", "dropout": bool(model.dropout), "unk_token": bool(model.unk_token),
        "continuing_subword_prefix": bool(model.continuing_subword_prefix), "byte_fallback": model.byte_fallback,
        "end_of_word_suffix": bool(model.end_of_word_suffix), "normalizer": file.normalizer is not None,
        "decoder": file.decoder is not None and file.decoder.type != "ByteLevel",
    }
    for name, is_strange in strange.items():
        if is_strange:
            raise TokenizerError(f"{where}: {name} is set to something that nanochat's tokenizers do not have")
    if file.pre_tokenizer.type == "Sequence" and [step.type for step in steps] == ["Split", "ByteLevel"]:
        split, level = steps
        plain = not (split.invert or level.add_prefix_space or level.use_regex)
        if split.pattern is not None and split.behavior == "Isolated" and plain:
            return split.pattern.regex
    raise TokenizerError(f"{where}: the pre_tokenizer is not nanochat's: a Split with its pattern, then ByteLevel")


def _special_tokens(added: list[_Added], where: str) -> dict[str, int]:
    special = {token.content: token.id for token in added}
    if len(special) != len(added):
        raise TokenizerError(f"{where}: added_tokens holds a name twice")
    for token in added:
        if not token.special:
            raise TokenizerError(f"{where}: added token {token.content!r:.40} is not special; text cannot spell it")
    return special


def _splits(text: str, vocab: dict[str, int]) -> list[Merge]:
    """The ways to make a token of two others, in the order of their ids."""
    found = [(text[:at], text[at:]) for at in range(1, len(text)) if text[:at] in vocab and text[at:] in vocab]
    return sorted(found, key=lambda pair: (vocab[pair[0]], vocab[pair[1]]))


def _check_merges(merges: list[Merge | str], vocab: dict[str, int], where: str) -> None:
    """Merges must come in the order of the ids that they make, and make every token that two others can make."""
    last, made = -1, set()
    for left, right in _pairs(merges, where):
        rank = vocab.get(left + right)
        if rank is None or left not in vocab or right not in vocab:
            raise TokenizerError(f"{where}: the merge of {left!r:.40} and {right!r:.40} uses or makes an unknown token")
        if rank < last:
            raise TokenizerError(
                f"{where}: the merge of {left!r:.40} and {right!r:.40} comes after that of a higher id; its merges do "
                "not follow its ids, which nanochat's do")
        last = rank
        made.add(rank)
    for text, rank in vocab.items():
        if rank not in made and _splits(text, vocab):
            raise TokenizerError(f"{where}: no merge makes token {rank} ({text!r:.40})")


def _pairs(merges: list[Merge | str], where: str) -> Iterator[Merge]:
    for merge in merges:
        left, _, right = merge.partition(" ") if isinstance(merge, str) else (merge[0], "", merge[1])
        if not left or not right:
            raise TokenizerError(f"{where}: {merge!r:.60} is no merge of two tokens")
        yield left, right

"""Tokenizer: text to tokens and back, as nanochat does it: byte-level BPE by tiktoken, V ids, the last ones special.

Text never makes a special token, however it is spelled; only `encode_special`, `prepend` and `append` do.
"""

from __future__ import annotations

import operator
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import tiktoken

from pynanochat import tokenizer_json, tokenizer_pickle
from pynanochat.errors import DamagedFileError, TokenizerError, UnsafeFileError
from pynanochat.pretokenizer import LONG_RUN, PATTERN, long_blank_runs
from pynanochat.vocabulary import SPECIAL_TOKENS, Vocabulary

__all__ = ["SPECIAL_TOKENS", "Tokenizer"]

_MAX_BYTES = {".json": 24 << 20}  # 190,000 tokens take that; one of 65,536 has 8 MiB
_MAX_PICKLE_BYTES = 64 << 20
_FILES = ("tokenizer.json", "tokenizer.pkl")  # the first that a folder holds is read


class Tokenizer:
    """Immutable, holds no state between calls, may be shared by threads."""

    def __init__(
        self, ranks: Mapping[bytes, int], special_tokens: Mapping[str, int], *, pattern: str = PATTERN
    ) -> None:
        self._start(Vocabulary.of(ranks, special_tokens, pattern))

    def _start(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        special = vocabulary.special_tokens
        self._tokens = (*vocabulary.ranks, *(name.encode("utf-8") for name in special))
        self._first_special = len(vocabulary.ranks)
        self._long_run = LONG_RUN
        self._encoding = tiktoken.Encoding(
            "rustbpe", pat_str=vocabulary.pattern, mergeable_ranks=vocabulary.ranks, special_tokens=special)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Tokenizer:
        """The tokenizer in a tokenizer.json or tokenizer.pkl, or in the folder that holds one (tokenizer.json first).

        Nothing in the file can run. Raises `TokenizerError` where there is none or it is not of nanochat's kind,
        `DamagedFileError` where it cannot be read, `UnsafeFileError` where it asks for more than reading data.
        """
        place = Path(path)
        if place.is_dir():
            place = next((place / name for name in _FILES if (place / name).is_file()), place)
        if not place.is_file():
            raise TokenizerError(f"{path}: no {' or '.join(_FILES)} here; give the tokenizer's file or folder")
        data = _read(place)
        parse = tokenizer_json.parse if place.suffix == ".json" else tokenizer_pickle.parse
        return _of_vocabulary(parse(data, str(place)), cls)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """The path of the tokenizer.json written into `folder`; Hugging Face's tokenizers library reads it too."""
        return _write(Path(folder) / "tokenizer.json", tokenizer_json.write(self._vocabulary))

    def save_pickle(self, folder: str | os.PathLike[str]) -> Path:
        """The path of the tokenizer.pkl written into `folder`, which upstream's nanochat loads."""
        return _write(Path(folder) / "tokenizer.pkl", tokenizer_pickle.write(self._vocabulary))

    def __reduce__(self) -> tuple[Callable[..., Tokenizer], tuple[Vocabulary]]:
        return _of_vocabulary, (self._vocabulary,)  # for other processes and for copies

    def __repr__(self) -> str:
        return f"Tokenizer({self.vocab_size} tokens, {len(self.special_tokens)} of them special)"

    # what it holds

    @property
    def vocab_size(self) -> int:
        """V: how many ids there are, special tokens included."""
        return len(self._tokens)

    @property
    def pattern(self) -> str:
        """The pattern that cuts text into pieces."""
        return self._vocabulary.pattern

    @property
    def ranks(self) -> Mapping[bytes, int]:
        """Bytes to id, in the order of the ids, without the special tokens."""
        return MappingProxyType(self._vocabulary.ranks)

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """Name to id, in the order of the ids."""
        return MappingProxyType(self._vocabulary.special_tokens)

    @property
    def bos(self) -> int:
        """The id of <|bos|>, with which every document begins."""
        return self.encode_special("<|bos|>")

    def is_special(self, token: int) -> bool:
        """Whether the id is a special token's."""
        return self._id(token) >= self._first_special

    def token_bytes(self) -> list[int]:
        """For each id how many bytes of text it stands for, 0 for special tokens; bits per byte are counted with it."""
        return [len(token) for token in self._tokens[: self._first_special]] + [0] * len(self.special_tokens)

    def id_to_token(self, token: int) -> str:
        """The text of one id alone; U+FFFD where its bytes are no whole characters."""
        return self._tokens[self._id(token)].decode("utf-8", errors="replace")

    def token_to_id(self, text: str) -> int | None:
        """The id of exactly this text or special name; None if no single token is."""
        special = self.special_tokens.get(text)
        return self._vocabulary.ranks.get(text.encode("utf-8", "surrogatepass")) if special is None else special

    # text to tokens

    def encode(self, text: str, *, prepend: str | int | None = None, append: str | int | None = None) -> list[int]:
        """The tokens of a text; `prepend` and `append` take a special token's name or an id.

        Half a surrogate pair counts as U+FFFD, as upstream. The time is linear in the length for any text. Raises
        `TokenizerError` for what is no str and for special tokens that it does not have.
        """
        if not isinstance(text, str):
            raise TokenizerError(f"cannot encode a {type(text).__name__}; expected str")
        tokens = self._encode(text)
        if prepend is not None:
            tokens.insert(0, self._edge(prepend))
        if append is not None:
            tokens.append(self._edge(append))
        return tokens

    def encode_batch(
        self, texts: Iterable[str], *, prepend: str | int | None = None, append: str | int | None = None
    ) -> list[list[int]]:
        """The tokens of each text."""
        if isinstance(texts, str):
            raise TokenizerError("encode_batch takes a list of texts, got one str")
        return [self.encode(text, prepend=prepend, append=append) for text in texts]

    def encode_with_bos(self, text: str) -> list[int]:
        """The tokens of a text after <|bos|>: what a prompt in text becomes."""
        return self.encode(text, prepend=self.bos)

    def encode_special(self, name: str) -> int:
        """The id of the special token of this name. Raises `TokenizerError` where there is none."""
        token = self.special_tokens.get(name)
        if token is None:
            known = ", ".join(self.special_tokens) or "none"
            raise TokenizerError(f"no special token {name!r:.60} in this tokenizer; it has {known:.300}")
        return token

    # tokens to text

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens, special ones by name; U+FFFD where bytes are no UTF-8. Raises `TokenizerError` for an id
        outside 0 to V-1.
        """
        return self.decode_bytes(tokens).decode("utf-8", errors="replace")

    def decode_bytes(self, tokens: Iterable[int]) -> bytes:
        """The bytes of tokens, special ones by name."""
        return b"".join([self._tokens[self._id(token)] for token in tokens])

    def decode_skip_special(self, tokens: Iterable[int]) -> str:
        """The text of tokens without the special ones."""
        plain = [token for token in map(self._id, tokens) if token < self._first_special]
        return self.decode(plain)

    def decode_batch(self, batch: Iterable[Iterable[int]]) -> list[str]:
        """The text of each list of tokens."""
        return [self.decode(tokens) for tokens in batch]

    # inside

    def _encode(self, text: str) -> list[int]:
        tokens: list[int] = []
        at = 0
        for start, end in long_blank_runs(text, self._long_run):
            tokens += self._ordinary(text[at:start])
            tokens += self._encoding._encode_single_piece(text[start:end])
            at = end
        rest = self._ordinary(text[at:] if at else text)
        return tokens + rest if tokens else rest

    def _ordinary(self, text: str) -> list[int]:
        try:
            return self._encoding.encode_ordinary(text)  # type: ignore[no-any-return, unused-ignore]
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # of pyo3, which exports no such name and no better base
                raise
            raise TokenizerError(f"tiktoken cannot encode a text of {len(text):,} characters: {error!s:.100}") from None

    def _edge(self, token: str | int) -> int:
        return self.encode_special(token) if isinstance(token, str) else self._id(token)

    def _id(self, token: int) -> int:
        if type(token) is not int:  # NumPy's integers
            try:
                if isinstance(token, bool):
                    raise TypeError
                token = operator.index(token)
            except TypeError:
                kind = type(token).__name__
                raise TokenizerError(f"a {kind} is no token; expected an int, 0 to {len(self._tokens) - 1}") from None
        if not 0 <= token < len(self._tokens):
            shown = token if abs(token) < 1 << 64 else "of so many digits"
            raise TokenizerError(f"token {shown} is out of range; expected 0 to {len(self._tokens) - 1}")
        return token


def _of_vocabulary(vocabulary: Vocabulary, kind: type[Tokenizer] = Tokenizer) -> Tokenizer:
    tokenizer = kind.__new__(kind)
    tokenizer._start(vocabulary)
    return tokenizer


def _read(path: Path) -> bytes:
    limit = _MAX_BYTES.get(path.suffix, _MAX_PICKLE_BYTES)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(limit + 1) if size <= limit else b""
    except OSError as error:
        raise DamagedFileError(f"{path}: cannot be read: {error.strerror}") from error
    if max(size, len(data)) > limit:
        raise UnsafeFileError(f"{path}: over {limit >> 20} MiB, far more than a tokenizer needs")
    return data


def _write(path: Path, data: bytes) -> Path:
    """Whole or not at all: written beside, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        beside.write_bytes(data)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return path

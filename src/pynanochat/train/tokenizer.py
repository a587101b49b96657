"""Training of a tokenizer: byte pairs merged by rustbpe, nanochat's special tokens after them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

from pynanochat.errors import DataError, TrainingError
from pynanochat.pretokenizer import PATTERN
from pynanochat.tokenizer import SPECIAL_TOKENS, Tokenizer
from pynanochat.train.characters import whole_characters
from pynanochat.train.texts import Document

# Source: karpathy/nanochat, scripts/tok_train.py, --doc_cap and --max_chars.
MAX_CHARS = 10_000
MAX_TOTAL_CHARS = 2_000_000_000
MIN_VOCAB_SIZE = 256 + len(SPECIAL_TOKENS)
_MAX_VOCAB_SIZE = 1 << 20


def train(
    texts: Iterable[str], vocab_size: int, *, max_chars: int = MAX_CHARS, max_total_chars: int = MAX_TOTAL_CHARS
) -> Tokenizer:
    """The tokenizer of `vocab_size` ids, the nine special tokens included; the same texts give the same tokenizer.

    Of a text the first `max_chars` characters count: rustbpe's time grows with the square of a piece without a break.
    There are fewer ids where the texts have no more pairs to merge. Raises `DataError` where the texts hold nothing,
    `TrainingError` where rustbpe is missing or a number is out of range.
    """
    for name, value, least in (("vocab_size", vocab_size, MIN_VOCAB_SIZE), ("max_chars", max_chars, 1),
                               ("max_total_chars", max_total_chars, 1)):
        if type(value) is not int or value < least:
            raise TrainingError(f"{name} is {value!r}; expected a whole number, {least} or more")
    if vocab_size > _MAX_VOCAB_SIZE:
        raise TrainingError(f"vocab_size is {vocab_size:,}; expected at most {_MAX_VOCAB_SIZE:,}")
    try:
        rustbpe: Any = import_module("rustbpe")
    except ImportError:
        raise TrainingError("training a tokenizer needs rustbpe; install it: pip install 'pynanochat[train]'") from None
    found = _cut(texts, max_chars, max_total_chars)
    first = next(found, None)
    if first is None:
        raise DataError("the texts hold nothing to train a tokenizer on; expected at least one that is not blank")
    merger = rustbpe.Tokenizer()
    merger.train_from_iterator(itertools.chain([first], found), vocab_size - len(SPECIAL_TOKENS), pattern=PATTERN)
    ranks = {bytes(token): rank for token, rank in merger.get_mergeable_ranks()}
    return Tokenizer(ranks, {name: len(ranks) + place for place, name in enumerate(SPECIAL_TOKENS)}, pattern=PATTERN)


def texts_of(documents: Iterable[Document]) -> Iterator[str]:
    """What a tokenizer is trained on: texts, and every message of a conversation as a text of its own."""
    for document in documents:
        if document.text is not None:
            yield document.text
        for message in document.messages or ():
            content = message["content"]
            if isinstance(content, str):
                yield content
            else:
                yield from (part["text"] for part in content)


def _cut(texts: Iterable[str], max_chars: int, max_total_chars: int) -> Iterator[str]:
    seen = 0
    for text in texts:
        if not isinstance(text, str):
            raise DataError(f"a {type(text).__name__} among the texts; expected str")
        text = whole_characters(text[:max_chars])
        if text:
            seen += len(text)
            yield text
        if seen > max_total_chars:
            return

"""Documents to tokens, in this process or in several, always in the order of the documents."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynanochat.chat import render_conversation
from pynanochat.errors import ConversationError, DataError, TokenizerError
from pynanochat.tokenizer import Tokenizer
from pynanochat.train.characters import whole_characters
from pynanochat.train.texts import Document
from pynanochat.train.workers import in_order

_BATCH_DOCUMENTS = 256  # that travel to a process together
_BATCH_CHARS = 1 << 19
_MAX_TOKENS = 1 << 40

_Sent = tuple[str | None, Any, str]  # text, messages, where
_Batch = tuple[NDArray[Any], NDArray[np.int64], dict[int, NDArray[np.uint8]], list[int]]  # tokens, where they part, ...


@dataclass(frozen=True, slots=True)
class Encoded:
    """The tokens of a document, <|bos|> first."""

    tokens: NDArray[Any]  # uint16 or uint32
    mask: NDArray[np.uint8] | None  # 1 where a conversation's token is taught; None: a text, all of it is
    digest: int  # 64 bits of the content's BLAKE2b
    source: str


def token_dtype(vocab_size: int) -> np.dtype[Any]:
    """The smallest unsigned integers that hold every id."""
    return np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")


def encode(document: Document, tokenizer: Tokenizer) -> Encoded:
    """The tokens of one document; `DataError` where it is neither a text nor a conversation."""
    dtype, mask = token_dtype(tokenizer.vocab_size), None
    try:
        if document.text is not None and document.messages is None:
            content = whole_characters(document.text)
            tokens = tokenizer.encode_with_bos(content)
        elif document.text is None and document.messages is not None:
            content = json.dumps([dict(message) for message in document.messages], sort_keys=True)
            tokens, taught = render_conversation(tokenizer, document.messages, _MAX_TOKENS)
            mask = np.array(taught, np.uint8)
        else:
            raise DataError("a document has either a text or messages")
    except (ConversationError, TokenizerError, TypeError, ValueError) as error:
        raise DataError(f"{document.where or document.source or 'a document'}: {error}") from None
    digest = hashlib.blake2b(content.encode("utf-8"), digest_size=8, person=b"text" if mask is None else b"chat")
    return Encoded(np.array(tokens, dtype), mask, int.from_bytes(digest.digest(), "little"), document.source)


def encode_all(
    documents: Iterable[Document], tokenizer: Tokenizer, processes: int = 1
) -> Generator[Encoded, None, None]:
    """The tokens of every document in order, the same whatever the number of processes (see `workers.in_order`)."""
    if processes == 1:  # none is read ahead
        yield from in_order(partial(encode, tokenizer=tokenizer), documents, processes)
        return
    sources: deque[list[str]] = deque()  # of the batches that are being encoded

    def asked() -> Iterator[list[_Sent]]:
        for batch in _batches(documents):
            sources.append([document.source for document in batch])
            yield [(document.text, document.messages, document.where) for document in batch]

    for tokens, ends, masks, digests in in_order(partial(_encode_batch, tokenizer), asked(), processes):
        names = sources.popleft()
        yield from (Encoded(part, masks.get(place), digests[place], names[place])
                    for place, part in enumerate(np.split(tokens, ends)))


def _encode_batch(tokenizer: Tokenizer, batch: list[_Sent]) -> _Batch:
    """The documents of a batch in few arrays: each costs as much to send as many tokens."""
    made = [encode(Document(text=text, messages=messages, where=where), tokenizer) for text, messages, where in batch]
    return (np.concatenate([one.tokens for one in made]), np.cumsum([len(one.tokens) for one in made])[:-1],
            {place: one.mask for place, one in enumerate(made) if one.mask is not None}, [one.digest for one in made])


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document.text) if document.text is not None else 1000
        if len(batch) >= _BATCH_DOCUMENTS or size >= _BATCH_CHARS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch

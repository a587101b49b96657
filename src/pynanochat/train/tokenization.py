"""Documents to tokens, in this process or in several, always in the order of the documents."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynanochat.chat import render_conversation
from pynanochat.errors import ConversationError, DataError, TokenizerError, TrainingError
from pynanochat.tokenizer import Tokenizer
from pynanochat.train.characters import whole_characters
from pynanochat.train.texts import Document

_BATCH_DOCUMENTS = 256  # that travel to a process together
_BATCH_CHARS = 1 << 19
_MAX_TOKENS = 1 << 40
_MAX_PROCESSES = 1024

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


def encode_all(documents: Iterable[Document], tokenizer: Tokenizer, processes: int = 1) -> Iterator[Encoded]:
    """The tokens of every document in order, the same whatever the number of processes.

    Other processes are started afresh, so a script that asks for them needs its `if __name__ == "__main__":`.
    """
    if type(processes) is not int or not 1 <= processes <= _MAX_PROCESSES:
        raise TrainingError(f"processes is {processes!r:.40}; expected a whole number, 1 to {_MAX_PROCESSES:,}")
    if processes == 1:
        for document in documents:
            yield encode(document, tokenizer)
        return
    workers: list[tuple[SpawnProcess, Connection]] = []
    context = multiprocessing.get_context("spawn")
    asked: deque[tuple[Connection, list[str]]] = deque()  # the sources of what each process encodes now
    try:
        for _ in range(processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, tokenizer), daemon=True)
            workers.append((process, ours))
            process.start()
            theirs.close()
        for number, batch in enumerate(_batches(documents)):
            pipe = workers[number % processes][1]
            ready = _answer(*asked.popleft()) if len(asked) == processes else ()
            pipe.send([(document.text, document.messages, document.where) for document in batch])
            asked.append((pipe, [document.source for document in batch]))
            yield from ready  # while the process goes on
        while asked:
            yield from _answer(*asked.popleft())
    except (EOFError, ConnectionError):
        raise TrainingError("a process that encoded texts ended; use one process, or see whether memory ran out"
                            ) from None
    finally:
        for process, pipe in workers:
            pipe.close()
            if process.pid is not None:
                process.terminate()
                process.join()


def _answer(pipe: Connection, sources: list[str]) -> list[Encoded]:
    made: _Batch | Exception = pipe.recv()
    if isinstance(made, Exception):
        raise made
    tokens, ends, masks, digests = made
    parts = np.split(tokens, ends)
    return [Encoded(part, masks.get(place), digests[place], sources[place]) for place, part in enumerate(parts)]


def _serve(pipe: Connection, tokenizer: Tokenizer) -> None:
    """What a process does that encodes for another one: batch after batch until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asked is interrupted, and ends this one
    while True:
        try:
            asked = pipe.recv()
        except EOFError:
            return
        try:
            made = [encode(Document(text=text, messages=messages, where=where), tokenizer)
                    for text, messages, where in asked]
            pipe.send((  # few arrays: each costs as much to send as many tokens
                np.concatenate([one.tokens for one in made]), np.cumsum([len(one.tokens) for one in made])[:-1],
                {place: one.mask for place, one in enumerate(made) if one.mask is not None},
                [one.digest for one in made]))
        except Exception as error:
            pipe.send(error)


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

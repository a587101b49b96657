"""tokenizer.pkl, upstream's format: a pickled tiktoken Encoding, read as data and never unpickled."""

from __future__ import annotations

from pynanochat import pickle_writer, unpickle
from pynanochat.errors import TokenizerError
from pynanochat.vocabulary import Vocabulary

_ENCODING = "tiktoken.core.Encoding"
_KEYS = ("name", "pat_str", "mergeable_ranks", "special_tokens")


def parse(data: bytes, where: str) -> Vocabulary:
    """The vocabulary in a pickle. Raises `UnsafeFileError`, `DamagedFileError` or `TokenizerError`.

    Source: tiktoken, core.py, Encoding.__getstate__; karpathy/nanochat, nanochat/tokenizer.py, RustBPETokenizer.save.
    """
    found = unpickle.load(data, where=where, allowed=(_ENCODING,))
    if not isinstance(found, unpickle.Record) or found.name != _ENCODING or found.args:
        raise TokenizerError(f"{where}: a pickle of something else; expected the tiktoken Encoding that nanochat saves")
    state = found.state
    if isinstance(state, str):
        raise TokenizerError(f"{where}: names the encoding {state[:40]!r} of tiktoken but holds no tokens of its own")
    if not isinstance(state, dict) or not all(key in state for key in _KEYS):
        raise TokenizerError(f"{where}: an Encoding without {', '.join(_KEYS)}")
    ranks, special = state["mergeable_ranks"], state["special_tokens"]
    if not isinstance(ranks, dict) or not isinstance(special, dict) or not isinstance(state["pat_str"], str):
        raise TokenizerError(f"{where}: an Encoding whose tokens are no dictionary or whose pattern is no text")
    return Vocabulary.of(ranks, special, state["pat_str"], where)


def write(vocabulary: Vocabulary) -> bytes:
    """The pickle that upstream's `pickle.load` turns into a tiktoken Encoding."""
    state = {
        "name": "rustbpe", "pat_str": vocabulary.pattern,
        "mergeable_ranks": vocabulary.ranks, "special_tokens": vocabulary.special_tokens,
    }
    return pickle_writer.dumps(unpickle.Record(_ENCODING, (), state))

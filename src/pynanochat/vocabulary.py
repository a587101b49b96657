"""Vocabulary: the checked contents of a tokenizer file, whatever its format; V counts all ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pynanochat.errors import TokenizerError
from pynanochat.pretokenizer import KNOWN_PATTERNS

# Source: karpathy/nanochat, nanochat/tokenizer.py, SPECIAL_TOKENS, in the order of their ids.
SPECIAL_TOKENS = (
    "<|bos|>", "<|user_start|>", "<|user_end|>", "<|assistant_start|>", "<|assistant_end|>",
    "<|python_start|>", "<|python_end|>", "<|output_start|>", "<|output_end|>",
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`ranks` maps bytes to the ids 0 .. n-1, lowest merged first; `special_tokens` maps names to the ids n .. V-1."""

    ranks: dict[bytes, int]
    special_tokens: dict[str, int]
    pattern: str

    @classmethod
    def of(
        cls, ranks: Mapping[bytes, int], special_tokens: Mapping[str, int], pattern: str, where: str = "tokenizer"
    ) -> Vocabulary:
        """The vocabulary in the order of its ids. Raises `TokenizerError` where the parts make no tokenizer."""
        if pattern not in KNOWN_PATTERNS:
            raise TokenizerError(f"{where}: cuts text by the pattern {str(pattern)[:50]!r}, which is not nanochat's")
        return cls(_checked_ranks(ranks, where), _checked_special(special_tokens, len(ranks), where), pattern)


def _checked_ranks(ranks: Mapping[bytes, int], where: str) -> dict[bytes, int]:
    by_id: list[bytes | None] = [None] * len(ranks)
    for token, rank in ranks.items():
        if type(token) is not bytes or not token or type(rank) is not int:
            kinds = f"{type(token).__name__} to {type(rank).__name__}"
            raise TokenizerError(f"{where}: maps {kinds} among its ranks; expected bytes, at least one, to int")
        if not 0 <= rank < len(by_id) or by_id[rank] is not None:
            raise TokenizerError(
                f"{where}: rank {_shown(rank)} of {token[:40]!r} is out of range or taken; expected each of 0 to "
                f"{len(by_id) - 1} once")
        by_id[rank] = token
    checked = {token: rank for rank, token in enumerate(by_id) if token is not None}
    missing = [byte for byte in range(256) if bytes([byte]) not in checked]
    if missing:
        raise TokenizerError(f"{where}: no token for the byte 0x{missing[0]:02x}; expected all 256 single bytes")
    return checked


def _checked_special(special_tokens: Mapping[str, int], first: int, where: str) -> dict[str, int]:
    for name, token in special_tokens.items():
        if type(name) is not str or not name or type(token) is not int:
            kinds = f"{type(name).__name__} to {type(token).__name__}"
            raise TokenizerError(f"{where}: maps {kinds} among its special tokens; expected names to int")
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            raise TokenizerError(f"{where}: the name of special token {name!r:.40} is no valid Unicode") from None
    in_order = dict(sorted(special_tokens.items(), key=lambda item: item[1]))
    if list(in_order.values()) != list(range(first, first + len(in_order))):
        found = ", ".join(map(_shown, list(in_order.values())[:12]))
        raise TokenizerError(f"{where}: special tokens have the ids {found}; expected {first} and up, after the merges")
    return in_order


def _shown(number: int) -> str:
    return str(number) if abs(number) < 1 << 64 else "of too many digits"

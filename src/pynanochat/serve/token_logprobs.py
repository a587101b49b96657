"""What answers say of a token: its text, its bytes, its probability and what else could have come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from pynanochat.serve.schema import TokenLogprob, TopLogprob

if TYPE_CHECKING:
    from pynanochat.engine.request import TokenLogprobs
    from pynanochat.tokenizer import Tokenizer


class TokenWriter:
    """Writes a model's tokens; with `ids` their ids, too."""

    def __init__(self, tokenizer: Tokenizer | None, *, ids: bool) -> None:
        self._tokenizer = tokenizer
        self._ids = ids
        self._known: dict[int, tuple[str, list[int] | None]] = {}

    def text(self, token: int) -> str:
        """The token's text alone, U+FFFD where its bytes are no whole characters; special tokens by name."""
        return self._of(token)[0]

    def item(self, token: int, logprobs: TokenLogprobs, position: int) -> TokenLogprob:
        """What chat answers say of a token that came at this index of the answer's tokens."""
        text, octets = self._of(token)
        return TokenLogprob(
            token=text, logprob=logprobs.logprob, bytes=octets,
            top_logprobs=[self._top(other, logprob) for other, logprob in logprobs.top],
            token_id=token if self._ids else UNSET, position=position if self._ids else UNSET)

    def top(self, token: int, logprobs: TokenLogprobs) -> dict[str, float]:
        """The most probable tokens by their texts, and the one that came; of those spelled alike the likeliest."""
        found: dict[str, float] = {}
        for other, logprob in logprobs.top:
            found.setdefault(self.text(other), logprob)
        found.setdefault(self.text(token), logprobs.logprob)
        return found

    def _top(self, token: int, logprob: float) -> TopLogprob:
        text, octets = self._of(token)
        return TopLogprob(token=text, logprob=logprob, bytes=octets, token_id=token if self._ids else UNSET)

    def _of(self, token: int) -> tuple[str, list[int] | None]:
        found = self._known.get(token)
        if found is None:
            found = self._known[token] = self._read(token)
        return found

    def _read(self, token: int) -> tuple[str, list[int] | None]:
        tokenizer = self._tokenizer
        if tokenizer is None:
            return f"token_id:{token}", None
        text = tokenizer.id_to_token(token)
        return text, None if tokenizer.is_special(token) else list(tokenizer.decode_bytes([token]))

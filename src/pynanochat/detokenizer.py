"""Detokenizer: the text of one request as its tokens come, in whole characters, up to the first stop string."""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Iterable

from pynanochat.errors import PolicyError
from pynanochat.tokenizer import Tokenizer


class Detokenizer:
    """Pushed and flushed texts together are the decoded tokens, cut where the first stop string to be complete begins.

    Of two that are complete at the same character the longer one counts. The time is linear in the text's length.
    """

    def __init__(self, tokenizer: Tokenizer, stop: Iterable[str] = (), *, skip_special: bool = True) -> None:
        self._tokenizer = tokenizer
        self._skip_special = skip_special
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._watches = [_Watch(text) for text in ((stop,) if isinstance(stop, str) else stop)]
        self._held: deque[str] = deque()  # the characters that may turn out to belong to a stop string
        self.stop_reason: str | None = None

    @property
    def stopped(self) -> bool:
        """Whether a stop string is complete; what follows it is dropped."""
        return self.stop_reason is not None

    def push(self, tokens: Iterable[int]) -> str:
        """The text that these tokens make certain, often empty. Raises `TokenizerError` for an id out of range."""
        if self._skip_special:
            tokens = [token for token in tokens if not self._tokenizer.is_special(token)]
        return self._certain(self._decoder.decode(self._tokenizer.decode_bytes(tokens)))

    def flush(self) -> str:
        """The rest of the text, at the end of the request; an unfinished character is U+FFFD."""
        text = self._certain(self._decoder.decode(b"", final=True)) + "".join(self._held)
        self._held.clear()
        return text

    def _certain(self, text: str) -> str:
        if self.stopped:
            return ""
        if not self._watches:
            return text
        out: list[str] = []
        held, watches = self._held, self._watches
        for character in text:
            held.append(character)
            keep = 0
            for watch in watches:
                matched = watch.see(character)
                keep = max(keep, matched)
                if matched == len(watch.text) and len(watch.text) > len(self.stop_reason or ""):
                    self.stop_reason = watch.text
            if self.stop_reason is not None:
                out += [held.popleft() for _ in range(len(held) - len(self.stop_reason))]
                held.clear()
                break
            out += [held.popleft() for _ in range(len(held) - keep)]
        return "".join(out)


class _Watch:
    """How much of one stop string the text ends with.

    Source: Knuth, Morris, Pratt, Fast pattern matching in strings, 1977.
    """

    def __init__(self, text: str) -> None:
        if not isinstance(text, str) or not text:
            raise PolicyError(f"stop string {text!r:.40} can never be told from other text; expected a non-empty str")
        self.text = text
        self._matched = 0
        self._shorter = [0] * (len(text) + 1)  # by length: the longest shorter prefix that is a suffix as well
        length = 0
        for at in range(1, len(text)):
            length = self._extend(length, text[at])
            self._shorter[at + 1] = length

    def see(self, character: str) -> int:
        """The number of characters of the stop string that the text now ends with."""
        self._matched = self._extend(self._matched, character)
        return self._matched

    def _extend(self, length: int, character: str) -> int:
        while length and (length == len(self.text) or self.text[length] != character):
            length = self._shorter[length]
        return length + (self.text[length] == character)

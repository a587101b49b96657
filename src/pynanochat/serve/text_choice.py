"""TextChoice: one continuation of one prompt, as what has come of it and has not been told yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from pynanochat.detokenizer import Detokenizer
from pynanochat.engine.request import TokenLogprobs
from pynanochat.sampling import top_logprobs
from pynanochat.serve.blocks import Blocks
from pynanochat.serve.schema import FinishReason, TokenLogprob
from pynanochat.serve.schema_completions import CompletionChoice, CompletionChunkChoice, CompletionLogprobs

if TYPE_CHECKING:
    from pynanochat.output import Kind, Piece
    from pynanochat.serve.token_logprobs import TokenWriter
    from pynanochat.tokenizer import Tokenizer


class PromptLogprobs:
    """What the model made of a prompt's own tokens: a request's `on_prompt_logits`, called on the engine's thread."""

    def __init__(self, prompt: list[int], alternatives: int) -> None:
        self.of: list[TokenLogprobs | None] = [None] * len(prompt)  # by position; None where no token comes before
        self._prompt = prompt
        self._alternatives = alternatives

    def __call__(self, first: int, logits: NDArray[np.float32]) -> None:
        """Take the logits (n, V) of prompt tokens from `first` on: each row is about the token after its own."""
        for position, row in enumerate(logits, first + 1):
            if position < len(self._prompt):
                self.of[position] = TokenLogprobs(*top_logprobs(row, self._prompt[position], self._alternatives))


@dataclass
class _Lists:
    """The four lists of what is told of tokens."""

    tokens: list[str] = field(default_factory=list)
    token_logprobs: list[float | None] = field(default_factory=list)
    top_logprobs: list[dict[str, float] | None] = field(default_factory=list)
    text_offset: list[int] = field(default_factory=list)


class TextChoice(Blocks):
    """One sample; the text leaves out tool blocks, and the lists have an item for each other token.

    `echo` is the prompt as the client sent it; what the model made of it comes before the first own token.
    """

    def __init__(
        self, index: int, after: Mapping[int, Kind], tokenizer: Tokenizer | None, *, writer: TokenWriter | None = None,
        ids: bool = False, echo: list[int] | None = None, prompt_logprobs: PromptLogprobs | None = None,
        hidden: int = 0, prompt: list[int] | None = None,
    ) -> None:
        super().__init__(after)
        self.index = index
        self.finish_reason: FinishReason | None = None
        self.n_tokens = 0
        self.last: int | None = None  # token
        self.total_logprob = 0.0  # of the sampled tokens
        self.sampled = 0
        self._writer = writer
        self._ids = ids
        self._echo = echo
        self._prompt_logprobs = prompt_logprobs
        self._hidden = hidden  # tokens at the beginning of the prompt that the client did not send
        self._prompt = prompt  # to be told once
        self._spelled = Detokenizer(tokenizer) if tokenizer is not None else None  # for the offsets
        self._spelled_echo = Detokenizer(tokenizer, skip_special=False) if tokenizer is not None else None
        self._length = 0  # characters before the next token
        self._text: list[str] = []
        self._lists = _Lists()
        self._items: list[TokenLogprob] = []
        self._token_ids: list[int] = []
        if echo is not None and tokenizer is not None:
            self._text.append(tokenizer.decode(echo))

    # what comes

    def said(self, text: str) -> None:
        """Text is told as it is; tool blocks are not."""
        if self.kind == "text":
            self._text.append(text)

    def token(self, token: int, piece: Piece, *, border: bool) -> None:
        """Tokens of the text have an item in each list."""
        self._tell_prompt()
        if piece.logprobs is not None:
            self.total_logprob += piece.logprobs.logprob
            self.sampled += 1
        if self._writer is not None and self.kind == "text" and not border:
            self._add(token, piece.logprobs, self._spelled)
            if self._ids and piece.logprobs is not None:
                self._items.append(self._writer.item(token, piece.logprobs, self.n_tokens))
        if self._ids:
            self._token_ids.append(token)
        self.n_tokens += 1
        self.last = token

    def finish(self, reason: FinishReason) -> None:
        """Nothing more comes."""
        self._tell_prompt()
        self.finish_reason = reason

    @property
    def likelihood(self) -> float:
        """The mean logarithm of its tokens' probabilities."""
        return self.total_logprob / self.sampled if self.sampled else 0.0

    # what is told

    def opening(self) -> None:
        """There is no first chunk of its own."""

    def plain(self) -> str | None:
        """What has come, where that is text and nothing else; it counts as told."""
        if self._writer is not None or self._ids or not self._text:
            return None
        text = "".join(self._text)
        self._text = []
        return text

    def more(self, *, also_empty: bool = False) -> CompletionChunkChoice | None:
        """What has come since the last time, None where that is nothing, unless `also_empty`."""
        if not (self._text or self._lists.tokens or self._token_ids or also_empty):
            return None
        made = CompletionChunkChoice(
            index=self.index, text="".join(self._text), logprobs=self._logprobs() if self._lists.tokens else None,
            token_ids=self._token_ids if self._ids else UNSET,
            prompt_token_ids=UNSET if self._prompt is None else self._prompt)
        self._text, self._lists, self._items, self._token_ids, self._prompt = [], _Lists(), [], [], None
        return made

    def ending(self) -> CompletionChunkChoice:
        """The last chunk: why it ended."""
        prompt, self._prompt = self._prompt, None
        return CompletionChunkChoice(index=self.index, text="", finish_reason=self.finish_reason,
                                     prompt_token_ids=UNSET if prompt is None else prompt)

    def whole(self, index: int) -> CompletionChoice:
        """Everything, of a sample that has ended and of which nothing was told."""
        if self.finish_reason is None:
            raise RuntimeError("the sample has not ended, so it is not whole")
        return CompletionChoice(
            index=index, text="".join(self._text), logprobs=self._logprobs() if self._writer is not None else None,
            finish_reason=self.finish_reason, token_ids=self._token_ids if self._ids else UNSET,
            prompt_token_ids=UNSET if self._prompt is None else self._prompt)

    def _logprobs(self) -> CompletionLogprobs:
        lists = self._lists
        return CompletionLogprobs(
            tokens=lists.tokens, token_logprobs=lists.token_logprobs, top_logprobs=lists.top_logprobs,
            text_offset=lists.text_offset, content=self._items if self._ids else UNSET)

    def _tell_prompt(self) -> None:
        """The prompt's tokens come first, when their logits are there: before the first own token."""
        echo, self._echo = self._echo, None
        if echo is None or self._writer is None:
            return
        known: Any = [None] * len(echo)
        if self._prompt_logprobs is not None:
            known = self._prompt_logprobs.of[self._hidden:]
        for token, logprobs in zip(echo, known, strict=True):
            self._add(token, logprobs, self._spelled_echo)
        if self._spelled_echo is not None:
            self._length += len(self._spelled_echo.flush())

    def _add(self, token: int, logprobs: TokenLogprobs | None, spelled: Detokenizer | None) -> None:
        if self._writer is None:
            raise RuntimeError("no logprobs were asked for")
        lists = self._lists
        lists.tokens.append(self._writer.text(token))
        lists.token_logprobs.append(None if logprobs is None else logprobs.logprob)
        lists.top_logprobs.append(None if logprobs is None else self._writer.top(token, logprobs))
        lists.text_offset.append(self._length)
        if spelled is not None:
            self._length += len(spelled.push([token]))

"""What a generation gives: pieces while it runs, an output at its end; tool blocks are kept apart from the text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from pynanochat.detokenizer import Detokenizer
from pynanochat.engine.request import FinishReason, TokenLogprobs
from pynanochat.tokenizer import Tokenizer

Kind = Literal["text", "python", "python_output"]


@dataclass(frozen=True)
class Piece:
    """What one token added to an answer; `str(piece)` is the text to show, empty inside a tool block."""

    content: str  # whole characters only; may be empty, and may end earlier tokens' characters
    kind: Kind = "text"  # python: what the model asks its tool; python_output: what the tool answered
    tokens: tuple[int, ...] = ()
    forced: bool = False  # by the tool, not sampled
    logprobs: TokenLogprobs | None = None
    finish_reason: FinishReason | None = None
    prompt: int = 0  # which of several prompts
    sample: int = 0  # which of its samples

    def __str__(self) -> str:
        return self.content if self.kind == "text" else ""


@dataclass(frozen=True)
class Usage:
    """Counts in tokens, times in seconds of the wall clock."""

    prompt_tokens: int
    completion_tokens: int
    first_token_seconds: float
    seconds: float
    cached_tokens: int = 0  # of the prompt, whose keys and values were still there from earlier requests

    @property
    def total_tokens(self) -> int:
        """Prompt and completion."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def tokens_per_second(self) -> float:
        """Tokens after the first one, per second after the first one."""
        rest = self.seconds - self.first_token_seconds
        return (self.completion_tokens - 1) / rest if rest > 0 and self.completion_tokens > 1 else 0.0


@dataclass(frozen=True)
class Output:
    """One finished sample; `samples` holds all of its prompt's."""

    text: str  # to show: without tool blocks and special tokens
    tokens: list[int]  # everything, without the token that ended it
    forced: list[bool]  # by the tool, for each token
    finish_reason: FinishReason
    end_token: int | None  # the token that ended it
    stop: str | None  # the stop string that ended it
    logprobs: list[TokenLogprobs | None] | None  # for each token, None where forced
    usage: Usage
    parts: Any  # a string, or nanochat's list of text, python and python_output parts
    sample: int = 0
    samples: list[Output] = field(default_factory=list, repr=False)

    def __str__(self) -> str:
        return self.text


class Transcript:
    """The text of one sample while its tokens come in."""

    def __init__(self, tokenizer: Tokenizer | None, stop: tuple[str, ...]) -> None:
        self.tokens: list[int] = []
        self.forced: list[bool] = []
        self.logprobs: list[TokenLogprobs | None] = []
        self.stop: str | None = None  # the stop string that has come
        self._tokenizer = tokenizer
        self._stop = stop
        self._kind: Kind = "text"
        self._blocks: list[tuple[Kind, list[str]]] = [("text", [])]
        self._borders = borders(tokenizer)
        self._text = self._detokenizer()

    def push(self, token: int, forced: bool, logprobs: TokenLogprobs | None) -> tuple[Kind, str]:
        """Take a token; the kind of block that it adds to, and the text that it makes certain there."""
        self.tokens.append(token)
        self.forced.append(forced)
        self.logprobs.append(logprobs)
        if self._text is None:
            return "text", ""
        if token in self._borders:
            ended = self.flush()
            self._kind = self._borders[token]
            self._blocks.append((self._kind, []))
            self._text = self._detokenizer()
            return ended
        piece = self._show(self._text.push([token]))
        if self._text.stopped:
            self.stop = self._text.stop_reason
        return piece

    def flush(self) -> tuple[Kind, str]:
        """What was held back, at the end."""
        return self._show("" if self._text is None else self._text.flush())

    @property
    def text(self) -> str:
        """What there is to show so far."""
        return "".join(content for kind, contents in self._blocks if kind == "text" for content in contents)

    @property
    def parts(self) -> Any:
        """The content as nanochat's conversations hold it: the text, or a list of parts where there are tool blocks."""
        blocks = [(kind, "".join(contents)) for kind, contents in self._blocks]
        if all(kind == "text" for kind, _ in blocks):
            return self.text
        return [{"type": kind, "text": text} for kind, text in blocks if text or kind != "text"]

    def _show(self, content: str) -> tuple[Kind, str]:
        self._blocks[-1][1].append(content)
        return self._kind, content

    def _detokenizer(self) -> Detokenizer | None:
        if self._tokenizer is None:
            return None
        return Detokenizer(self._tokenizer, self._stop if self._kind == "text" else ())


def borders(tokenizer: Tokenizer | None) -> dict[int, Kind]:
    """What follows each special token that opens or closes a tool block."""
    special = tokenizer.special_tokens if tokenizer else {}
    after: dict[str, Kind] = {"<|python_start|>": "python", "<|python_end|>": "text",
                              "<|output_start|>": "python_output", "<|output_end|>": "text"}
    return {special[name]: kind for name, kind in after.items() if name in special}

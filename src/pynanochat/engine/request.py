"""Request: what was asked. Event: what came of it. Sequence: one sample of a request on its way."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pynanochat.engine.prefix import Node
from pynanochat.sampling import History, Sampler, SamplingPolicy
from pynanochat.tools import ToolMachine

FinishReason = Literal["stop", "length", "cancelled", "error"]


class Constraint(Protocol):
    """What a grammar allows next: one per sample, fed with every token of the output."""

    def mask(self) -> NDArray[np.bool_]:
        """(V,) which tokens may come now."""

    def push(self, token: int) -> None:
        """Take the token that came: a sampled one, which the mask allowed, or one that a tool forced, any one."""

    def copy(self) -> Constraint:
        """The same state, for another sample."""


class TokenLogprobs(NamedTuple):
    """Natural logarithms of the model's own probabilities, before any policy."""

    logprob: float  # of the token that came
    top: list[tuple[int, float]]  # the policy's `logprobs` most probable tokens, best first


@dataclass(frozen=True, kw_only=True)
class Request:
    """A prompt and how to go on from it; nothing here changes while it runs."""

    prompt: tuple[int, ...]
    policy: SamplingPolicy = field(default_factory=SamplingPolicy)
    max_tokens: int | None = None  # of each sample's output, forced tokens included; None: to the end of the context
    end_tokens: Collection[int] = ()  # end a sample and are not part of its output, besides the policy's stop_tokens
    forced: tuple[int, ...] = ()  # what the output begins with, before anything is sampled
    tool: ToolMachine | None = None  # its state at the end of all that; copied for each sample
    constraint: Constraint | None = None
    salt: str = ""  # requests find what others have left in the prefix cache only under the same salt
    on_prompt_logits: Callable[[int, NDArray[np.float32]], None] | None = None  # (first position, logits (n, V))


@dataclass(frozen=True)
class Event:
    """One token of one sample, or its end; each sample ends exactly once."""

    request_id: int
    sample: int
    token: int | None = None
    forced: bool = False  # by the tool, not sampled
    logprobs: TokenLogprobs | None = None
    finish_reason: FinishReason | None = None
    end_token: int | None = None  # the token that ended it with "stop"
    cached_tokens: int = 0  # of the prompt, that the prefix cache held
    error: BaseException | None = None


class Sequence:
    """The tokens of one sample, how many of them the cache holds, and the pages they are in.

    Prefill, decode, tool output and recomputation are one rule: run the tokens that the cache lacks, and sample
    after the last one.
    """

    def __init__(self, request_id: int, request: Request, sampler: Sampler, vocab_size: int, limit: int) -> None:
        self.followers: list[Sequence] = []  # samples of the same request that wait for this one to run their prompt
        self.request_id = request_id
        self.request = request
        self.sampler = sampler
        self.tokens = list(request.prompt)
        self.limit = limit  # tokens at which it ends with "length"
        self.computed = 0  # tokens whose keys and values the cache holds
        self.pages: list[list[int]] = []  # per layer group; -1: its windows have passed the page
        self.node: Node | None = None  # of the last whole page that the prefix cache was shown
        self.reported = 0  # prompt tokens whose logits `on_prompt_logits` got
        self.cached_tokens: int | None = None  # of the prompt, found in the prefix cache; None: never admitted
        self.history = History(vocab_size, request.prompt)
        self.tool = request.tool.copy() if request.tool else None
        self.constraint = request.constraint.copy() if request.constraint else None
        self.finish_reason: FinishReason | None = None

    @property
    def sample(self) -> int:
        """Which of the request's samples it is."""
        return self.sampler.index

    def follow(self, leader: Sequence) -> None:
        """Be as far with the prompt, which both share, as the leader is; the pages are for the scheduler to give."""
        self.computed, self.node = leader.computed, leader.node
        self.reported, self.cached_tokens = leader.reported, leader.cached_tokens

    @property
    def arrival(self) -> tuple[int, int]:
        """Its place in the order of arrival."""
        return self.request_id, self.sample

    @property
    def missing(self) -> int:
        """How many of its tokens still have to run."""
        return len(self.tokens) - self.computed

    @property
    def n_output(self) -> int:
        """Output tokens so far; the position of the next one's uniform number."""
        return len(self.tokens) - len(self.request.prompt)

    def append(self, token: int) -> None:
        """Take the next token of the output."""
        self.tokens.append(token)
        self.history.append(token)
        if self.constraint is not None:
            self.constraint.push(token)

    def ends_with(self, token: int) -> bool:
        """Whether this token ends the sample."""
        return token in self.request.end_tokens or token in self.request.policy.stop_tokens


def sampled_rows(sequence: Sequence, rows: int) -> int:
    """How many of the next `rows` rows, from the end, need logits: to sample the last one, or for the prompt's."""
    to_sample = int(rows == sequence.missing)
    if sequence.request.on_prompt_logits is None or sequence.reported >= len(sequence.request.prompt):
        return to_sample
    return max(to_sample, sequence.computed + rows - max(sequence.computed, sequence.reported))

"""Chat: a conversation that keeps its own tokens, so that what the model said is never encoded a second time."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pynanochat.chat import user_turn
from pynanochat.errors import ContextError, ConversationError
from pynanochat.output import Output, Piece
from pynanochat.sampling import SamplingPolicy

if TYPE_CHECKING:
    from pynanochat.llm import LLM
    from pynanochat.stream import Stream


@dataclass
class Turn:
    """What the user said, and what the model answered."""

    user: str
    answer: list[int] = field(default_factory=list)  # without the token that ended it
    content: Any = ""  # the answer as nanochat's conversations hold it


class Chat:
    """A conversation with a model.

    When it no longer fits the context, the model's context policy decides: "drop" leaves out the oldest turns (the
    system prompt stays), "stop" goes on until the context is full, "error" only while a whole answer of `max_tokens`
    still fits; then both refuse the next message with `ContextError`.
    """

    def __init__(
        self, llm: LLM, *, system: str | None, max_tokens: int | None, policy: SamplingPolicy, tools: bool = True
    ) -> None:
        if policy.n != 1:
            raise ConversationError(f"a chat goes on from one answer; n is {policy.n}, expected 1")
        self.llm = llm
        self.system = system
        self.max_tokens = max_tokens
        self.policy = policy
        self.tools = tools
        self.turns: list[Turn] = []
        self.dropped = 0  # oldest turns that the last prompt left out
        self.output: Output | None = None  # of the last answer; "cancelled" where it was left early

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The conversation as nanochat's messages, tool blocks as parts."""
        messages: list[dict[str, Any]] = [{"role": "system", "content": self.system}] if self.system else []
        for turn in self.turns:
            messages.append({"role": "user", "content": turn.user})
            messages.append({"role": "assistant", "content": turn.content})
        return messages

    def __repr__(self) -> str:
        return f"Chat({len(self.turns)} turns with {self.llm!r})"

    def send(self, text: str) -> Output:
        """The model's answer to a message."""
        for _ in self.stream(text):
            pass
        assert self.output is not None
        return self.output

    def stream(self, text: str) -> Generator[Piece, None, None]:
        """The answer to a message in pieces; ended early, the turn keeps what has come."""
        request = self.llm.request(self.prompt(text), self.max_tokens, self.policy, tools=self.tools)
        return self._run(Turn(text), self.llm.run([request]))

    def prompt(self, text: str) -> list[int]:
        """The tokens that ask for an answer to a message; leaves out the oldest turns as the context policy says."""
        tokenizer, context, policy = self.llm.need_tokenizer(), self.llm.context, self.llm.context_policy
        wanted = context if self.max_tokens is None else self.max_tokens
        room = {"drop": min(wanted, context // 2), "stop": 1, "error": wanted}[policy]  # for the answer
        turn = Turn(text)
        turns = [*self.turns, turn]
        for first in range(len(turns)):
            tokens = [tokenizer.bos]
            for place, each in enumerate(turns[first:]):
                user = f"{self.system}\n\n{each.user}" if self.system and place == 0 else each.user
                tokens += user_turn(tokenizer, user)
                if each is not turn:
                    tokens += [*each.answer, tokenizer.encode_special("<|assistant_end|>")]
            alone = policy == "drop" and each is turns[first] and len(tokens) < context
            if len(tokens) + room <= context or alone:
                self.dropped = first
                return tokens
            if policy != "drop":
                break
        raise ContextError(f"{len(tokens)} tokens of conversation leave no room to answer in a context of {context}; "
                           "start a new one, shorten the message, or load with a larger context")

    def undo(self) -> Turn | None:
        """Take back the last turn and return it."""
        return self.turns.pop() if self.turns else None

    def clear(self) -> None:
        """Forget all turns; the system prompt stays."""
        self.turns.clear()
        self.dropped = 0

    def _run(self, turn: Turn, stream: Stream) -> Generator[Piece, None, None]:
        self.turns.append(turn)
        try:
            with stream:
                yield from stream
        finally:
            self.output = stream.so_far()
            turn.answer, turn.content = self.output.tokens, self.output.parts

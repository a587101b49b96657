"""Chat: a conversation that keeps its own tokens, so that what the model said is never encoded a second time."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from pynanochat.chat import user_turn
from pynanochat.errors import ContextError, ConversationError, RequestError
from pynanochat.output import Output, Piece
from pynanochat.sampling import SamplingPolicy

if TYPE_CHECKING:
    from pynanochat.engine.request import Request
    from pynanochat.llm import LLM, ContextPolicy


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
        self,
        llm: LLM,
        *,
        system: str | None,
        max_tokens: int | None,
        policy: SamplingPolicy,
        tools: bool = True,
        context_policy: ContextPolicy | None = None,
    ) -> None:
        if policy.n != 1:
            raise ConversationError(f"a chat goes on from one answer; n is {policy.n}, expected 1")
        self.llm = llm
        self.system = system
        self.max_tokens = max_tokens
        self.policy = policy
        self.tools = tools
        self.context_policy = context_policy or llm.context_policy
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
        """The answer to a message in pieces; the request is queued when the first one is asked for.

        Left early, the turn keeps what has come; a turn in which nothing was said is kept only if the answer ended by
        itself. Raises `ContextError`, `RequestError` or `PolicyError` before any piece for what cannot be asked.
        """
        request = self.llm.request(self.prompt(text), self.max_tokens, self.policy, tools=self.tools)
        return self._run(Turn(text), request)

    def prompt(self, text: str, answer: Sequence[int] = ()) -> list[int]:
        """The tokens that ask for an answer to a message; leaves out the oldest turns as the context policy says.

        `answer` are tokens that the answer begins with, so that what comes goes on from there. The time is linear in
        the tokens of the turns that fit, whatever was left out before them.
        """
        tokenizer, context, policy = self.llm.need_tokenizer(), self.llm.context, self.context_policy
        wanted = context if self.max_tokens is None else self.max_tokens
        if type(wanted) is not int or wanted < 0:
            raise RequestError(f"max_tokens is {wanted!r}; expected a whole number from 0 on")
        room = {"drop": min(wanted, context // 2), "stop": 1, "error": wanted}[policy] + len(answer)
        turns = [*self.turns, Turn(text)]
        first, length = len(turns) - 1, 1  # the oldest kept turn; <|bos|> and the tokens after that turn
        later: list[list[int]] = []  # those tokens turn by turn, the latest first
        while first and (policy != "drop" or length + room <= context):
            later.append(self._laid_out(turns[first], answered=bool(later)))
            length += len(later[-1])
            first -= 1
        while True:  # a system prompt may merge with the text after it, so that no sum tells the length of the two
            head = self._laid_out(turns[first], answered=bool(later), system=self.system)
            total = length + len(head)
            alone = policy == "drop" and not later and total + len(answer) < context
            if total + room <= context or alone:
                self.dropped = first
                return [tokenizer.bos, *head, *chain.from_iterable(reversed(later)), *answer]
            if policy != "drop" or not later:
                raise ContextError(f"{total + len(answer)} tokens of conversation leave no room to answer in a context "
                                   f"of {context}; start a new one, shorten the message, or load with a larger context")
            first += 1
            length -= len(later.pop())

    def undo(self) -> Turn | None:
        """Take back the last turn and return it."""
        return self.turns.pop() if self.turns else None

    def clear(self) -> None:
        """Forget all turns; the system prompt stays."""
        self.turns.clear()
        self.dropped = 0

    def move_to(self, llm: LLM) -> None:
        """Go on with another model, whose tokenizer is the same, so that the tokens so far say the same.

        Raises `RequestError` where it is another one.
        """
        now, then = self.llm.need_tokenizer(), llm.need_tokenizer()
        if (now.ranks, now.special_tokens, now.pattern) != (then.ranks, then.special_tokens, then.pattern):
            raise RequestError(f"{llm.checkpoint.path.name} has another tokenizer than the model of this conversation, "
                               "whose tokens would mean something else there; start a new conversation with it")
        self.llm = llm

    def _laid_out(self, turn: Turn, *, answered: bool, system: str | None = None) -> list[int]:
        """The tokens of a turn, to the end of its answer or to where the answer starts."""
        tokenizer = self.llm.need_tokenizer()
        tokens = user_turn(tokenizer, f"{system}\n\n{turn.user}" if system else turn.user)
        return [*tokens, *turn.answer, tokenizer.encode_special("<|assistant_end|>")] if answered else tokens

    def _run(self, turn: Turn, request: Request) -> Generator[Piece, None, None]:
        stream = self.llm.run([request])
        self.turns.append(turn)
        try:
            with stream:
                yield from stream
        finally:
            self.output = stream.so_far()
            turn.answer, turn.content = self.output.tokens, self.output.parts
            if not turn.answer and self.output.finish_reason not in ("stop", "length"):
                self.turns[:] = [each for each in self.turns if each is not turn]  # turns may be equal

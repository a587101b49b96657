"""Run: the requests of one HTTP request while the engine works on them, and the samples that come of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Generic, TypeVar

from pynanochat.errors import ContextError, PolicyError
from pynanochat.serve.blocks import Sample
from pynanochat.serve.errors import ApiError, Disconnected
from pynanochat.serve.schema import PromptTokensDetails, Usage
from pynanochat.serve.settings import too_long

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pynanochat.engine.request import Request
    from pynanochat.grammar import Grammar
    from pynanochat.llm import LLM
    from pynanochat.sampling import SamplingPolicy
    from pynanochat.serve.bridge import Answer
    from pynanochat.serve.exchange import Exchange
    from pynanochat.serve.server import ServedModel, Server
    from pynanochat.tools import ToolMachine

C = TypeVar("C", bound=Sample)

MOST_LOGPROBS = 1 << 19  # of one HTTP request: tokens and their alternatives, about 250 bytes each


class Run(Generic[C]):
    """Samples on their way, `choices[prompt, sample]`; leaving the `async with` block ends what still runs.

    `finish` ends a sample that the engine ended with "stop" or "length" at some token, and gives the reason to count.
    """

    def __init__(
        self, exchange: Exchange, server: Server, model: ServedModel, requests: list[Request],
        choices: Mapping[tuple[int, int], C], finish: Callable[[C, str, int | None], str],
    ) -> None:
        self.choices = choices
        self.requests = requests
        self.completion_tokens = 0
        self._exchange = exchange
        self._server = server
        self._model = model
        self._finish = finish
        self._running = set(choices)
        self._cached: dict[int, int] = {}  # prompt tokens that the cache held, by prompt
        self._record = server.metrics.request(model.name, exchange)
        self._answer: Answer | None = None

    async def __aenter__(self) -> Run[C]:
        self._record.__enter__()
        try:
            check_logprobs(self.requests, self._model.llm.context)
            self._answer = self._model.engine.ask(self.requests, self._server.settings.request_seconds)
        except BaseException as error:
            self._record.__exit__(type(error), error, None)
            raise
        self._record.prompt_tokens(sum(len(request.prompt) for request in self.requests))
        self._exchange.on_disconnect(self._answer.cancel)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._begun().cancel()
        self._record.__exit__(kind, error, None)

    async def step(self) -> list[C] | None:
        """The samples that something has come of, in the order of their indices; None at the end.

        Raises what a request failed with, `ApiError` 503 where its time is up, `Disconnected` where the client left.
        """
        answer = self._begun()
        try:
            pieces = await anext(answer)
        except StopAsyncIteration:
            if self._running:
                raise Disconnected from None
            return None
        touched: dict[int, C] = {}
        before = self.completion_tokens
        for piece in pieces:
            key = piece.prompt, piece.sample
            choice = self.choices[key]
            choice.take(piece)
            self.completion_tokens += len(piece.tokens)
            touched[choice.index] = choice
            if piece.finish_reason is not None:
                if piece.finish_reason == "cancelled":
                    raise ApiError(503, "the server ended the request: its time was up; ask for fewer tokens",
                                   code="deadline_exceeded", headers={"retry-after": "1"})
                ended = answer.so_far(*key)
                self._running.discard(key)
                self._cached[piece.prompt] = ended.usage.cached_tokens
                self._record.finished(self._finish(choice, piece.finish_reason, ended.end_token))
        self._record.tokens(self.completion_tokens - before)
        if not self._running:
            usage = self.usage
            self._record.prompt_tokens(usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens)
        return [touched[index] for index in sorted(touched)]

    def _begun(self) -> Answer:
        if self._answer is None:
            raise RuntimeError("a run is used inside its `async with` block")
        return self._answer

    @property
    def usage(self) -> Usage:
        """Counts so far; a prompt counts once, whatever n is."""
        prompt = sum(len(request.prompt) for request in self.requests)
        return Usage(prompt_tokens=prompt, completion_tokens=self.completion_tokens,
                     total_tokens=prompt + self.completion_tokens,
                     prompt_tokens_details=PromptTokensDetails(cached_tokens=sum(self._cached.values())))


def check_logprobs(requests: list[Request], context: int) -> None:
    """Raise `ApiError` 400 where so many probabilities are asked for that they would not fit the memory."""
    total = 0
    for request in requests:
        if request.policy.logprobs is not None:
            length = len(request.prompt)
            made = context - length if request.max_tokens is None else min(request.max_tokens, context - length)
            told = made * request.policy.n + (length if request.on_prompt_logits is not None else 0)
            total += told * (1 + request.policy.logprobs)
    if total > MOST_LOGPROBS:
        raise ApiError(400, f"the answer would tell up to {total:,} probabilities; at most {MOST_LOGPROBS:,} in one "
                            "request: ask for fewer tokens, samples or alternatives", param="logprobs",
                       code="invalid_value")


def request_of(
    llm: LLM, tokens: Sequence[int], max_tokens: int | None, policy: SamplingPolicy, *, grammar: Grammar | None,
    tools: bool, tool: ToolMachine | None = None, forced: tuple[int, ...] = (), ignore_eos: bool = False,
    salt: str = "", param: str,
) -> Request:
    """What the engine runs for a prompt; `tool` is the calculator's state where an answer has begun, `forced` its word.

    An answer with a grammar ends where the grammar does, also with `ignore_eos`.
    """
    try:
        request = llm.request(tokens, max_tokens, policy, tools=tools, grammar=grammar, salt=salt)
    except ContextError as error:
        raise too_long(error, llm.context, param) from None
    except PolicyError as error:
        raise ApiError(400, str(error), code="invalid_value") from None
    if tool is not None and request.tool is not None:
        request = replace(request, tool=tool, forced=forced)
    return replace(request, end_tokens=()) if ignore_eos and grammar is None else request

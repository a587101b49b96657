"""/v1/completions: texts or token ids in, their continuations out, with the prompts' own probabilities if wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pynanochat.output import borders
from pynanochat.serve.chunks import ChunkWriter
from pynanochat.serve.errors import ApiError
from pynanochat.serve.limits import BosPolicy, Limits
from pynanochat.serve.models import fingerprint
from pynanochat.serve.run import Run, request_of
from pynanochat.serve.schema import LONG_BYTES, FinishReason, read
from pynanochat.serve.schema_completions import Completion, CompletionChunk, CompletionRequest
from pynanochat.serve.settings import check_ids, grammar_of, headers_of, policy_of, salt_of
from pynanochat.serve.text_choice import PromptLogprobs, TextChoice
from pynanochat.serve.token_logprobs import TokenWriter

if TYPE_CHECKING:
    from pynanochat.engine.request import Request
    from pynanochat.llm import LLM
    from pynanochat.serve.exchange import Exchange
    from pynanochat.serve.server import Server

DEFAULT_TOKENS = 16  # OpenAI's
MOST_SAMPLES = 128  # prompts times samples of each
_AROUND_TEXT = b',"text":', b""


@dataclass(frozen=True)
class TextPrompt:
    """One prompt: its tokens, and how many at their beginning the client did not send."""

    tokens: list[int]
    hidden: int

    @property
    def shown(self) -> list[int]:
        """The tokens that an echo repeats."""
        return self.tokens[self.hidden:]


async def handle(exchange: Exchange, server: Server) -> None:
    """Answer POST /v1/completions."""
    body = await exchange.json()
    asked, ignored = read(body, CompletionRequest)
    model = server.model(asked.model)
    llm = model.llm
    given = prompts_of(asked.prompt)
    n = asked.n or 1
    samples = _samples(asked, n, len(given))
    grammar = await grammar_of(asked, llm, asked.response_format, "response_format")
    prompts = (_encoded(given, llm, server.settings.bos) if len(body) <= LONG_BYTES
               else await asyncio.to_thread(_encoded, given, llm, server.settings.bos))
    scoring = is_scoring(asked) and grammar is None
    max_tokens = DEFAULT_TOKENS if asked.max_tokens is None else asked.max_tokens
    wanted = asked.logprobs if asked.logprobs is not None else 0 if samples > n else None
    policy = policy_of(asked, llm, n=samples, logprobs=wanted)
    if scoring:
        policy = policy.replace(stop=(), stop_tokens=())
    requests = [
        request_of(llm, prompt.tokens, max_tokens, policy, grammar=grammar, tools=not scoring,
                   ignore_eos=bool(asked.ignore_eos) or scoring, salt=salt_of(exchange.tenant, asked.cache_salt),
                   param="prompt") for prompt in prompts]
    if asked.echo and asked.logprobs is not None:
        requests = [replace(request, on_prompt_logits=PromptLogprobs(prompt.tokens, asked.logprobs))
                    for request, prompt in zip(requests, prompts, strict=True)]
    choices = _choices(asked, llm, requests, prompts, scoring=scoring)
    ends = _ends(llm) if scoring and not asked.ignore_eos else frozenset[int]()

    def finish(choice: TextChoice, reason: str, end_token: int | None) -> FinishReason:
        ended: FinishReason = "length" if reason == "length" and choice.last not in ends else "stop"
        choice.finish(ended)
        return ended

    writer = ChunkWriter[TextChoice](
        CompletionChunk, "cmpl", _AROUND_TEXT, model=model.name, fingerprint=fingerprint(llm))
    headers = headers_of(asked, ignored, grammar)
    told = list(requests[0].prompt) if asked.return_token_ids else None
    async with Run(exchange, server, model, requests, choices, finish) as run:
        if asked.stream:
            await writer.stream(exchange, run, asked.stream_options, headers, told)
            return
        while await run.step() is not None:
            pass
        answers = [choice.whole(index) for index, choice in enumerate(best(choices, n))]
        await exchange.send_json(writer.document(Completion, answers, run.usage, told), headers=headers)


def prompts_of(given: str | Sequence[str | int | list[int]] | None) -> list[str | list[int]]:
    """The prompts of a request's field; null stands for the beginning of a document. Raises `ApiError` 400."""
    if given is None:
        return [""]
    if isinstance(given, str):
        return [given]
    if all(isinstance(item, int) for item in given):
        return [list(given)]  # type: ignore[arg-type]
    if not (all(isinstance(item, str) for item in given) or all(isinstance(item, list) for item in given)):
        raise ApiError(400, "prompt mixes texts and token ids; expected a text, token ids, or a list of texts or of "
                            "lists of token ids", param="prompt", code="invalid_value")
    if len(given) > Limits.prompts:
        raise ApiError(400, f"{len(given)} prompts; at most {Limits.prompts} in one request", param="prompt",
                       code="invalid_value")
    return list(given)  # type: ignore[arg-type]


def is_scoring(asked: CompletionRequest) -> bool:
    """Whether the prompt's probabilities are asked for with at most one token more, as lm-eval does.

    Then that token is told whatever it is: one that ends an answer, too, and no tool runs.
    """
    return bool(asked.echo) and asked.logprobs is not None and asked.max_tokens is not None and asked.max_tokens <= 1


def best(choices: dict[tuple[int, int], TextChoice], n: int) -> list[TextChoice]:
    """For each prompt the n likeliest samples, the likeliest first where there are more."""
    kept: list[TextChoice] = []
    for place in sorted({place for place, _ in choices}):
        samples = [choice for (prompt, _), choice in choices.items() if prompt == place]
        if len(samples) > n:
            samples = sorted(samples, key=lambda choice: -choice.likelihood)[:n]
        kept += samples
    return kept


def _samples(asked: CompletionRequest, n: int, prompts: int) -> int:
    """How many samples of each prompt to make."""
    made = asked.best_of or n
    if made < n:
        raise ApiError(400, f"best_of is {made} and n is {n}; expected best_of to be at least n", param="best_of",
                       code="invalid_value")
    if asked.stream and made > n:
        raise ApiError(400, "best_of above n cannot be streamed: which samples are the best shows at their end",
                       param="best_of", code="invalid_value")
    if made * prompts > MOST_SAMPLES:
        raise ApiError(400, f"{prompts} prompts with {made} samples each; at most {MOST_SAMPLES} samples in all",
                       param="prompt" if made == 1 else "n", code="invalid_value")
    return made


def _encoded(given: list[str | list[int]], llm: LLM, bos: BosPolicy) -> list[TextPrompt]:
    return [encoded(one, llm, bos) for one in given]


def encoded(given: str | list[int], llm: LLM, bos: BosPolicy) -> TextPrompt:
    """A prompt's tokens, under the server's policy for <|bos|>; `ApiError` 400 for ids that the model lacks."""
    if isinstance(given, str):
        tokenizer = llm.need_tokenizer()
        tokens = tokenizer.encode(given)
        if bos == "never":
            if not tokens:
                raise ApiError(400, "the prompt is empty, and the server was told to put no <|bos|> in front; send a "
                                    "text", param="prompt", code="invalid_value")
            return TextPrompt(tokens, 0)
        return TextPrompt([tokenizer.bos, *tokens], 1)
    check_ids(given, llm, "prompt")
    first = llm.tokenizer.special_tokens.get("<|bos|>") if llm.tokenizer is not None else None
    if bos == "always" and first is not None and given[0] != first:
        return TextPrompt([first, *given], 1)
    return TextPrompt(given, 0)


def _choices(
    asked: CompletionRequest, llm: LLM, requests: list[Request], prompts: list[TextPrompt], *, scoring: bool
) -> dict[tuple[int, int], TextChoice]:
    ids = bool(asked.return_token_ids)
    choices = {}
    for place, (request, prompt) in enumerate(zip(requests, prompts, strict=True)):
        hook = request.on_prompt_logits
        for sample in range(request.policy.n):
            index = place * request.policy.n + sample
            choices[place, sample] = TextChoice(
                index, {} if scoring else borders(llm.tokenizer), llm.tokenizer, ids=ids, hidden=prompt.hidden,
                writer=None if asked.logprobs is None else TokenWriter(llm.tokenizer, ids=ids),
                echo=prompt.shown if asked.echo else None, prompt=prompt.tokens if ids else None,
                prompt_logprobs=hook if isinstance(hook, PromptLogprobs) else None)
    return choices


def _ends(llm: LLM) -> frozenset[int]:
    special = llm.tokenizer.special_tokens if llm.tokenizer is not None else {}
    return frozenset(special[name] for name in ("<|assistant_end|>", "<|bos|>") if name in special)

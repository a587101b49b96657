"""Completions of a text or of token ids: their fields, batches, echo and log-probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pynanochat.contract.chat import FINISH, usage_differences
from pynanochat.contract.clients import GUIDELLM, LITELLM, LLM, LM_EVAL, OPENAI_PYTHON, SPECIFICATION
from pynanochat.contract.problem import NotOfferedError, Problem, quoted, shown
from pynanochat.contract.result import Check
from pynanochat.contract.server import BEGINNING, Document, Server, pick
from pynanochat.contract.shape import (
    COUNT,
    LOGPROB,
    NAME,
    NULL,
    SECONDS,
    TEXT,
    counted,
    differences,
    exactly,
    nullable,
    record,
    sequence,
)
from pynanochat.contract.stream import done_differences, usage_at_end

ANSWER = record(
    id=NAME, object=exactly("text_completion"), created=SECONDS, model=NAME,
    choices=sequence(record(text=TEXT, index=COUNT, finish_reason=FINISH, logprobs=NULL), 1))
LOGPROBS = record(
    tokens=sequence(TEXT), token_logprobs=sequence(nullable(LOGPROB)),
    top_logprobs=sequence({"type": ["object", "null"]}), text_offset=sequence(COUNT))
_OTHER = "The little cat saw"
_PLACE = "choices[0].logprobs"


def text_of(document: Document, index: int = 0) -> str:
    """The text of a completion."""
    return pick(document, "choices", index, "text", kind=str)


def completion(server: Server) -> Document:
    """The completion that many checks look at."""
    return server.kept("completion", server.complete)


def fields(server: Server) -> Iterator[Problem]:
    """The fields of a completion."""
    document = completion(server)
    yield from differences(document, ANSWER)
    yield from usage_differences(document)


def batch(server: Server) -> Iterator[Problem]:
    """Two prompts give two answers in their order, each as if it were alone."""
    both = server.complete([BEGINNING, _OTHER])
    found = _numbered(both, 2)
    if found is not None:
        yield found
        return
    for index, prompt in enumerate((BEGINNING, _OTHER)):
        wanted = text_of(completion(server) if index == 0 else server.complete(prompt))
        if text_of(both, index) != wanted:
            yield Problem(f"choices[{index}].text", f"is {quoted(text_of(both, index))}; expected what this prompt "
                                                    f"gives alone, {quoted(wanted)}")


def several(server: Server) -> Iterator[Problem]:
    """Two answers to each of two prompts: four choices, those of one prompt side by side."""
    found = _numbered(server.complete([BEGINNING, _OTHER], n=2, temperature=1.0, seed=3), 4)
    if found is not None:
        yield found


def echo(server: Server) -> Iterator[Problem]:
    """The prompt stands before the answer."""
    text, wanted = text_of(server.complete(echo=True)), BEGINNING + text_of(completion(server))
    if text != wanted:
        yield Problem("choices[0].text", f"is {quoted(text)} with echo; expected {quoted(wanted)}")


def logprobs(server: Server) -> Iterator[Problem]:
    """Four lists of one length, whose tokens are the text and whose offsets say where each begins."""
    document = server.complete(logprobs=2, echo=True)
    told = pick(document, "choices", 0, "logprobs", kind=dict)
    found = [*differences(told, LOGPROBS, _PLACE)]
    yield from found
    if found:
        return
    sizes = {name: len(told[name]) for name in ("tokens", "token_logprobs", "top_logprobs", "text_offset")}
    if len(set(sizes.values())) > 1:
        yield Problem(_PLACE, f"has lists of different lengths: {shown(sizes)}")
        return
    text, tokens = text_of(document), told["tokens"]
    if not text.isascii():  # a token may hold part of a letter
        return
    if "".join(tokens) != text:
        yield Problem(f"{_PLACE}.tokens",
                      f"are {quoted(''.join(tokens))} together; expected the text, {quoted(text)}")
        return
    offset = told["text_offset"][0] if tokens else 0
    for place, token in enumerate(tokens):
        if told["text_offset"][place] != offset:
            yield Problem(f"{_PLACE}.text_offset[{place}]", f"is {told['text_offset'][place]}; expected {offset}")
            return
        offset += len(token)


def best_of(server: Server) -> Iterator[Problem]:
    """The likelier one of two, and an error where fewer are tried than wanted."""
    document = server.complete(best_of=2, n=1, temperature=1.0, seed=3)
    found = _numbered(document, 1)
    if found is not None:
        yield found
    try:
        server.complete(best_of=1, n=2, temperature=1.0)
    except NotOfferedError:
        return
    yield Problem("best_of", "1 with n 2 was not refused")


def suffix(server: Server) -> Iterator[Problem]:
    """A suffix is heeded or refused."""
    try:
        document = server.complete(suffix=" and they lived happily ever after.")
    except NotOfferedError:
        completion(server)  # refused for its suffix, if this is not
        return
    if text_of(document) == text_of(completion(server)):
        yield Problem("suffix", "was ignored; expected 400, or a text that leads to it")


def streamed(server: Server) -> Iterator[Problem]:
    """The stream of a completion."""
    transcript = server.stream_completion()
    chunk = record(id=NAME, object=exactly("text_completion"), created=SECONDS, model=NAME,
                   choices=sequence(record(text=TEXT, index=COUNT, finish_reason=nullable(FINISH))))
    for place, one in enumerate(transcript.chunks):
        found = [*differences(one, chunk, f"chunk {place}")]
        if found:
            yield from found
            break
    yield from done_differences(transcript)
    if transcript.text() != text_of(completion(server)):
        yield Problem("choices[0].text", f"is {quoted(transcript.text())} together; expected what it is without a "
                                         f"stream, {quoted(text_of(completion(server)))}")


def stream_usage(server: Server) -> Iterator[Problem]:
    """The last chunk of a stream counts the tokens."""
    return usage_at_end(server.stream_completion(stream_options={"include_usage": True}))


def prompt_alone(server: Server) -> Iterator[Problem]:
    """With echo and max_tokens 0 the prompt comes back, and nothing else."""
    text = text_of(server.complete(echo=True, max_tokens=0))
    if text != BEGINNING:
        yield Problem("choices[0].text", f"is {quoted(text)} with echo and max_tokens 0; expected the prompt")


def _numbered(document: Document, wanted: int) -> Problem | None:
    choices: list[Any] = pick(document, "choices", kind=list)
    if len(choices) != wanted:
        return Problem("choices", f"has {counted(len(choices), 'item')}; expected {wanted}")
    indices = [choice.get("index") if isinstance(choice, dict) else None for choice in choices]
    if indices != list(range(wanted)):
        return Problem("choices[].index", f"is {shown(indices)}; expected {list(range(wanted))}")
    return None


CHECKS = (
    Check("completions", "fields of a completion", "expected", (SPECIFICATION, OPENAI_PYTHON, LITELLM, LLM), fields),
    Check("completions", "several prompts at once", "expected", (SPECIFICATION, LM_EVAL), batch),
    Check("completions", "n answers to several prompts", "expected", (SPECIFICATION,), several),
    Check("completions", "echo", "expected", (SPECIFICATION, LM_EVAL), echo),
    Check("completions", "echo with max_tokens 0", "expected", (SPECIFICATION,), prompt_alone),
    Check("completions", "logprobs and text_offset", "expected", (SPECIFICATION, LITELLM), logprobs),
    Check("completions", "best_of", "expected", (SPECIFICATION,), best_of),
    Check("completions", "suffix is not ignored", "expected", (SPECIFICATION,), suffix),
    Check("completions", "a stream", "expected", (OPENAI_PYTHON, LITELLM, LLM, GUIDELLM), streamed),
    Check("completions", "usage at the end of a stream", "expected", (GUIDELLM, LLM), stream_usage),
)

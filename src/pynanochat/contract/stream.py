"""Streamed chat answers: server-sent events, the order of the chunks, and the same text in the end."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pynanochat.contract.chat import FINISH, answer, stop_differences, stop_text, text_of, usage_differences
from pynanochat.contract.clients import AI_SDK, GUIDELLM, LANGCHAIN, LITELLM, LLM, OPENAI_NPM, SPECIFICATION, STREAMING
from pynanochat.contract.problem import NotOfferedError, Problem, quoted, shown
from pynanochat.contract.result import Check
from pynanochat.contract.server import SHORT, Server, Transcript
from pynanochat.contract.shape import (
    COUNT,
    NAME,
    SECONDS,
    TEXT,
    counted,
    differences,
    exactly,
    nullable,
    one_of,
    record,
    sequence,
)

DELTA = record({"role": one_of("assistant", None), "content": nullable(TEXT)})
CHUNK = record(
    id=NAME, object=exactly("chat.completion.chunk"), created=SECONDS, model=NAME,
    choices=sequence(record(index=COUNT, delta=DELTA, finish_reason=nullable(FINISH))))


def plain(server: Server) -> Transcript:
    """The stream that most checks look at."""
    return server.kept("stream", lambda: server.stream_chat(max_tokens=2 * SHORT))


def content_type(server: Server) -> Iterator[Problem]:
    """The header that says that events come."""
    told = plain(server).headers.get("content-type", "")
    if told.split(";")[0].strip().lower() != "text/event-stream":
        yield Problem("content-type", f"is {quoted(told)}; expected text/event-stream")


def chunk_fields(server: Server) -> Iterator[Problem]:
    """Fields without which a client raises, in every chunk; one id for all of them."""
    chunks = plain(server).chunks
    for place, chunk in enumerate(chunks):
        found = [*differences(chunk, CHUNK, f"chunk {place}")]
        if found:
            yield from found
            return
    ids = {str(chunk.get("id")) for chunk in chunks}
    if len(ids) > 1:
        yield Problem("id", f"changes within an answer: {shown(sorted(ids))}")


def role_first(server: Server) -> Iterator[Problem]:
    """The first chunk says who speaks."""
    delta = next((choice.get("delta") for _, choice in plain(server).choices()), None)
    if not isinstance(delta, dict) or delta.get("role") != "assistant":
        yield Problem("chunk 0.choices[0].delta.role", "is not 'assistant'; openai's stream helper raises")


def finish(server: Server) -> Iterator[Problem]:
    """One finish_reason, and no text after it."""
    choices = [choice for _, choice in plain(server).choices()]
    ends = [place for place, choice in enumerate(choices) if choice.get("finish_reason") is not None]
    if len(ends) != 1:
        yield Problem("choices[0].finish_reason", f"comes {counted(len(ends), 'time')}; expected once, at the end")
    elif any(isinstance(delta := choice.get("delta"), dict) and delta.get("content")
             for choice in choices[ends[0] + 1 :]):
        yield Problem("choices[0].delta.content", "goes on after finish_reason")


def done(server: Server) -> Iterator[Problem]:
    """The line that ends a stream."""
    return done_differences(plain(server))


def done_differences(transcript: Transcript) -> Iterator[Problem]:
    """What is wrong with the end of a stream."""
    places = [place for place, event in enumerate(transcript.events) if event.data == "[DONE]"]
    if len(places) != 1:
        yield Problem("data: [DONE]", f"comes {counted(len(places), 'time')}; expected once, at the end")
    elif places[0] != len(transcript.events) - 1:
        yield Problem("data: [DONE]", "is not the last event")


def whole(server: Server) -> Iterator[Problem]:
    """The text of the stream is the text of the answer."""
    streamed, wanted = plain(server).text(), text_of(answer(server))
    if streamed != wanted:
        yield Problem("choices[0].delta.content", f"is {quoted(streamed)} together; expected what the answer is "
                                                  f"without a stream, {quoted(wanted)}")


def stopped(server: Server) -> Iterator[Problem]:
    """A stop text ends the stream, and nothing of it is sent before it is whole."""
    stop = stop_text(server)
    transcript = server.stream_chat(max_tokens=2 * SHORT, stop=stop)
    return stop_differences(server, stop, transcript.text(), "choices[0].delta.content")


def last_usage(server: Server) -> Iterator[Problem]:
    """With include_usage the last chunk has usage and no choices."""
    return usage_at_end(server.stream_chat(stream_options={"include_usage": True}))


def usage_at_end(transcript: Transcript) -> Iterator[Problem]:
    """What is wrong with the usage of a stream that was asked for it."""
    last = transcript.chunks[-1]
    if not isinstance(last.get("usage"), dict):
        yield Problem(f"chunk {len(transcript.chunks) - 1}.usage", "is not there; expected it in the last chunk when "
                                                                   "stream_options.include_usage is true")
        return
    if last.get("choices") != []:
        yield Problem(f"chunk {len(transcript.chunks) - 1}.choices", f"is {shown(last.get('choices'))}; expected [] "
                                                                     "beside usage")
    yield from usage_differences(last)


def no_usage(server: Server) -> Iterator[Problem]:
    """Without include_usage there is no chunk without choices, on which many programs fail."""
    for place, chunk in enumerate(plain(server).chunks):
        if chunk.get("choices") == []:
            yield Problem(f"chunk {place}.choices", "is [] although nobody asked for usage")
            return


def continuous(server: Server) -> Iterator[Problem]:
    """With continuous_usage_stats every chunk counts the tokens so far."""
    transcript = server.stream_chat(stream_options={"include_usage": True, "continuous_usage_stats": True})
    counts: list[Any] = []
    for place, chunk in enumerate(transcript.chunks):
        usage = chunk.get("usage")
        if not isinstance(usage, dict):
            if len([one for one in transcript.chunks if isinstance(one.get("usage"), dict)]) <= 1:
                raise NotOfferedError("usage is in the last chunk only")
            yield Problem(f"chunk {place}.usage", "is not there; expected it in every chunk")
            return
        counts.append(usage.get("completion_tokens"))
    if not all(isinstance(count, int) for count in counts):
        yield Problem("usage.completion_tokens", f"is {shown(counts)}; expected whole numbers")
    elif any(after < before for before, after in pairwise(counts)):
        yield Problem("usage.completion_tokens", f"falls: {shown(counts)}")


def several(server: Server) -> Iterator[Problem]:
    """The answers of n in one stream, told apart by index, are those without a stream."""
    settings: dict[str, Any] = {"n": 2, "temperature": 1.5, "seed": 5}
    choices = server.chat(**settings).get("choices")
    if not isinstance(choices, list) or len(choices) != 2:
        raise NotOfferedError("n gives one answer without a stream, too")
    transcript = server.stream_chat(**settings)
    if {choice.get("index") for _, choice in transcript.choices()} != {0, 1}:
        yield Problem("choices[].index", "does not tell the two answers apart; expected 0 and 1")
        return
    for index in (0, 1):
        if not transcript.text(index):
            yield Problem("choices[].delta.content", f"is never there for index {index}")


CHECKS = (
    Check("stream", "content-type text/event-stream", "required", STREAMING, content_type),
    Check("stream", "fields that clients read, in every chunk", "required", STREAMING, chunk_fields),
    Check("stream", "the role comes first", "required", (OPENAI_NPM, LANGCHAIN), role_first),
    Check("stream", "finish_reason comes once, at the end", "required", (OPENAI_NPM, AI_SDK), finish),
    Check("stream", "[DONE] comes once, at the end", "required", (SPECIFICATION, GUIDELLM), done),
    Check("stream", "the text of the answer without a stream", "required", STREAMING, whole),
    Check("stream", "a stop text", "required", (SPECIFICATION, LITELLM, LANGCHAIN), stopped),
    Check("stream", "usage in the last chunk when asked for", "required", (LLM, AI_SDK, GUIDELLM, LANGCHAIN),
          last_usage),
    Check("stream", "no chunk without choices otherwise", "expected", (SPECIFICATION,), no_usage),
    Check("stream", "usage in every chunk when asked for", "extension", (GUIDELLM,), continuous),
    Check("stream", "n answers in one stream", "expected", (SPECIFICATION,), several),
)

"""Chat answers: their fields, what may stand in a request, and where an answer ends."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pynanochat.contract.clients import (
    EVERY_CHAT,
    GUIDELLM,
    INSPECT,
    LANGCHAIN,
    LITELLM,
    LM_EVAL,
    OPENAI_AGENTS,
    OPENAI_DOTNET,
    OPENAI_NPM,
    OPENAI_PYTHON,
    SPECIFICATION,
)
from pynanochat.contract.problem import NotOfferedError, Problem, quoted, shown
from pynanochat.contract.result import Check
from pynanochat.contract.server import CHAT, QUESTION, SHORT, Document, Server, pick
from pynanochat.contract.shape import (
    COUNT,
    NAME,
    NULL,
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

FINISH = one_of("stop", "length", "tool_calls", "content_filter", "function_call")
TOOL_CALLS = sequence(record(id=NAME, type=exactly("function"), function=record(name=NAME, arguments=TEXT)))
MESSAGE = record({"tool_calls": nullable(TOOL_CALLS)}, role=exactly("assistant"), content=nullable(TEXT))
ANSWER = record(
    id=NAME, object=exactly("chat.completion"), created=SECONDS, model=NAME,
    choices=sequence(record(index=COUNT, message=MESSAGE, finish_reason=FINISH), 1))
ANSWERED = record(choices=sequence(record(message=record(content=nullable(TEXT))), 1))
NULLS = record(choices=sequence(record(logprobs=NULL, message=record(refusal=NULL))))
USAGE = record(prompt_tokens=COUNT, completion_tokens=COUNT, total_tokens=COUNT)
_WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "description": "The weather in a city.", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}


def text_of(document: Document, index: int = 0) -> str:
    """The text of an answer that is not streamed."""
    return pick(document, "choices", index, "message", "content", kind=str)


def answer(server: Server) -> Document:
    """An answer that many checks look at: the most likely one, of 24 tokens."""
    return server.kept("answer", lambda: server.chat(max_tokens=2 * SHORT))


def fields(server: Server) -> Iterator[Problem]:
    """Fields without which a client raises or takes the answer for an empty one."""
    document = answer(server)
    yield from differences(document, ANSWER)
    message = pick(document, "choices", 0, "message", kind=dict)
    if message.get("content", "") is None and not any(
            message.get(name) for name in ("tool_calls", "reasoning_content", "reasoning")):
        yield Problem("choices[0].message.content", "is null, and nothing else is in the message; expected a string")


def nulls(server: Server) -> Iterator[Problem]:
    """Fields that are there although there is nothing to say."""
    return differences(answer(server), NULLS)


def usage(server: Server) -> Iterator[Problem]:
    """Counts that add up."""
    document = answer(server)
    pick(document, "usage", kind=dict)
    return usage_differences(document)


def usage_differences(document: Document) -> Iterator[Problem]:
    """What is wrong with the `usage` of a chat or completion."""
    found = [*differences(document.get("usage"), USAGE, "usage")]
    yield from found
    if not found:
        told = document["usage"]
        prompt, completion, total = (told[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens"))
        if prompt + completion != total:
            yield Problem("usage.total_tokens", f"is {total}; expected {prompt} + {completion}")
        if prompt == 0:
            yield Problem("usage.prompt_tokens", "is 0; expected what the prompt takes")


def cached(server: Server) -> Iterator[Problem]:
    """How much of the prompt came from a cache."""
    document = answer(server)
    details = pick(document, "usage", kind=dict).get("prompt_tokens_details")
    if details is None:
        raise NotOfferedError("usage.prompt_tokens_details is not there")
    yield from differences(details, record(cached_tokens=COUNT), "usage.prompt_tokens_details")


def turns(server: Server) -> Iterator[Problem]:
    """A system message, an answer of before and a new question."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello!"},
                {"role": "assistant", "content": "Hello, how are you?"}, {"role": "user", "content": QUESTION}]
    return differences(server.chat(messages), ANSWERED)


def developer(server: Server) -> Iterator[Problem]:
    """The system message under its newer name."""
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": QUESTION}]
    return differences(server.chat(messages), ANSWERED)


def parts(server: Server) -> Iterator[Problem]:
    """A message as a list of parts is the message as a text."""
    told = text_of(server.chat([{"role": "user", "content": [{"type": "text", "text": QUESTION}]}],
                               max_tokens=2 * SHORT))
    plain = text_of(answer(server))
    if told != plain:
        yield Problem("messages[0].content", f"as a list of parts is answered with {shown(told)}; "
                                             f"expected what the same text is answered with, {shown(plain)}")


def scripts(server: Server) -> Iterator[Problem]:
    """A question in letters of several alphabets, and an emoji."""
    return differences(server.chat("Grüße! Что это? これは 🐶"), ANSWERED)


def ends_at(field: str, server: Server) -> Iterator[Problem]:
    """A limit of 3 tokens ends the answer after 3, and says so."""
    limit: Document = {"max_tokens": None, field: 3}
    document = server.chat(**limit)
    reason = pick(document, "choices", 0, "finish_reason", kind=str)
    count = pick(document, "usage", "completion_tokens", kind=int)
    if count > 3:
        yield Problem("usage.completion_tokens", f"is {count} with {field} 3; expected at most 3")
    elif len(text_of(document)) >= len(text_of(answer(server))) > 24:
        yield Problem("choices[0].message.content", f"is as long with {field} 3 as with {2 * SHORT}")
    elif reason != "length" and count == 3:
        yield Problem("choices[0].finish_reason", f"is {quoted(reason)} after {field} 3; expected 'length'")


def stops(as_list: bool, server: Server) -> Iterator[Problem]:
    """A text out of the answer's middle, given as stop, ends the same answer before it."""
    stop = stop_text(server)
    document = server.chat(max_tokens=2 * SHORT, stop=["\u2404", stop] if as_list else stop)
    yield from stop_differences(server, stop, text_of(document), "choices[0].message.content")
    reason = pick(document, "choices", 0, "finish_reason", kind=str)
    if reason != "stop":
        yield Problem("choices[0].finish_reason", f"is {quoted(reason)} after a stop text; expected 'stop'")


def stop_text(server: Server) -> str:
    """A text out of the middle of the answer that many checks look at."""
    whole = text_of(answer(server))
    if len(whole) < 8:
        raise NotOfferedError(f"cannot be told: the answer {quoted(whole)} is too short to be cut")
    middle = len(whole) // 2
    return whole[middle : middle + 3]


def stop_differences(server: Server, stop: str, text: str, field: str) -> Iterator[Problem]:
    """What is wrong with a text that was to end before `stop`."""
    whole = text_of(answer(server))
    wanted = whole[: whole.find(stop)]
    if text == whole:
        yield Problem("stop", f"{quoted(stop)} was ignored")
    elif stop in text:
        yield Problem(field, f"contains the stop text {quoted(stop)}")
    elif text.rstrip() != wanted.rstrip():
        yield Problem(field, f"is {quoted(text)}; expected the answer up to the stop text, {quoted(wanted)}")


def several(server: Server) -> Iterator[Problem]:
    """Three samples, numbered, that differ."""
    document = server.chat(n=3, temperature=1.5, seed=11)
    choices = pick(document, "choices", kind=list)
    if len(choices) != 3:
        yield Problem("choices", f"has {counted(len(choices), 'item')} with n 3; expected 3")
        return
    indices = [choice.get("index") if isinstance(choice, dict) else None for choice in choices]
    if sorted(map(str, indices)) != ["0", "1", "2"]:
        yield Problem("choices[].index", f"are {shown(indices)}; expected 0, 1 and 2")
    if len({text_of(document, index) for index in range(3)}) == 1:
        yield Problem("choices[].message.content", "are the same three times at temperature 1.5")


def tools(server: Server) -> Iterator[Problem]:
    """A function that the model may call: the server calls it, answers, or says that it cannot."""
    document = server.chat("What is the weather in Paris?", tools=[_WEATHER], tool_choice="auto")
    message = pick(document, "choices", 0, "message", kind=dict)
    if message.get("tool_calls"):
        return differences(message["tool_calls"], TOOL_CALLS, "choices[0].message.tool_calls")
    return differences(message, record(content=TEXT), "choices[0].message")


def taken(settings: Document, server: Server) -> Iterator[Problem]:
    """Fields of a request that change little or nothing are no error."""
    return differences(server.chat(**settings), ANSWERED)


def unset(server: Server) -> Iterator[Problem]:
    """Null is what a field is that nobody set."""
    document = {"messages": [{"role": "user", "content": QUESTION, "name": None}], "max_tokens": SHORT,
                **dict.fromkeys(_NULLABLE)}
    return differences(server.ask(CHAT, document), ANSWERED)


_NULLABLE = ("temperature", "top_p", "n", "stop", "seed", "stream", "stream_options", "logit_bias", "logprobs",
             "top_logprobs", "presence_penalty", "frequency_penalty", "max_completion_tokens", "metadata", "store")
_HARMLESS = {"user": "somebody", "metadata": {"run": "1"}, "store": False, "service_tier": "auto",
             "parallel_tool_calls": True, "response_format": {"type": "text"}, "n": 1, "logprobs": False,
             "stream": False, "stop": [], "logit_bias": {}, "presence_penalty": 0, "frequency_penalty": 0, "top_p": 1}
_READ = (OPENAI_PYTHON, OPENAI_NPM, LITELLM, LANGCHAIN, LM_EVAL)

CHECKS = (
    Check("chat", "fields that clients read", "required", EVERY_CHAT, fields),
    Check("chat", "logprobs and refusal are null", "expected", (SPECIFICATION, OPENAI_DOTNET), nulls),
    Check("chat", "usage adds up", "required", (LITELLM, LANGCHAIN, INSPECT, GUIDELLM), usage),
    Check("chat", "usage tells cached tokens", "extension", (SPECIFICATION,), cached),
    Check("chat", "a system message and several turns", "required", EVERY_CHAT, turns),
    Check("chat", "a developer message", "expected", (SPECIFICATION, OPENAI_AGENTS), developer),
    Check("chat", "content as a list of parts", "required", (SPECIFICATION, GUIDELLM), parts),
    Check("chat", "letters of any script", "required", EVERY_CHAT, scripts),
    Check("chat", "max_tokens", "required", (*_READ, GUIDELLM), partial(ends_at, "max_tokens")),
    Check("chat", "max_completion_tokens", "required", (SPECIFICATION, LANGCHAIN),
          partial(ends_at, "max_completion_tokens")),
    Check("chat", "stop as a text", "required", _READ, partial(stops, False)),
    Check("chat", "stop as a list", "required", _READ, partial(stops, True)),
    Check("chat", "n answers", "expected", (SPECIFICATION, LANGCHAIN), several),
    Check("chat", "tools", "expected", (SPECIFICATION, OPENAI_AGENTS), tools),
    Check("chat", "fields without effect are taken", "required", (OPENAI_PYTHON, LITELLM, LANGCHAIN),
          partial(taken, _HARMLESS)),
    Check("chat", "fields that are null are not set", "expected", (SPECIFICATION,), unset),
    Check("chat", "unknown fields are taken", "expected", (LITELLM, GUIDELLM),
          partial(taken, {"x_no_such_field": 1, "chat_template_kwargs": {}})),
)

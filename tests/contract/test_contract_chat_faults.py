"""Each fault of a server in its chat answers fails exactly the checks that are about it, and they name the field."""

import json

import pytest
from fake_server import serving
from faults import CHAT, answer, asked, chunk, dropped, failures, ignoring, names, refusing, reseeded, restless, sent

AREAS = names("chat", "sampling", "logprobs", "JSON", "stream", "HTTP", "load")
FIELDS = {"fields that clients read"}
USAGE = {"usage adds up", "usage tells cached tokens", "max_tokens", "max_completion_tokens", "one item per token"}
STOPS = {"stop as a text", "stop as a list"}
LENGTHS = {"max_tokens", "max_completion_tokens"}
JSON = {"response_format json_object", "response_format json_schema"}
SEEDS = {"n answers", "a seed repeats its answer", "temperature and seed have an effect"}
TEXT = {"content as a list of parts", "temperature 0 repeats itself", "logit_bias has an effect", "one item per token",
        "the text of the answer without a stream", "a stop text", *LENGTHS, *STOPS, *JSON, *SEEDS}
ANSWERED = {"a system message and several turns", "letters of any script", "tools", "fields without effect are taken",
            "unknown fields are taken", "a developer message", "fields that are null are not set",
            "a charset in Content-Type", "Expect: 100-continue", "a request in chunks", "top_p and penalties are taken",
            "top_k, min_p, repetition_penalty are taken", "header names in small letters",
            "two requests on one connection"}
NULLS = {"logprobs and refusal are null"}
LOGPROBS = set(names("logprobs"))
ITEM = "choices.0.logprobs.content"

CHUNKS = {"fields that clients read, in every chunk"}
CUT = {"a stop text"}
WHOLE = {"the text of the answer without a stream"}
ENDS = {"finish_reason comes once, at the end"}
DONE = {"[DONE] comes once, at the end"}
APART = {"8 streams at once do not mix"}
STEADY = {"a seeded answer is the same among others"}
LAST_USAGE = {"usage in the last chunk when asked for"}
SEVERAL = {"n answers in one stream"}


def stopped(document):
    return document["choices"][0]["finish_reason"] == "stop"


def plain(document):
    return document["choices"][0]["logprobs"] is None


def has_parts(document):
    messages = document.get("messages")
    return isinstance(messages[0], dict) and isinstance(messages[0].get("content"), list)


def says(text):
    return lambda document: text in json.dumps(document.get("messages"), ensure_ascii=False)


def given(name, value):
    return lambda document: document.get(name) == value


def sampled(document):
    return isinstance(document.get("temperature"), float)


def reversed_top(items):
    return [{**item, "top_logprobs": item["top_logprobs"][::-1]} for item in items]


def ended(one):
    return bool(one["choices"]) and one["choices"][0]["finish_reason"] is not None


def spoken(one):
    return bool(one["choices"]) and bool(one["choices"][0]["delta"].get("content"))


def is_usage(one):
    return not one["choices"]


ANSWERS = {  # what is wrong: the fault, the checks that fail, and the field that they name
    "id": (answer(CHAT, "id"), FIELDS, "id"),
    "object": (answer(CHAT, "object", "chat"), FIELDS, "object"),
    "created": (answer(CHAT, "created", 1.5), FIELDS, "created"),
    "created in ms": (answer(CHAT, "created", 1_700_000_000_000), FIELDS, "created"),
    "model": (answer(CHAT, "model"), FIELDS, "model"),
    "index": (answer(CHAT, "choices.*.index"), FIELDS | {"n answers"}, "choices[0].index"),
    "role": (answer(CHAT, "choices.*.message.role"), FIELDS, "choices[0].message.role"),
    "finish_reason": (answer(CHAT, "choices.*.finish_reason"), FIELDS | LENGTHS | STOPS | {"one item per token"},
                      "choices[0].finish_reason"),
    "finish_reason of its own": (answer(CHAT, "choices.*.finish_reason", "eos"), FIELDS | LENGTHS | STOPS,
                                 "choices[0].finish_reason"),
    "content": (answer(CHAT, "choices.*.message.content"), FIELDS | TEXT | ANSWERED, "choices[0].message.content"),
    "content null": (answer(CHAT, "choices.*.message.content", None), FIELDS | TEXT | {"tools"},
                     "choices[0].message.content"),
    "message": (answer(CHAT, "choices.*.message"), FIELDS | NULLS | TEXT | ANSWERED, "choices[0].message"),
    "choices": (answer(CHAT, "choices"), FIELDS | NULLS | TEXT | ANSWERED | LOGPROBS, "choices"),
    "logprobs null": (answer(CHAT, "choices.*.logprobs", when=plain), NULLS, "choices[0].logprobs"),
    "refusal null": (answer(CHAT, "choices.*.message.refusal"), NULLS, "choices[0].message.refusal"),
    "usage": (answer(CHAT, "usage"), USAGE, "usage"),
    "total_tokens": (answer(CHAT, "usage.total_tokens", lambda total: total + 1), {"usage adds up"},
                     "usage.total_tokens"),
    "prompt_tokens": (answer(CHAT, "usage.prompt_tokens"), {"usage adds up"}, "usage.prompt_tokens"),
    "cached_tokens": (answer(CHAT, "usage.prompt_tokens_details.cached_tokens", "all"), {"usage tells cached tokens"},
                      "usage.prompt_tokens_details.cached_tokens"),
    "tool_calls": (answer(CHAT, "choices.0.message", lambda message: {**message, "tool_calls": [{
        "id": "1", "type": "function", "function": {"name": "f", "arguments": {}}}]}), FIELDS | {"tools"},
        "tool_calls[0].function.arguments"),
    "max_tokens": (asked(CHAT, lambda document: {**document, "max_tokens": 24}, given("max_tokens", 3)),
                   {"max_tokens"}, "usage.completion_tokens"),
    "max_completion_tokens": (ignoring("max_completion_tokens", int), {"max_completion_tokens"},
                              "usage.completion_tokens"),
    "stop": (ignoring("stop", (str, list)), STOPS | CUT, "stop"),
    "stop as a list": (ignoring("stop", list), {"stop as a list"}, "stop"),
    "stop text is kept": (answer(CHAT, "choices.0.message.content", lambda text: text + "}", stopped), STOPS | JSON,
                          "choices[0].message.content"),
    "n": (ignoring("n", int), {"n answers"}, "choices"),
    "samples": (answer(CHAT, "choices.*.message.content", "the same", lambda document: len(document["choices"]) > 1),
                {"n answers"}, "choices[].message.content"),
    "parts": (asked(CHAT, lambda document: {**document, "messages": [{"role": "user", "content": ""}]}, has_parts),
              {"content as a list of parts"}, "messages[0].content"),
    "system": (refusing(says('"system"')), {"a system message and several turns"}, "400"),
    "developer": (refusing(says('"developer"'), status=500), {"a developer message"}, "500"),
    "scripts": (refusing(says("これ")), {"letters of any script"}, "400"),
    "user": (refusing(lambda document: "user" in document, status=422), {"fields without effect are taken"}, "422"),
    "tools end in an error": (refusing(lambda document: "tools" in document, status=500), {"tools"}, "500"),
    "unknown fields": (refusing(lambda document: "x_no_such_field" in document, status=500),
                       {"unknown fields are taken"}, "500"),
    "top_p": (refusing(given("top_p", 0.9), status=500), {"top_p and penalties are taken"}, "500"),
    "top_k": (refusing(given("top_k", 20), status=500), {"top_k, min_p, repetition_penalty are taken"}, "500"),
    "seed": (reseeded(), {"a seed repeats its answer"} | STEADY, "seed"),
    "temperature": (asked(CHAT, lambda document: {**document, "temperature": 0}, sampled),
                    {"temperature and seed have an effect", "n answers"}, "temperature"),
    "logit_bias": (ignoring("logit_bias", dict), {"logit_bias has an effect"}, "logit_bias"),
    "greedy": (restless("choices.0.message.content", lambda text, call: text + str(call) if len(text) == 24 else text),
               {"temperature 0 repeats itself", "content as a list of parts"} | WHOLE,
               "temperature"),
    "logprobs": (ignoring("logprobs", bool), LOGPROBS, "choices[0].logprobs"),
    "logprobs of fused tokens": (answer(CHAT, f"{ITEM}", lambda items: items[1:], lambda one: not plain(one)),
                                 {"one item per token", "logprobs in a stream"}, "choices[0].logprobs.content"),
    "logprobs above 0": (answer(CHAT, f"{ITEM}.*.logprob", 0.5, lambda one: not plain(one)),
                         {"one item per token", "logprobs in a stream"}, "choices[0].logprobs.content[0].logprob"),
    "bytes": (answer(CHAT, f"{ITEM}.*.bytes", [63], lambda one: not plain(one)), {"one item per token"},
              "choices[0].logprobs.content[].bytes"),
    "top_logprobs upside down": (answer(CHAT, ITEM, reversed_top, lambda one: not plain(one)),
                                 {"top_logprobs, the likeliest first"}, "content[0].top_logprobs is not sorted"),
    "top_logprobs cut": (ignoring("top_logprobs", int), {"top_logprobs, the likeliest first"}, "has 0 items"),
    "json_object": (answer(CHAT, "choices.0.message.content", "{name: Rex}", lambda one: "name" in str(one)),
                    {"response_format json_object"}, "choices[0].message.content"),
    "json_schema": (answer(CHAT, "choices.0.message.content", lambda text: text.replace("red", "pink")),
                    {"response_format json_schema"}, "choices[0].message.content.ball.color"),
    "response_format": (ignoring("response_format", dict), JSON, "expected a JSON object"),
}
STREAMS = {
    "chunk id": (chunk(CHAT, "id"), CHUNKS | APART, "chunk 0.id"),
    "chunk id changes": (chunk(CHAT, "id", lambda old: old + "x", spoken), CHUNKS | APART, "id changes"),
    "one id for all": (chunk(CHAT, "id", "x"), APART, "id is the same"),
    "chunk object": (chunk(CHAT, "object", "chat.completion"), CHUNKS, "chunk 0.object"),
    "chunk created": (chunk(CHAT, "created"), CHUNKS, "chunk 0.created"),
    "chunk model": (chunk(CHAT, "model"), CHUNKS, "chunk 0.model"),
    "chunk index": (chunk(CHAT, "choices.*.index"), CHUNKS | SEVERAL, "chunk 0.choices[0].index"),
    "chunk delta": (chunk(CHAT, "choices.*.delta"), CHUNKS | WHOLE | CUT | SEVERAL | {"the role comes first"},
                    "chunk 0.choices[0].delta"),
    "chunk finish_reason": (chunk(CHAT, "choices.*.finish_reason", when=spoken), CHUNKS,
                            "chunk 1.choices[0].finish_reason"),
    "chunk choices": (chunk(CHAT, "choices"), CHUNKS | WHOLE | CUT | SEVERAL | ENDS | APART | LAST_USAGE
                      | {"the role comes first", "logprobs in a stream"}, "chunk 0.choices"),
    "role": (chunk(CHAT, "choices.*.delta.role"), {"the role comes first"}, "delta.role"),
    "no end": (dropped(CHAT, ended), ENDS | APART, "choices[0].finish_reason"),
    "ends each time": (chunk(CHAT, "choices.0.finish_reason", "stop", spoken), ENDS | APART,
                       "choices[0].finish_reason"),
    "a piece is lost": (dropped(CHAT, lambda one: spoken(one) and "n" in one["choices"][0]["delta"]["content"]),
                        WHOLE | CUT | {"logprobs in a stream"}, "choices[0].delta.content"),
    "stop": (asked(CHAT, lambda document: {**document, "stop": None}, lambda document: "stop" in document
                   and document.get("stream") is True), CUT, "stop"),
    "stop text is sent": (chunk(CHAT, "choices.0.delta.content", lambda text: text + "sea", lambda one: spoken(one)
                                and one["choices"][0]["delta"]["content"] == "rsd"), CUT | WHOLE,
                          "contains the stop text"),
    "no [DONE]": (sent(CHAT, lambda events: events[:-1]), DONE | APART, "data: [DONE] comes 0 times"),
    "two [DONE]": (sent(CHAT, lambda events: [*events, events[-1]]), DONE | APART, "data: [DONE] comes 2 times"),
    "[DONE] first": (sent(CHAT, lambda events: [events[-1], *events[:-1]]), DONE | APART, "data: [DONE] is not"),
    "usage": (dropped(CHAT, is_usage), LAST_USAGE, "usage"),
    "usage beside choices": (chunk(CHAT, "choices", lambda _: [{"index": 0, "delta": {}, "finish_reason": None}],
                                   is_usage), LAST_USAGE, "choices"),
    "usage wrong": (chunk(CHAT, "usage.total_tokens", 1, is_usage), LAST_USAGE, "usage.total_tokens"),
    "usage unasked": (asked(CHAT, lambda document: {"stream_options": {"include_usage": True}, **document},
                            given("stream", True)), {"no chunk without choices otherwise"}, "choices is []"),
    "usage falls": (chunk(CHAT, "usage.completion_tokens", 99, lambda one: bool(one.get("usage")) and spoken(one)),
                    {"usage in every chunk when asked for"}, "usage.completion_tokens falls"),
    "one answer of two": (chunk(CHAT, "choices.*.index", 0), SEVERAL, "choices[].index"),
    "logprobs": (chunk(CHAT, "choices.*.logprobs", None), {"logprobs in a stream"}, "choices[0].logprobs"),
}


@pytest.fixture(scope="module")
def server():
    with serving() as server:
        yield server


@pytest.mark.parametrize("name", ANSWERS)
def test_answers(server, name):
    fault, fails, field = ANSWERS[name]
    failed = failures(server, fault, AREAS)
    assert set(failed) == fails, failed
    assert any(field in reason for reason in failed.values()), failed


@pytest.mark.parametrize("name", STREAMS)
def test_streams(server, name):
    fault, fails, field = STREAMS[name]
    failed = failures(server, fault, AREAS)
    assert set(failed) == fails, failed
    assert any(field in reason for reason in failed.values()), failed

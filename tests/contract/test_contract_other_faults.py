"""Each fault of a server outside of chat answers fails exactly the checks that are about it."""

import json

import pytest
import test_contract_chat_faults as chat
from fake_server import Fault, serving
from faults import (
    CHAT,
    COMPLETIONS,
    DROP,
    LEAVING,
    RESPONSES,
    answer,
    asked,
    chunk,
    dropped,
    edited,
    failures,
    ignoring,
    names,
    refusal,
    refusing,
    sent,
)

from pynanochat.contract import CHECKS

FIELDS = {"fields of a completion"}
TEXTS = FIELDS | {"several prompts at once", "echo", "logprobs and text_offset", "a stream", "token ids as a prompt",
                  "echo with max_tokens 0"}
SCORED = {"prompt logprobs as lm-eval slices them"}
LOGPROBS = {"logprobs and text_offset"}
RESPONSE = {"fields of a response"}
TEXTUAL = {"messages as input", "text.format json_schema"}
WHOLE = {"events hold the whole text"}
ORDER = {"events come in their order"}
TOKENS = {"tokenize and detokenize"}
ERROR = {"an error has type, param and code"}
EVERY_ERROR = set(names("errors")) - {"wrong values are refused"}


def scoring(document):
    return isinstance(document.get("prompt"), list) and document.get("echo") and document.get("logprobs")


def with_logprobs(document):
    return document["choices"][0]["logprobs"] is not None


def single(document):
    return len(document["choices"]) == 1


def event(kind, path, value=DROP):
    return chunk(RESPONSES, path, value, lambda one: one["type"] == f"response.{kind}")


def html(document):
    return b"<html><body>Bad request</body></html>"


def headers(change, where):
    return Fault(headers=lambda given, at: {**given, **change} if at == where else given)


MODELS = {
    "object": (answer("/v1/models", "object"), {"models are listed"}, "object"),
    "id": (answer("/v1/models", "data.0.id"), {"models are listed", "fields of a model"}, "data[0].id"),
    "owned_by": (answer("/v1/models", "data.0.owned_by"), {"fields of a model"}, "data[0].owned_by"),
    "created": (answer("/v1/models", "data.0.created", 10**12), {"fields of a model"}, "data[0].created"),
    "another": (answer("/v1/models/fake/one", "id", "other"), {"a model by its name"}, "id"),
}
COMPLETED = {
    "id": (answer(COMPLETIONS, "id"), FIELDS, "id"),
    "object": (answer(COMPLETIONS, "object", "completion"), FIELDS, "object"),
    "text": (answer(COMPLETIONS, "choices.*.text"), TEXTS, "choices[0].text"),
    "index": (answer(COMPLETIONS, "choices.*.index"), FIELDS | SCORED | {
        "several prompts at once", "n answers to several prompts", "best_of"}, "choices[0].index"),
    "finish_reason": (answer(COMPLETIONS, "choices.0.finish_reason"), FIELDS, "choices[0].finish_reason"),
    "logprobs null": (answer(COMPLETIONS, "choices.*.logprobs", when=lambda one: not with_logprobs(one)), FIELDS,
                      "choices[0].logprobs"),
    "usage": (answer(COMPLETIONS, "usage.completion_tokens"), FIELDS, "usage.completion_tokens"),
    "one answer to a batch": (answer(COMPLETIONS, "choices", lambda choices: choices[:1]), SCORED | {
        "several prompts at once", "n answers to several prompts"}, "choices"),
    "batch out of order": (answer(COMPLETIONS, "choices", lambda choices: [
        {**choice, "index": place} for place, choice in enumerate(choices[::-1])], lambda one: not single(one)),
        SCORED | {"several prompts at once"}, "choices[0].text"),
    "n": (ignoring("n", int, COMPLETIONS), {"n answers to several prompts", "best_of"}, "choices"),
    "echo": (ignoring("echo", bool, COMPLETIONS), SCORED | {"echo", "echo with max_tokens 0"}, "choices[0].text"),
    "logprobs": (ignoring("logprobs", int, COMPLETIONS), SCORED | LOGPROBS, "choices[0].logprobs"),
    "text_offset": (answer(COMPLETIONS, "choices.*.logprobs.text_offset.*", 0, with_logprobs), LOGPROBS,
                    "text_offset[1]"),
    "tokens": (answer(COMPLETIONS, "choices.*.logprobs.tokens.2", "?", with_logprobs), LOGPROBS, "logprobs.tokens"),
    "lists of two lengths": (answer(COMPLETIONS, "choices.*.logprobs.text_offset", [], with_logprobs), LOGPROBS,
                             "different lengths"),
    "suffix": (ignoring("suffix", str, COMPLETIONS), {"suffix is not ignored"}, "suffix"),
    "best_of": (ignoring("best_of", int, COMPLETIONS), {"best_of"}, "best_of"),
    "ids": (asked(COMPLETIONS, lambda document: {**document, "prompt": document["prompt"][::-1]},
                  lambda document: isinstance(document.get("prompt"), list) and isinstance(document["prompt"][0], int)),
            {"token ids as a prompt"}, "choices[0].text"),
    "ids in an error": (refusing(lambda document: isinstance(document.get("prompt", [""])[0], int), COMPLETIONS, 500),
                        {"token ids as a prompt"}, "500"),
    "first logprob": (answer(COMPLETIONS, "choices.*.logprobs.token_logprobs.0", -1.0, with_logprobs), SCORED,
                      "token_logprobs[0]"),
    "no token after the prompt": (answer(COMPLETIONS, "choices.*.logprobs.token_logprobs",
                                         lambda values: values[:-1], with_logprobs), SCORED | LOGPROBS,
                                  "choices[0].logprobs.token_logprobs has 5 items"),
    "top_logprobs null": (answer(COMPLETIONS, "choices.*.logprobs.top_logprobs.3", None, with_logprobs), SCORED,
                          "top_logprobs[3]"),
    "top_logprobs rounded": (answer(COMPLETIONS, "choices.*.logprobs.token_logprobs.*",
                                    lambda value: value and round(value, 3) - 1e-3, with_logprobs), SCORED, "exactly"),
    "top_logprobs too low": (answer(COMPLETIONS, "choices.*.logprobs.top_logprobs.2", {"x": -99.0}, with_logprobs),
                             SCORED, "top_logprobs[2]"),
    "logprob above 0": (answer(COMPLETIONS, "choices.*.logprobs.token_logprobs.1", 1.0, with_logprobs),
                        SCORED | LOGPROBS, "token_logprobs[1]"),
    "the same prompt twice": (answer(COMPLETIONS, "choices.1.logprobs.token_logprobs.1", lambda value: value - 1,
                                     with_logprobs), SCORED, "in prompts that go on differently"),
    "one score": (answer(COMPLETIONS, "choices", lambda choices: choices[:1], with_logprobs), SCORED, "2 prompts"),
    "chunk text": (chunk(COMPLETIONS, "choices.*.text"), {"a stream"}, "chunk 0.choices[0].text"),
    "chunk object": (chunk(COMPLETIONS, "object"), {"a stream"}, "chunk 0.object"),
    "max_tokens 0": (asked(COMPLETIONS, lambda document: {**document, "max_tokens": 1}, lambda document:
                           document.get("max_tokens") == 0), {"echo with max_tokens 0"}, "choices[0].text"),
    "no usage": (dropped(COMPLETIONS, lambda one: not one["choices"]), {"usage at the end of a stream"}, "usage"),
    "no [DONE]": (sent(COMPLETIONS, lambda events: events[:-1]), {"a stream"}, "[DONE]"),
}
RESPONDED = {
    "object": (answer(RESPONSES, "object"), RESPONSE, "object"),
    "usage": (answer(RESPONSES, "usage.input_tokens"), RESPONSE, "usage.input_tokens"),
    "usage wrong": (answer(RESPONSES, "usage.total_tokens", 1), RESPONSE, "usage.total_tokens"),
    "output": (answer(RESPONSES, "output"), RESPONSE | WHOLE | TEXTUAL, "output"),
    "message": (answer(RESPONSES, "output.0.type", "text"), RESPONSE | WHOLE | TEXTUAL, "output"),
    "annotations": (answer(RESPONSES, "output.0.content.0.annotations"), RESPONSE, "content[0].annotations"),
    "output_text": (answer(RESPONSES, "output.0.content.0.type", "text"), RESPONSE, "content[0].type"),
    "input": (asked(RESPONSES, lambda document: {**document, "input": [{"role": "user", "content": "?"}]},
                    lambda document: isinstance(document["input"], list)), {"messages as input"}, "input"),
    "text.format": (ignoring("text", dict, RESPONSES), {"text.format json_schema"}, "expected JSON"),
    "previous_response_id": (ignoring("previous_response_id", str, RESPONSES), {"previous_response_id is not ignored"},
                             "previous_response_id"),
    "created": (dropped(RESPONSES, lambda one: one["type"] == "response.created"), ORDER, "response.created"),
    "part before item": (sent(RESPONSES, lambda events: [*events[:3][::2], events[1], *events[3:]]), ORDER, "order"),
    "names": (Fault(events=lambda events, at: [one.partition(b"\n")[2] for one in events] if at == RESPONSES
                    else events), ORDER, "event"),
    "sequence_number": (chunk(RESPONSES, "sequence_number", 0), ORDER, "sequence_number"),
    "no sequence_number": (chunk(RESPONSES, "sequence_number"), ORDER, "sequence_number"),
    "no last event": (dropped(RESPONSES, lambda one: one["type"] == "response.incomplete"), ORDER, "last event"),
    "content_index": (event("output_text.delta", "content_index"), WHOLE, "response.output_text.delta.content_index"),
    "delta": (event("output_text.delta", "delta", "x"), WHOLE, "response.output_text.delta.delta"),
    "done text": (event("output_text.done", "text", ""), WHOLE, "response.output_text.done.text"),
    "last response": (event("incomplete", "response.output.0.content.0.text", ""), WHOLE, "response.output"),
}
TOKENIZED = {
    "tokens": (answer("/tokenize", "tokens"), TOKENS | {"tokenizer_info", "tokenize takes llama.cpp's content"},
               "tokens"),
    "detokenize": (answer("/detokenize", "prompt", str.strip), TOKENS, "prompt"),
    "eos_token": (answer("/tokenizer_info", "eos_token", when=lambda one: "eos_token" in one), {"tokenizer_info"},
                  "eos_token"),
    "special tokens": (answer("/tokenizer_info", "bos_token", "<s>"), {"tokenizer_info"}, "bos_token"),
    "content": (asked("/tokenize", lambda document: {**document, "content": "x"},
                      lambda document: "content" in document), {"tokenize takes llama.cpp's content"}, "content"),
}
ERRORS = {
    "message": (refusal(lambda document: edited(document, "error.message", DROP)), ERROR | {"an error has a message"},
                "error.message"),
    "type": (refusal(lambda document: edited(document, "error.type", DROP)), ERROR, "error.type"),
    "param": (refusal(lambda document: edited(document, "error.param", DROP)), ERROR, "error.param"),
    "code": (refusal(lambda document: edited(document, "error.code", DROP)), ERROR, "error.code"),
    "in FastAPI's shape": (refusal(lambda document: {"detail": "no"}), EVERY_ERROR, "error"),
    "in HTML": (refusal(html), EVERY_ERROR, "error"),
    "500 for a wrong temperature": (refusal(lambda document: (500, document) if "temperature" in str(document)
                                            else document), {"wrong values do not break the server"}, "temperature"),
    "all 500": (refusal(lambda document: (500, document)), EVERY_ERROR - ERROR - {"an error has a message"},
                "expected 4"),
    "anything goes": (refusal(lambda document: (200, {"choices": [{"message": {"content": ""}}]})), {
        "an error has a message"} | EVERY_ERROR - ERROR - {"wrong values do not break the server"} | {
        "wrong values are refused"}, "no wrong value is refused"),
    "messages are not needed": (asked(CHAT, lambda document: {**document, "messages": [{"role": "a", "content": "b"}]},
                                      lambda document: "messages" not in document),
                                {"wrong values are refused"}, "messages"),
    "temperature": (ignoring("temperature", str), {"wrong values are refused"}, "temperature"),
    "a long prompt": (asked(COMPLETIONS, lambda document: {**document, "prompt": [72]}),
                      {"a prompt beyond the context is refused"}, "status is 200"),
    "JSON": (refusal(lambda document: (200, document) if "no JSON" in json.dumps(document) else document),
             {"a body that is no JSON is refused", "an empty body is refused"}, "status is 200"),
    "any model": (asked(CHAT, lambda document: {**document, "model": "default"}), {"an unknown model is refused"},
                  "status is 200"),
    "no such path": (refusal(html, 404), {"an unknown model is refused", "an unknown path is an error, too"},
                     "an unknown path"),
}
TRANSPORT = {
    "JSON as text": (headers({"Content-Type": "text/plain"}, "/v1/models"), {"content-type application/json"},
                     "content-type"),
    "compressed": (headers({"Content-Encoding": "gzip"}, "/v1/models"), {"content-type application/json"},
                   "content-encoding"),
    "health": (answer("/health", "status", None), set(), ""),
    "not healthy": (Fault(answer=lambda document, at, status: (503, {}) if at == "/health" else document), {"/health"},
                    "/health answered 503"),
    "OPTIONS": (Fault(answer=lambda document, at, status: (500, {}) if document == {} else document),
                {"HEAD and OPTIONS are answered"}, "OPTIONS"),
    "a stream as JSON": (headers({"Content-Type": "application/json"}, CHAT), {"content-type text/event-stream"},
                         "content-type"),
}
TABLES = {"models": (MODELS, ["models"]), "completions": (COMPLETED, ["completions"]),
          "responses": (RESPONDED, ["responses"]), "tokens": (TOKENIZED, ["tokens"]),
          "errors": (ERRORS, ["errors"]), "HTTP": (TRANSPORT, ["HTTP", "stream"])}
ROWS = [(table, name) for table, (rows, _) in TABLES.items() for name in rows]


@pytest.fixture(scope="module")
def server():
    with serving() as server:
        yield server


@pytest.mark.parametrize(("table", "name"), ROWS)
def test_fault(server, table, name):
    rows, areas = TABLES[table]
    fault, fails, field = rows[name]
    failed = failures(server, fault, areas)
    assert set(failed) == fails, failed
    assert not fails or any(field in reason for reason in failed.values()), failed


def test_every_check_can_fail():
    tables = [chat.ANSWERS, chat.STREAMS, *(rows for rows, _ in TABLES.values())]
    seen = {name for rows in tables for _, fails, _ in rows.values() for name in fails}
    assert {check.name for check in CHECKS} - seen == LEAVING | {"Authorization"}  # which test_contract_report has

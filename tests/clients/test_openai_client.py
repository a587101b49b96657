"""The openai package as it is: the one that the other clients need and, where the tests have it, the newest."""

from __future__ import annotations

import importlib.util
import json
import math
import re
import sys
import time
from itertools import pairwise

import numpy as np
import pytest
from real_clients import Clients

from pynanochat.chat import apply_chat_template

STORY = [{"role": "user", "content": "Tell me a story."}]
WHO = [{"role": "user", "content": "Who are you?"}]
SUM = [{"role": "user", "content": "What is 123 times 45?"}]
SEEDED = {"max_tokens": 40, "temperature": 0.8, "top_p": 0.95, "top_k": 30, "seed": 7}
ENDED = {**SEEDED, "max_tokens": 80}
GREEDY = {"max_tokens": 40, "temperature": 0}
CONTINUED = {**SEEDED, "max_tokens": 20, "seed": 11}
PAGE = 16  # tokens
IDS = [2039, 79, 110, 99, 101]


@pytest.fixture(scope="module", params=["clients", "newest"])
def openai(request, tmp_path_factory):
    """A Python with openai."""
    if request.param == "clients":
        return request.getfixturevalue("clients")
    if importlib.util.find_spec("openai") is None:
        pytest.skip("openai is not installed beside the tests")
    return Clients.of(sys.executable, tmp_path_factory.mktemp("home"))


def asked(openai, served, program, *more):
    return openai.json(program, served.url, served.model, *more, package="openai")


@pytest.fixture(scope="module")
def chat(openai, served):
    return asked(openai, served, "openai_chat.py")


@pytest.fixture(scope="module")
def streams(openai, served):
    return asked(openai, served, "openai_chat_streams.py")


@pytest.fixture(scope="module")
def completions(openai, served):
    return asked(openai, served, "openai_completions.py")


@pytest.fixture(scope="module")
def responses(openai, served):
    return asked(openai, served, "openai_responses.py")


@pytest.fixture(scope="module")
def errors(openai, served):
    return asked(openai, served, "openai_errors.py")


def usage_adds_up(usage, prompt, completion):
    return (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (
        prompt, completion, prompt + completion)


class TestChat:
    def test_seeded_answer_is_the_one_from_python(self, chat, says, llm):
        expected = says(STORY, **SEEDED)
        answer = chat["seeded"]
        assert answer["choices"][0]["message"]["content"] == expected.text
        assert answer["choices"][0]["finish_reason"] == expected.finish_reason == "length"
        assert answer["object"] == "chat.completion"
        assert answer["model"] == "story5m"
        prompt = len(apply_chat_template(llm.tokenizer, STORY))
        assert usage_adds_up(answer["usage"], prompt, 40)
        assert chat["again"]["choices"] == answer["choices"]
        assert chat["again"]["id"] != answer["id"]

    def test_samples_differ_and_are_those_from_python(self, chat, says):
        expected = [sample.text for sample in says(STORY, n=3, **SEEDED).samples]
        assert chat["samples"] == expected
        assert len(set(expected)) == 3

    def test_content_parts_are_joined(self, chat, says):
        assert chat["parts"] == {"content": says(WHO, **GREEDY).text, "finish_reason": "stop"}

    def test_turns_and_system_prompt(self, chat, says):
        expected = says([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"},
                         {"role": "assistant", "content": "Hello! How can I help you today?"}, *WHO], **GREEDY)
        assert chat["turns"]["content"] == expected.text

    def test_stop_and_length(self, chat, says):
        whole = says(WHO, **GREEDY).text
        assert chat["stop"] == {"content": whole[:whole.index("trained")], "finish_reason": "stop"}
        assert chat["length"] == {"content": says(WHO, max_tokens=3, temperature=0).text, "finish_reason": "length"}

    def test_logprobs_are_those_from_python(self, chat, says, llm):
        expected = says(WHO, max_tokens=8, temperature=0, logprobs=3)
        choice = chat["logprobs"]["choices"][0]
        assert choice["token_ids"] == expected.tokens
        content = choice["logprobs"]["content"]
        assert [item["logprob"] for item in content] == [one.logprob for one in expected.logprobs]
        assert [item["token_id"] for item in content] == expected.tokens
        assert "".join(item["token"] for item in content) == choice["message"]["content"]
        assert b"".join(bytes(item["bytes"]) for item in content).decode() == choice["message"]["content"]
        for item in content:
            best = [top["logprob"] for top in item["top_logprobs"]]
            assert len(best) == 3
            assert best == sorted(best, reverse=True)
            assert item["logprob"] == best[0]  # greedy

    def test_bias_forbids_a_token(self, chat, says):
        expected = says(WHO, max_tokens=8, temperature=0, logit_bias={chat["first"]: -100})
        assert chat["without_first"] == expected.tokens
        assert chat["first"] not in chat["without_first"][:1]

    def test_forms(self, chat):
        pet = chat["parsed"]
        assert set(pet) == {"name", "age", "kind"}
        assert isinstance(pet["age"], int)
        assert chat["one_of"]["content"] in ("red", "green")
        assert re.fullmatch("[a-z]{3}-[0-9]{2}", chat["regex"]["content"])
        assert chat["grammar"]["content"] in ("yes", "no")
        if chat["json_object"]["finish_reason"] == "stop":
            assert isinstance(json.loads(chat["json_object"]["content"]), dict)
        else:
            assert chat["json_object"]["content"].lstrip().startswith("{")

    def test_calculator_of_the_server_is_shown(self, chat, says):
        message = chat["calculated"]["message"]
        assert message["content"] == says(SUM, **GREEDY).text
        assert chat["calculated"]["finish_reason"] == "stop"
        (call,) = message["tool_calls"]
        assert call["function"] == {"name": "python", "arguments": call["function"]["arguments"]}
        assert json.loads(call["function"]["arguments"]) == {"code": "123*45"}
        assert message["tool_outputs"] == [{"tool_call_id": call["id"], "output": "5535"}]

    def test_calculator_is_off(self, chat, says, llm):
        message = chat["no_calculator"]["message"]
        never = {llm.tokenizer.encode_special(name): -math.inf for name in ("<|python_start|>", "<|output_start|>")}
        assert message["content"] == says(SUM, tools=False, logit_bias=never, **GREEDY).text
        assert message["tool_calls"] is None
        assert "tool_outputs" not in message

    def test_calculator_of_the_client(self, chat, says):
        assert chat["asked"]["finish_reason"] == "tool_calls"
        (call,) = chat["asked"]["message"]["tool_calls"]
        assert json.loads(call["function"]["arguments"]) == {"code": "123*45"}
        whole = says(SUM, **GREEDY).text
        begun = chat["asked"]["message"]["content"]
        assert whole.startswith(begun)
        assert begun + chat["told"]["message"]["content"] == whole
        assert chat["told"]["finish_reason"] == "stop"

    def test_headers_say_what_had_no_effect_and_what_was_dropped(self, chat):
        assert set(chat["ignored"].split(", ")) == {"mirostat", "user"}
        assert int(chat["dropped_turns"]) > 0
        assert chat["after_dropping"]["content"]

    def test_every_turn_finds_those_before_in_the_cache(self, chat):
        for before, after in pairwise(chat["conversation"]):
            known = before["prompt_tokens"] + before["completion_tokens"]
            assert after["prompt_tokens"] > known
            assert after["prompt_tokens_details"]["cached_tokens"] > known - 2 * PAGE

    def test_models(self, chat, llm):
        (entry,) = chat["models"]
        assert entry["id"] == "story5m"
        assert entry["object"] == "model"
        assert entry["max_model_len"] == llm.context
        assert entry["nanochat"]["generation"] == "G4"
        assert chat["model"] == entry


class TestChatStreams:
    def test_chunks_add_up_to_the_answer(self, streams, says):
        expected = says(STORY, **SEEDED)
        *chunks, last = streams["chunks"]
        assert {chunk["id"] for chunk in streams["chunks"]} == {last["id"]}
        assert {chunk["object"] for chunk in streams["chunks"]} == {"chat.completion.chunk"}
        assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
        assert "".join(chunk["choices"][0]["delta"]["content"] or "" for chunk in chunks) == expected.text
        reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
        assert reasons == [None] * (len(chunks) - 1) + ["length"]
        assert last["choices"] == []
        assert last["usage"]["completion_tokens"] == 40
        assert all(chunk["usage"] is None for chunk in chunks)
        assert len(chunks) > 10  # it came in pieces
        assert all(chunk["choices"] for chunk in streams["chunks_without_usage"])

    def test_continuous_usage_counts_up(self, streams):
        usages = streams["usages"]
        assert all(usages)
        counts = [usage["completion_tokens"] for usage in usages]
        assert all(before <= after for before, after in pairwise(counts))
        assert counts[-1] == 40
        assert {usage["prompt_tokens"] for usage in usages} == {usages[0]["prompt_tokens"]}
        assert all(usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] for usage in usages)

    def test_samples_are_told_apart(self, streams, says):
        assert streams["samples"] == [sample.text for sample in says(STORY, n=3, **SEEDED).samples]

    def test_helper(self, streams, says):
        expected = says(WHO, logprobs=2, **ENDED)
        helper = streams["helper"]
        assert helper["text"] == expected.text
        choice = helper["final"]["choices"][0]
        assert choice["message"]["content"] == expected.text
        assert choice["finish_reason"] == "stop"
        assert [item["logprob"] for item in choice["logprobs"]["content"]] == [one.logprob for one in expected.logprobs]
        assert {"chunk", "content.delta", "content.done", "logprobs.content.delta"} <= set(helper["kinds"])

    def test_helper_parses_a_form(self, streams):
        assert set(streams["parsed"]) == {"name", "age"}

    def test_helper_gathers_tool_calls(self, streams, says):
        (call,) = streams["tool_final"]["message"]["tool_calls"]
        assert json.loads(call["function"]["arguments"]) == {"code": "123*45"}
        assert streams["tool_final"]["message"]["content"] == says(SUM, max_tokens=60, temperature=0).text
        assert any(event["type"] == "tool_calls.function.arguments.done" for event in streams["tool_events"])

    def test_streams_side_by_side_are_those_alone(self, streams, says):
        expected = [says(WHO, **{**ENDED, "seed": seed}).text for seed in range(12)]
        assert streams["side_by_side"] == expected
        assert len(set(expected)) > 1

    def test_a_stream_that_is_left_is_cancelled(self, streams, served):
        assert streams["left"]
        deadline = time.monotonic() + 10
        while served.metric("vllm:num_requests_running") and time.monotonic() < deadline:
            time.sleep(0.05)
        assert served.metric("vllm:num_requests_running") == 0
        assert served.metric("nanochat_requests_cancelled_total") >= 1


class TestCompletions:
    def test_text_and_ids(self, completions, llm):
        expected = llm.generate("Once upon a time", **CONTINUED)
        answer = completions["text"]
        assert answer["choices"][0]["text"] == expected.text
        assert usage_adds_up(answer["usage"], len(llm.encode("Once upon a time")), 20)
        assert completions["ids"]["choices"][0]["text"] == llm.generate(IDS, **CONTINUED).text

    def test_batches_come_in_order(self, completions, llm):
        expected = [sample.text for output in llm.generate(["Once upon a time", "The dog"], n=2, **CONTINUED)
                    for sample in output.samples]
        choices = completions["texts"]["choices"]
        assert [choice["index"] for choice in choices] == [0, 1, 2, 3]
        assert [choice["text"] for choice in choices] == expected
        lists = [choice["text"] for choice in completions["lists_of_ids"]["choices"]]
        assert lists == [output.text for output in llm.generate([IDS, IDS[:3]], **CONTINUED)]

    def test_stop(self, completions, llm):
        expected = llm.generate("Once upon a time", max_tokens=40, temperature=0, stop="Pete")
        assert completions["stop"]["choices"][0]["text"] == expected.text
        assert completions["stop"]["choices"][0]["finish_reason"] == "stop"

    def test_best_is_the_most_probable(self, completions):
        def mean(choice):
            logprobs = choice["logprobs"]["token_logprobs"]
            return sum(logprobs) / len(logprobs)

        best = max(completions["three"]["choices"], key=mean)
        assert [choice["text"] for choice in completions["best"]["choices"]] == [best["text"]]

    def test_echo_scores_the_prompt(self, completions, llm):
        logits = llm.logits(IDS).astype(np.float64)
        expected = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        (choice,) = completions["echo"]["choices"]
        scores = choice["logprobs"]["token_logprobs"]
        assert scores[0] is None
        assert len(scores) == len(IDS) + 1
        assert scores[1:len(IDS)] == pytest.approx([expected[i, IDS[i + 1]] for i in range(len(IDS) - 1)], abs=1e-5)
        assert scores[-1] == pytest.approx(expected[-1].max(), abs=1e-5)
        assert len(choice["logprobs"]["top_logprobs"]) == len(scores)
        assert choice["logprobs"]["tokens"][1:] == [llm.tokenizer.decode([token]) for token in IDS[1:]] + [
            llm.tokenizer.decode([int(expected[-1].argmax())])]
        (alone,) = completions["echo_only"]["choices"]
        assert alone["text"] == "Once upon a time"
        assert all(score < 0 for score in alone["logprobs"]["token_logprobs"] if score is not None)
        assert not any(math.isnan(score) for score in scores[1:])

    def test_stream(self, completions, llm):
        *chunks, last = completions["chunks"]
        expected = llm.generate("Once upon a time", **CONTINUED)
        assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == expected.text
        assert chunks[-1]["choices"][0]["finish_reason"] == "length"
        assert last["choices"] == []
        assert last["usage"]["completion_tokens"] == 20


class TestResponses:
    def test_answers(self, responses, says):
        assert responses["text"]["output_text"] == says(WHO, max_tokens=60, temperature=0).text
        document = responses["text"]["document"]
        assert document["object"] == "response"
        assert document["status"] == "completed"
        usage = document["usage"]
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        brief = [{"role": "system", "content": "Be brief."}, *WHO]
        assert responses["instructed"] == says(brief, max_tokens=60, temperature=0).text
        turns = [{"role": "user", "content": "Hello"},
                 {"role": "assistant", "content": "Hello! How can I help you today?"}, *WHO]
        assert responses["turns"] == says(turns, max_tokens=60, temperature=0).text

    def test_an_answer_cut_short_says_so(self, responses):
        assert responses["cut"]["status"] == "incomplete"
        assert responses["cut"]["incomplete_details"] == {"reason": "max_output_tokens"}

    def test_calculation_is_shown(self, responses, says):
        document = responses["calculated"]
        text = "".join(part["text"] for item in document["output"] if item["type"] == "message"
                       for part in item["content"])
        assert text == says(SUM, max_tokens=60, temperature=0).text
        assert len(document["output"]) > 1
        assert "123*45" in json.dumps(document["output"])

    def test_form(self, responses):
        assert set(responses["parsed"]) == {"name", "age"}
        assert responses["stream_parsed"] == responses["parsed"]

    def test_stream_tells_the_same_as_the_answer(self, responses):
        whole = responses["text"]["output_text"]
        events = responses["events"]
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        kinds = [event["type"] for event in events]
        assert kinds[:2] == ["response.created", "response.in_progress"]
        assert kinds[-1] == "response.completed"
        assert "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta") == whole
        assert next(event for event in events if event["type"] == "response.output_text.done")["text"] == whole
        assert responses["helper"]["text"] == responses["helper"]["final"] == whole


class TestErrors:
    @pytest.mark.parametrize(("name", "kind", "status", "param", "code"), [
        ("model", "NotFoundError", 404, "model", "model_not_found"),
        ("no_model", "NotFoundError", 404, "model", "model_not_found"),
        ("temperature", "BadRequestError", 400, "temperature", "invalid_value"),
        ("kind", "BadRequestError", 400, "max_tokens", "invalid_value"),
        ("n", "BadRequestError", 400, "n", "invalid_value"),
        ("messages", "BadRequestError", 400, "messages", "invalid_value"),
        ("role", "BadRequestError", 400, "messages[0].role", "unsupported_value"),
        ("answered", "BadRequestError", 400, "messages[1]", "invalid_value"),
        ("image", "BadRequestError", 400, "messages[0].content[0].type", "unsupported_value"),
        ("function", "BadRequestError", 400, "tools[0].function.name", "unsupported_value"),
        ("bias", "BadRequestError", 400, "logit_bias", "invalid_value"),
        ("schema", "BadRequestError", 400, "response_format", "invalid_grammar"),
        ("long", "BadRequestError", 400, "messages", "context_length_exceeded"),
        ("long_stream", "BadRequestError", 400, "messages", "context_length_exceeded"),
        ("suffix", "BadRequestError", 400, "suffix", "unsupported_value"),
        ("earlier", "BadRequestError", 400, "previous_response_id", "unsupported_value"),
    ])
    def test_mistakes_become_their_exceptions(self, errors, name, kind, status, param, code):
        found = errors[name]
        assert found["class"] == kind, found
        assert (found["status"], found["param"], found["code"]) == (status, param, code), found
        assert found["type"] == "invalid_request_error"

    def test_what_is_not_there_is_not_found(self, errors):
        assert errors["embeddings"]["class"] == "NotFoundError"
        assert errors["still_answers"] == "length"

    def test_keys(self, openai, served_with_key):
        found = asked(openai, served_with_key, "openai_errors.py", "open-sesame")
        for name in ("wrong_key", "wrong_key_chat"):
            assert found[name]["class"] == "AuthenticationError"
            assert found[name]["status"] == 401
            assert found[name]["code"] == "invalid_api_key"
        assert found["right_key"] in ("stop", "length")

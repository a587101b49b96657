"""litellm as it is."""

from __future__ import annotations

import json

import pytest

from pynanochat.chat import apply_chat_template

STORY = [{"role": "user", "content": "Tell me a story."}]
SEEDED = {"max_tokens": 40, "temperature": 0.8, "top_p": 0.95, "top_k": 30}


@pytest.fixture(scope="module")
def said(clients, served):
    return clients.json("litellm_client.py", served.url, served.model, package="litellm")


def test_answer_alone_streamed_and_beside_others(said, says, llm):
    expected = {seed: says("Tell me a story.", seed=seed, **SEEDED).text for seed in (7, 8, 9)}
    assert said["text"] == said["hosted_vllm"] == expected[7]
    assert said["stream"]["text"] == expected[7]
    assert said["stream"]["finish_reason"] == "length"
    assert said["together"] == [expected[7], expected[8], expected[9], expected[7]]


def test_usage(said, says, llm):
    prompt = len(apply_chat_template(llm.tokenizer, STORY))
    for usage in (said["usage"], said["stream"]["usage"]):
        assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (prompt, 40, prompt + 40)


def test_samples_and_logprobs(said, says, llm):
    expected = says("Tell me a story.", n=3, seed=7, logprobs=0, **SEEDED)
    assert said["samples"] == [sample.text for sample in expected.samples]
    assert said["logprobs"] == [one.logprob for one in expected.logprobs[:4]]


def test_form_and_calculator(said, says, llm):
    assert set(said["pet"]) == {"name", "age"}
    assert [json.loads(arguments) for arguments in said["calls"]] == [{"code": "123*45"}]
    assert said["sum"] == says("What is 123 times 45?", max_tokens=60, temperature=0).text


def test_completion(said, llm):
    assert said["continued"] == llm.generate("Once upon a time", max_tokens=20, temperature=0).text


def test_errors_become_their_exceptions(said):
    assert said["errors"] == {
        "model": {"class": "NotFoundError", "status": 404},
        "temperature": {"class": "BadRequestError", "status": 400},
        "long": {"class": "ContextWindowExceededError", "status": 400},
    }

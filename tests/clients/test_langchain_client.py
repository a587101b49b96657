"""langchain-openai as it is."""

from __future__ import annotations

import pytest

GREEDY = {"temperature": 0, "max_tokens": 60}


@pytest.fixture(scope="module")
def said(clients, served):
    return clients.json("langchain_client.py", served.url, served.model, package="langchain-openai")


def test_answer_and_its_stream(said, says):
    expected = says("Tell me a story.", temperature=0.8, top_p=0.95, top_k=30, seed=7, max_tokens=40)
    assert said["text"] == said["stream"]["text"] == expected.text
    assert said["metadata"] == {"finish_reason": "length", "model_name": "story5m"}
    assert said["stream"]["pieces"] > 10
    for usage in (said["usage"], said["stream"]["usage"]):
        assert usage["output_tokens"] == 40
        assert usage["total_tokens"] == usage["input_tokens"] + 40


def test_conversation_batch_and_stop(said, says):
    who, hello = says("Who are you?", **GREEDY).text, says("Hello", **GREEDY).text
    assert said["batch"] == [who, hello, who]
    assert said["async"] == said["responses_api"] == who
    assert said["stop"] == who[:who.index("trained")]
    assert said["conversation"] == says([
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello! How can I help you today?"},
        {"role": "user", "content": "Who are you?"}], **GREEDY).text


def test_logprobs(said, says):
    expected = says("Who are you?", temperature=0, max_tokens=4, logprobs=2)
    assert [item["logprob"] for item in said["logprobs"]] == [one.logprob for one in expected.logprobs]
    assert all(len(item["top_logprobs"]) == 2 for item in said["logprobs"])


def test_structured_output(said):
    assert set(said["structured"]) == {"name", "age"}
    assert isinstance(said["structured"]["age"], int)
    assert isinstance(said["from_schema"]["name"], str)


def test_tool_of_the_client(said, says):
    (call,) = said["calls"]
    assert (call["name"], call["args"]) == ("python", {"code": "123*45"})
    assert says("What is 123 times 45?", **GREEDY).text.endswith(said["told"])
    assert "5535" in said["told"]


def test_completion_and_errors(said, llm):
    assert said["completion"] == llm.generate("Once upon a time", max_tokens=20, temperature=0).text
    assert "NotFoundError" in said["errors"]["model"]
    assert "ContextOverflowError" in said["errors"]["long"]

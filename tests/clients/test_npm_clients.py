"""openai and ai from npm as they are."""

from __future__ import annotations

import json
import shutil

import pytest
from real_clients import HERE, run

from pynanochat.chat import apply_chat_template

STORY = [{"role": "user", "content": "Tell me a story."}]
GREEDY = {"temperature": 0, "max_tokens": 60}


@pytest.fixture(scope="module")
def said(served, tmp_path_factory):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    for package in ("openai", "ai", "@ai-sdk/openai-compatible", "zod"):
        if not (HERE / "node_modules" / package).is_dir():
            pytest.skip(f"the npm package {package} is not installed; make clients installs it")
    home = tmp_path_factory.mktemp("home")
    return json.loads(run([node, str(HERE / "programs" / "clients.mjs"), served.url, served.model], home))


@pytest.fixture(scope="module")
def expected(says, llm):
    """What the model answers from Python."""
    who = says("Who are you?", **GREEDY).text
    return {
        "story": says("Tell me a story.", temperature=0.8, top_p=0.95, top_k=30, seed=7, max_tokens=40).text,
        "prompt": len(apply_chat_template(llm.tokenizer, STORY)),
        "who": who,
        "stopped": who[:who.index("trained")],
        "turns": says([
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hello! How can I help you today?"},
            {"role": "user", "content": "Who are you?"}], **GREEDY).text,
        "sum": says("What is 123 times 45?", **GREEDY).text,
        "completion": llm.generate("Once upon a time", max_tokens=20, temperature=0).text,
        "dialogue": llm.generate("user:\nOnce upon a time\n\nassistant:\n", max_tokens=20, temperature=0,
                                 stop="\nuser:").text,  # which ai makes of every text
    }


class TestOpenai:
    def test_answers_and_streams(self, said, expected):
        out = said["openai"]
        assert out["text"] == out["chunks"] == out["helper"] == out["helper_final"] == expected["story"]
        for usage in (out["usage"], out["helper_usage"]):
            assert usage["prompt_tokens"] == expected["prompt"]
            assert usage["completion_tokens"] == 40
            assert usage["total_tokens"] == expected["prompt"] + 40
        assert out["left"]

    def test_form_and_calculator(self, said, expected):
        out = said["openai"]
        assert set(out["parsed"]) == {"name", "age"}
        assert out["sum"] == expected["sum"]
        for calls in (out["calls"], out["stream_calls"]):
            (call,) = calls
            assert call["function"]["name"] == "python"
            assert json.loads(call["function"]["arguments"]) == {"code": "123*45"}

    def test_completions_responses_and_models(self, said, expected):
        out = said["openai"]
        assert out["completion"] == expected["completion"]
        assert out["response"] == out["response_helper"] == out["response_final"] == expected["who"]
        assert out["models"] == ["story5m"]

    def test_error(self, said):
        assert said["openai"]["error"] == {
            "name": "BadRequestError", "status": 400, "param": "temperature", "type": "invalid_request_error"}


class TestAi:
    def test_answer_and_stream(self, said, expected):
        out = said["ai"]
        assert out["text"] == out["stream"] == expected["story"]
        assert out["finish"] == out["stream_finish"] == "length"
        for usage in (out["usage"], out["stream_usage"]):
            assert usage["inputTokens"] == expected["prompt"]
            assert usage["outputTokens"] == 40
        assert out["left"]

    def test_turns_and_stop(self, said, expected):
        assert said["ai"]["turns"] == expected["turns"]
        assert said["ai"]["stop"] == expected["stopped"]

    def test_objects(self, said):
        out = said["ai"]
        assert set(out["object"]) == {"name", "age"}
        assert out["stream_object"] == out["partial"] == out["object"]

    def test_completion_and_error(self, said, expected):
        assert said["ai"]["completion"] == expected["dialogue"]
        assert said["ai"]["error"]["status"] == 404
        assert "gpt-none" in said["ai"]["error"]["message"]

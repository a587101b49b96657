"""llm, the command, as it is: the server named in its extra-openai-models.yaml."""

from __future__ import annotations

import json

import pytest
from real_clients import run

from pynanochat.chat import apply_chat_template

MODELS = """\
- model_id: nano
  model_name: {model}
  api_base: {url}/v1
  supports_schema: true
- model_id: nano-text
  model_name: {model}
  api_base: {url}/v1
  completion: true
"""
OPTIONS = ("-o", "temperature", "0", "-o", "max_tokens", "60")
GREEDY = {"temperature": 0, "max_tokens": 60}


@pytest.fixture(scope="module")
def command(clients, served, tmp_path_factory):
    """The command, with settings of its own."""
    clients.need("llm")
    folder = tmp_path_factory.mktemp("llm")
    (folder / "extra-openai-models.yaml").write_text(MODELS.format(url=served.url, model=served.model))
    return lambda *arguments: run([clients.python, "-m", "llm", *arguments], clients.home,
                                  LLM_USER_PATH=str(folder)).strip()


def test_answer_streamed_and_whole(command, says, llm):
    expected = says("Who are you?", **GREEDY).text
    assert command("-m", "nano", "Who are you?", *OPTIONS) == expected
    assert command("-m", "nano", "Who are you?", "--no-stream", *OPTIONS) == expected
    logged = json.loads(command("logs", "--json", "-n", "2"))
    assert [entry["response"] for entry in logged] == [expected, expected]
    prompt = len(apply_chat_template(llm.tokenizer, [{"role": "user", "content": "Who are you?"}]))
    assert [entry["input_tokens"] for entry in logged] == [prompt, prompt]
    assert logged[0]["output_tokens"] == logged[1]["output_tokens"] > 10


def test_conversation_goes_on(command, says):
    first = command("-m", "nano", "Hello", "-s", "Be brief.", *OPTIONS)
    second = command("-c", "Who are you?", *OPTIONS)
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    assert first == says(turns, **GREEDY).text
    turns += [{"role": "assistant", "content": first}, {"role": "user", "content": "Who are you?"}]
    assert second == says(turns, **GREEDY).text


def test_schema(command):
    pet = {"type": "object", "required": ["name", "age"], "additionalProperties": False, "properties": {
        "name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0, "maximum": 99}}}
    answer = command("-m", "nano", "Tell me about a pet.", "--schema", json.dumps(pet), *OPTIONS)
    assert set(json.loads(answer)) == {"name", "age"}


def test_completion(command, llm):
    expected = llm.generate("Once upon a time", temperature=0, max_tokens=20).text.strip()
    options = ("-o", "temperature", "0", "-o", "max_tokens", "20")
    assert command("-m", "nano-text", "Once upon a time", *options) == expected

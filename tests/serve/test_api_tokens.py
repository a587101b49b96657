"""/tokenize, /detokenize, /tokenizer_info and /v1/models; a model without a tokenizer; several models; API keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("prometheus_client", reason="nanochat serve needs the extra serve")

from api_client import Api, ScriptedRunner
from fixture_files import STORY5M
from fuzzing import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import pynanochat as nc
from pynanochat.llm import LLM


@pytest.fixture(scope="module")
def bare(story5m: LLM) -> Iterator[Api]:
    """Two models behind one server; the second has no tokenizer. A key is needed."""
    runner = ScriptedRunner(story5m.backend, story5m.config.vocab_size)
    runner.script = {position: 65 + position for position in range(100)}
    wordless = LLM(story5m.checkpoint, runner, None, context=64)
    worded = LLM(story5m.checkpoint, runner, story5m.tokenizer, context=64)
    served = Api({"first": worded, "wordless/one": wordless}, keys=("key",))
    yield served
    served.close()


def test_tokenize_in_vllms_words_and_in_llama_cpps(api: Api, story5m: LLM) -> None:
    ids = story5m.need_tokenizer().encode("Hello there")
    bos = story5m.need_tokenizer().bos
    assert api.post("/tokenize", {"prompt": "Hello there"}).json() == {
        "tokens": [bos, *ids], "count": len(ids) + 1, "max_model_len": 512}
    assert api.post("/tokenize", {"prompt": "Hello there", "add_special_tokens": False}).json()["tokens"] == ids
    assert api.post("/tokenize", {"content": "Hello there"}).json()["tokens"] == ids
    assert api.post("/tokenize", {"content": "Hello there", "add_special": True}).json()["tokens"] == [bos, *ids]
    told = api.post("/tokenize", {"prompt": "Hello é", "return_token_strs": True}).json()
    assert told["token_strs"][0] == "<|bos|>"
    assert len(told["token_strs"]) == told["count"]
    pieces = api.post("/tokenize", {"content": "Hi 🙂", "with_pieces": True}).json()["tokens"]
    assert b"".join(piece["piece"].encode() if isinstance(piece["piece"], str) else bytes(piece["piece"])
                    for piece in pieces) == "Hi 🙂".encode()


def test_names_of_special_tokens_are_these_tokens(api: Api, story5m: LLM) -> None:
    """lm-eval finds the ids of <|bos|> and the end of an answer this way."""
    for name, token in story5m.need_tokenizer().special_tokens.items():
        assert api.post("/tokenize", {"prompt": name, "add_special_tokens": False}).json()["tokens"] == [token]
        plain = api.post("/tokenize", {"prompt": name, "add_special_tokens": False, "parse_special": False}).json()
        assert token not in plain["tokens"]
    twice = api.post("/tokenize", {"prompt": "<|bos|>a"}).json()["tokens"]
    assert twice.count(story5m.need_tokenizer().bos) == 1


@given(text=st.text(st.characters(codec="utf-8"), max_size=40))
@settings(max_examples=examples(80))
def test_text_comes_back_from_its_tokens(api: Api, text: str) -> None:
    for fields in ({"add_special_tokens": False}, {"add_special_tokens": False, "parse_special": False}):
        tokens = api.post("/tokenize", {"prompt": text, **fields}).json()["tokens"]
        assert api.post("/detokenize", {"tokens": tokens}).json() == {"prompt": text, "content": text}


def test_tokenize_counts_a_conversation_of_any_length(api: Api) -> None:
    messages = [{"role": "user", "content": "word " * 2000}]
    told = api.post("/tokenize", {"messages": messages}).json()
    assert told["count"] > 2000
    assert told["max_model_len"] == 512
    long = api.post("/tokenize", {"prompt": "é🙂" * 20_000, "with_pieces": True, "return_token_strs": True}).json()
    assert len(long["tokens"]) == len(long["token_strs"]) == long["count"]
    ids = [piece["id"] for piece in long["tokens"]]
    assert api.post("/detokenize", {"tokens": ids}).json()["prompt"] == "<|bos|>" + "é🙂" * 20_000
    short = api.post("/tokenize", {"messages": messages, "add_generation_prompt": False}).json()
    assert short["tokens"] == told["tokens"][:-1]


@pytest.mark.parametrize("body", [
    {}, {"prompt": "a", "content": "b"}, {"prompt": 5}, {"messages": []}, {"prompt": None},
    {"messages": [{"role": "user", "content": "x"}], "prompt": "x"}, {"prompt": "a", "add_special_tokens": 1},
])
def test_tokenize_refuses_what_is_not_one_text(api: Api, body: object) -> None:
    assert api.post("/tokenize", body).status == 400


@pytest.mark.parametrize("body", [{}, {"tokens": "x"}, {"tokens": [-1]}, {"tokens": [2048]}, {"tokens": [1.5]}])
def test_detokenize_refuses_what_are_no_tokens(api: Api, body: object) -> None:
    assert api.post("/detokenize", body).error["param"].startswith("tokens")


def test_tokenizer_info_says_what_lm_eval_reads(api: Api, story5m: LLM) -> None:
    info = api.get("/tokenizer_info").json()
    assert (info["bos_token"], info["eos_token"], info["pad_token"]) == ("<|bos|>", "<|assistant_end|>", None)
    assert info["special_tokens"] == dict(story5m.need_tokenizer().special_tokens)
    assert info["vocab_size"] == 2048
    assert info["bos_policy"] == "auto"
    assert "<|assistant_start|>" in info["chat_template"]


def test_models_say_what_they_are(api: Api) -> None:
    listed = api.get("/v1/models").json()
    assert listed["object"] == "list"
    (model,) = listed["data"]
    assert {**model, "created": 0, "nanochat": {}} == {
        "id": "story5m", "object": "model", "created": 0, "owned_by": "nanochat", "max_model_len": 512, "nanochat": {}}
    facts = model["nanochat"]
    assert set(facts) == {"generation", "parameters", "backend", "device", "dtype", "context_policy", "has_tokenizer",
                          "defaults"}
    assert (facts["generation"], facts["context_policy"], facts["has_tokenizer"]) == ("G4", "drop", True)
    assert facts["defaults"]["temperature"] == 0.6
    assert facts["defaults"]["top_k"] == 50
    assert api.get("/v1/models/story5m").json() == model
    missing = api.get("/v1/models/gpt-4")
    assert (missing.status, missing.error["code"], missing.error["param"]) == (404, "model_not_found", "model")


def test_a_model_is_chosen_by_name(bare: Api) -> None:
    key = {"authorization": "Bearer key"}
    for path, body in (("/v1/completions", {"prompt": [5]}), ("/v1/responses", {"input": "x"}),
                       ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}),
                       ("/tokenize", {"prompt": "x"}), ("/detokenize", {"tokens": [5]})):
        unknown = bare.post(path, {**body, "model": "gpt-4"}, headers=key)
        assert (unknown.status, unknown.error["code"]) == (404, "model_not_found")
        refused = bare.post(path, body)
        assert (refused.status, refused.error["code"]) == (401, "invalid_api_key")
    assert bare.post("/v1/completions", {"prompt": [5], "max_tokens": 1}, headers=key).json()["model"] == "first"
    other = bare.post("/v1/completions", {"prompt": [5], "max_tokens": 2, "model": "wordless/one"}, headers=key)
    assert other.json()["model"] == "wordless/one"


def test_a_model_without_a_tokenizer_completes_ids_only(bare: Api) -> None:
    key = {"authorization": "Bearer key"}

    def ask(path: str, **body: object) -> object:
        return bare.post(path, {"model": "wordless/one", **body}, headers=key)

    reply = ask("/v1/completions", prompt=[5, 6], max_tokens=3, logprobs=1, echo=True, return_token_ids=True)
    assert reply.status == 200, reply.body
    (choice,) = reply.json()["choices"]
    assert choice["text"] == ""
    assert choice["token_ids"] == [67, 68, 69]
    assert choice["logprobs"]["tokens"] == [f"token_id:{token}" for token in (5, 6, 67, 68, 69)]
    assert len(choice["logprobs"]["content"]) == 3
    stream = ask("/v1/completions", prompt=[5], max_tokens=3, stream=True, return_token_ids=True)
    assert [token for chunk in stream.chunks for each in chunk["choices"] for token in each.get("token_ids", [])] == [
        66, 67, 68]
    for path, body in (("/v1/completions", {"prompt": "text"}), ("/v1/completions", {"prompt": [5], "stop": "x"}),
                       ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}),
                       ("/v1/responses", {"input": "x"}), ("/tokenize", {"prompt": "x"}),
                       ("/v1/completions", {"prompt": [5], "response_format": {"type": "json_object"}})):
        refused = ask(path, **body)
        assert refused.status == 400, (path, body)
        assert "tokenizer" in refused.error["message"]


def test_keys_do_not_share_cached_prompts(story5m: LLM) -> None:
    served = Api({"story5m": nc.load(STORY5M)}, keys=("one", "two"))
    try:
        body = {"prompt": "Once upon a time there was a little dog who lived in a house by the sea. " * 2,
                "max_tokens": 1}
        cached = [served.post("/v1/completions", body, headers={"authorization": f"Bearer {key}"}).json()["usage"][
            "prompt_tokens_details"]["cached_tokens"] for key in ("one", "two", "one", "two")]
        assert cached[:2] == [0, 0]
        assert min(cached[2:]) >= 16
    finally:
        served.close()

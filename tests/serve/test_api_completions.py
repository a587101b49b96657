"""/v1/completions: prompts of every kind, echo with the prompt's probabilities as lm-eval slices them, best_of."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

pytest.importorskip("prometheus_client", reason="nanochat serve needs the extra serve")

from api_client import Api, ScriptedApi
from fixture_files import STORY5M

import pynanochat as nc
from pynanochat.sampling import log_softmax
from pynanochat.serve.limits import Settings
from pynanochat.serve.schema_completions import Completion, CompletionChunk

STORY = "Once upon a time"


@pytest.fixture(scope="module")
def library() -> nc.LLM:
    """The same model, not served."""
    return nc.load(STORY5M)


def ids_of(api: Api, text: str) -> list[int]:
    return list(api.post("/tokenize", {"prompt": text, "add_special_tokens": False}).json()["tokens"])


def test_a_whole_answer_has_every_field_that_openai_requires(api: Api) -> None:
    body = api.complete(STORY, temperature=0).body
    answer = msgspec.json.decode(body)
    assert set(answer) == {"id", "object", "created", "model", "system_fingerprint", "choices", "usage"}
    assert answer["object"] == "text_completion"
    assert answer["id"].startswith("cmpl-")
    (choice,) = answer["choices"]
    assert set(choice) == {"index", "text", "logprobs", "finish_reason"}
    assert (choice["index"], choice["logprobs"], choice["finish_reason"]) == (0, None, "length")
    assert answer["usage"]["completion_tokens"] == 16
    assert msgspec.json.encode(msgspec.json.decode(body, type=Completion)) == body


def test_it_says_what_the_library_says(api: Api, library: nc.LLM) -> None:
    for seed in range(3):
        output = library.generate(STORY, 20, temperature=1.0, seed=seed)
        assert api.complete(STORY, temperature=1.0, top_k=0, seed=seed, max_tokens=20).json()["choices"][0]["text"] == (
            output.text)


def test_prompts_come_as_texts_ids_and_lists_of_these(api: Api) -> None:
    ids = ids_of(api, STORY)
    bos = ids_of(api, "<|bos|>")

    def texts(prompt: Any, **fields: Any) -> list[str]:
        reply = api.complete(prompt, temperature=0, max_tokens=6, **fields)
        assert reply.status == 200, reply.body
        choices = reply.json()["choices"]
        assert [choice["index"] for choice in choices] == list(range(len(choices)))
        return [choice["text"] for choice in choices]

    (alone,) = texts(STORY)
    (other,) = texts("The dog")
    assert texts([STORY, "The dog"]) == [alone, other]
    assert texts([*bos, *ids]) == [alone]
    assert texts([[*bos, *ids], [*bos, *ids_of(api, "The dog")]]) == [alone, other]
    assert texts([STORY, "The dog"], n=2) == [alone, alone, other, other]
    assert texts(None) == texts("") == texts(bos)


@pytest.mark.parametrize(("bos", "text", "ids"), [("auto", 1, 0), ("always", 1, 1), ("never", 0, 0)])
def test_the_policy_for_bos(bos: Any, text: int, ids: int) -> None:
    served = Api({"story5m": nc.load(STORY5M)}, settings=Settings(bos=bos))
    try:
        tokens = ids_of(served, STORY)
        first = ids_of(served, "<|bos|>")
        for prompt, added in ((STORY, text), (tokens, ids), ([*first, *tokens], 0)):
            sent = prompt if isinstance(prompt, list) else tokens
            answer = served.complete(prompt, max_tokens=1, echo=True, logprobs=0, return_token_ids=True).json()
            assert answer["prompt_token_ids"] == first * added + sent
            logprobs = answer["choices"][0]["logprobs"]
            assert len(logprobs["tokens"]) == len(sent) + 1
            assert (logprobs["token_logprobs"][0] is None) == (not added)
        info = served.get("/tokenizer_info").json()
        assert (info["bos_policy"], info["add_bos_token"]) == (bos, bos != "never")
        counted = served.post("/tokenize", {"prompt": STORY}).json()["count"]
        assert counted == len(tokens) + (bos != "never")
        assert served.complete("").status == (400 if bos == "never" else 200)
    finally:
        served.close()


def test_echo_tells_the_prompts_own_probabilities(api: Api, library: nc.LLM) -> None:
    """As lm-eval asks and slices: all prompt tokens and exactly one more; the numbers are the library's, to the bit."""
    ids = [*ids_of(api, "<|bos|>"), *ids_of(api, STORY)]
    answer = api.complete([ids, ids[:3]], max_tokens=1, logprobs=1, echo=True, seed=1234, temperature=0).json()
    for choice, prompt in zip(answer["choices"], (ids, ids[:3]), strict=True):
        logprobs = choice["logprobs"]
        rows = [log_softmax(row) for row in library.logits(prompt)]
        assert {len(each) for each in logprobs.values()} == {len(prompt) + 1}
        assert logprobs["token_logprobs"][0] is None
        assert logprobs["top_logprobs"][0] is None
        for place, token in enumerate(prompt[1:], 1):
            row = rows[place - 1]
            assert logprobs["token_logprobs"][place] == row[token]
            best = max(logprobs["top_logprobs"][place].values())
            assert best == row.max()
            assert (best == logprobs["token_logprobs"][place]) == (int(np.argmax(row)) == token)
        assert logprobs["token_logprobs"][-1] == rows[-1].max()


def test_scoring_tells_one_more_token_even_where_that_ends_the_answer(scripted: ScriptedApi) -> None:
    prompt = [5, 6, 7]
    for end in ("<|assistant_end|>", "<|bos|>", "<|python_start|>", "<|python_end|>"):
        token = scripted.tokenizer.encode_special(end)
        scripted.runner.script = {3: token}
        for extra in ({}, {"stop_token_ids": [token]}):
            choice = scripted.complete(prompt, max_tokens=1, logprobs=1, echo=True, **extra).json()["choices"][0]
            assert choice["logprobs"]["tokens"][-1] == end
            assert len(choice["logprobs"]["token_logprobs"]) == 4
            assert choice["finish_reason"] == ("stop" if "python" not in end else "length")
    nothing = scripted.complete(prompt, max_tokens=0, logprobs=1, echo=True).json()
    assert len(nothing["choices"][0]["logprobs"]["tokens"]) == 3
    assert nothing["usage"]["completion_tokens"] == 0


def test_offsets_point_into_the_text(scripted: ScriptedApi) -> None:
    said = "é🙂 ok"
    prompt = scripted.spell("A ü🙂b")
    scripted.script(scripted.spell(said), prompt_tokens=len(prompt))
    for echo in (True, False):
        choice = scripted.complete(prompt, max_tokens=50, logprobs=0, echo=echo, temperature=0).json()["choices"][0]
        assert choice["text"] == ("A ü🙂b" if echo else "") + said
        lists = choice["logprobs"]
        assert lists["text_offset"] == sorted(lists["text_offset"])
        for token, offset in zip(lists["tokens"], lists["text_offset"], strict=True):
            if "�" not in token:
                assert choice["text"].startswith(token, offset)


def test_a_stop_string_cuts_the_text_but_no_item(scripted: ScriptedApi) -> None:
    tokens = scripted.spell("one two three")
    scripted.script(tokens, prompt_tokens=2)
    choice = scripted.complete([5, 6], max_tokens=20, logprobs=1, stop=["two"], temperature=0,
                               return_token_ids=True).json()["choices"][0]
    assert choice["text"] == "one "
    assert choice["finish_reason"] == "stop"
    assert "".join(choice["logprobs"]["tokens"]).startswith("one two")
    assert [item["token_id"] for item in choice["logprobs"]["content"]] == choice["token_ids"]
    assert choice["prompt_token_ids"] == [5, 6]


def test_tokens_spelled_alike_do_not_hide_the_likeliest(scripted: ScriptedApi) -> None:
    """Halves of letters are all U+FFFD: the dict keeps the greatest of them, which lm-eval compares with."""
    halves = [token for token in range(300) if scripted.tokenizer.id_to_token(token) == "�"][:3]
    scripted.runner.script = {2: halves[0]}
    bias = {str(token): 0 for token in halves}
    choice = scripted.complete([5, 6], max_tokens=1, logprobs=20, logit_bias=bias, temperature=0).json()["choices"][0]
    (top,) = choice["logprobs"]["top_logprobs"]
    assert max(top.values()) == choice["logprobs"]["token_logprobs"][0]


def test_best_of_keeps_the_likeliest(api: Api) -> None:
    asked = {"temperature": 1.5, "top_k": 0, "seed": 3, "max_tokens": 6, "logprobs": 0}

    def mean(choice: Any) -> float:
        return float(np.mean(choice["logprobs"]["token_logprobs"]))

    every = api.complete(STORY, n=6, **asked).json()["choices"]
    best = api.complete(STORY, n=2, best_of=6, **asked).json()
    assert [choice["text"] for choice in best["choices"]] == [
        choice["text"] for choice in sorted(every, key=mean, reverse=True)[:2]]
    assert [choice["index"] for choice in best["choices"]] == [0, 1]
    assert best["usage"]["completion_tokens"] == 36
    assert api.complete(STORY, n=3, best_of=2).error["param"] == "best_of"
    assert api.complete(STORY, n=1, best_of=2, stream=True).error["param"] == "best_of"
    assert api.complete(["x"] * 100, n=2).error["param"] == "n"


@pytest.mark.parametrize("fields", [
    {}, {"echo": True}, {"logprobs": 2}, {"echo": True, "logprobs": 1}, {"n": 2, "prompt": ["One", "Two"]},
    {"return_token_ids": True, "logprobs": 0}, {"max_tokens": 0, "echo": True, "logprobs": 0}, {"stop": ["e"]},
], ids=str)
def test_a_stream_says_what_the_whole_answer_says(api: Api, fields: dict[str, Any]) -> None:
    asked = {"prompt": STORY, "seed": 5, "temperature": 1.2, "max_tokens": 12, **fields}
    whole = api.post("/v1/completions", asked).json()
    reply = api.post("/v1/completions", asked | {"stream": True, "stream_options": {"include_usage": True}})
    chunks = reply.chunks
    assert chunks[-1]["choices"] == []
    assert {**chunks[-1]["usage"], "prompt_tokens_details": 0} == {**whole["usage"], "prompt_tokens_details": 0}
    for line in reply.data[:-1]:
        assert msgspec.json.encode(msgspec.json.decode(line, type=CompletionChunk)).decode() == line
    for choice in whole["choices"]:
        made: dict[str, Any] = {"text": "", "ids": [], "lists": {}}
        for chunk in chunks[:-1]:
            for part in chunk["choices"]:
                if part["index"] == choice["index"]:
                    made["text"] += part["text"]
                    made["ids"] += part.get("token_ids", [])
                    made["finish_reason"] = part["finish_reason"]
                    for name, values in (part["logprobs"] or {}).items():
                        made["lists"].setdefault(name, []).extend(values)
        assert made["text"] == choice["text"]
        assert made["finish_reason"] == choice["finish_reason"]
        assert made["ids"] == choice.get("token_ids", [])
        assert made["lists"] == (choice["logprobs"] or {})


def test_prompts_beyond_the_context_are_refused_by_name(api: Api) -> None:
    for prompt in ("word " * 600, [5] * 600, ["fine", "word " * 600]):
        error = api.complete(prompt).error
        assert (error["param"], error["code"]) == ("prompt", "context_length_exceeded")


def test_more_probabilities_than_memory_holds_are_refused(api: Api) -> None:
    error = api.complete([[5] * 400] * 128, logprobs=20, echo=True, max_tokens=1).error
    assert error["param"] == "logprobs"
    assert api.complete([[5] * 400] * 2, logprobs=20, echo=True, max_tokens=1).status == 200


def test_a_long_text_is_encoded_apart(api: Api) -> None:
    """More text than the loop may encode itself; the answer is the same clean refusal."""
    assert api.complete("é" * 100_000).error["code"] == "context_length_exceeded"

"""/v1/chat/completions: its shapes, whole and streamed, and that a stream says what the whole answer says."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

pytest.importorskip("prometheus_client", reason="nanochat serve needs the extra serve")

from api_client import Api, Reply, ScriptedApi
from fixture_files import STORY5M

import pynanochat as nc
from pynanochat.serve.schema_chat import ChatChunk, ChatCompletion

ASK = "What is 12 + 30?"
USAGE = {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details"}


def joined(chunks: list[Any], index: int = 0) -> dict[str, Any]:
    """The message that the deltas of a choice make together, as OpenAI's clients put it together."""
    message: dict[str, Any] = {"role": None, "content": "", "calls": [], "outputs": [], "items": [], "ids": []}
    for chunk in chunks:
        for choice in chunk["choices"]:
            if choice["index"] != index:
                continue
            delta = choice["delta"]
            message["role"] = delta.get("role", message["role"])
            message["content"] += delta.get("content", "")
            for call in delta.get("tool_calls", ()):
                if call["index"] == len(message["calls"]):
                    message["calls"].append({"id": call["id"], "name": call["function"]["name"], "arguments": ""})
                message["calls"][call["index"]]["arguments"] += call["function"]["arguments"]
            message["outputs"] += delta.get("tool_outputs", ())
            message["items"] += (choice["logprobs"] or {"content": []})["content"]
            message["ids"] += choice.get("token_ids", ())
            message["finish_reason"] = choice["finish_reason"]
    return message


def test_a_whole_answer_has_every_field_that_openai_requires(api: Api) -> None:
    answer = api.chat(ASK, temperature=0).json()
    assert set(answer) == {"id", "object", "created", "model", "system_fingerprint", "choices", "usage"}
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "story5m"
    assert answer["id"].startswith("chatcmpl-")
    assert answer["system_fingerprint"].startswith("fp_")
    assert type(answer["created"]) is int
    assert set(answer["usage"]) == USAGE
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"]
    assert set(answer["usage"]["prompt_tokens_details"]) == {"cached_tokens"}
    (choice,) = answer["choices"]
    assert set(choice) == {"index", "message", "logprobs", "finish_reason"}
    assert (choice["index"], choice["logprobs"], choice["finish_reason"]) == (0, None, "stop")
    message = choice["message"]
    assert set(message) == {"role", "content", "refusal", "tool_calls", "tool_outputs"}
    assert (message["role"], message["refusal"]) == ("assistant", None)
    assert "42" in message["content"]
    (call,), (output,) = message["tool_calls"], message["tool_outputs"]
    assert set(call) == {"id", "type", "function"}
    assert call["type"] == "function"
    assert call["function"] == {"name": "python", "arguments": '{"code": "12+30"}'}
    assert output == {"tool_call_id": call["id"], "output": "42"}


def test_a_stream_begins_with_the_role_and_ends_with_reason_usage_and_done(api: Api) -> None:
    reply = api.chat(ASK, temperature=0, stream=True, stream_options={"include_usage": True})
    assert reply.headers["content-type"] == "text/event-stream"
    chunks = reply.chunks
    first, *_, last, usage = chunks
    same = {(chunk["id"], chunk["created"], chunk["model"], chunk["system_fingerprint"]) for chunk in chunks}
    assert len(same) == 1
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert first["choices"] == [
        {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}]
    assert last["choices"] == [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}]
    assert usage["choices"] == []
    assert usage["usage"] == api.chat(ASK, temperature=0).json()["usage"] | {
        "prompt_tokens_details": usage["usage"]["prompt_tokens_details"]}
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert all(set(choice) == {"index", "delta", "logprobs", "finish_reason"}
               for chunk in chunks[:-1] for choice in chunk["choices"])


def test_without_stream_options_no_chunk_speaks_of_usage(api: Api) -> None:
    assert all("usage" not in chunk for chunk in api.chat(ASK, temperature=0, stream=True).chunks)


def test_continuous_usage_counts_what_has_been_told(api: Api) -> None:
    chunks = api.chat("Tell me a story.", temperature=0, max_tokens=12, stream=True,
                      stream_options={"include_usage": True, "continuous_usage_stats": True}).chunks
    counts = [chunk["usage"]["completion_tokens"] for chunk in chunks]
    assert counts == sorted(counts)
    assert counts[-1] == 12
    assert all(set(chunk["usage"]) == USAGE for chunk in chunks)


@pytest.mark.parametrize("fields", [
    {}, {"logprobs": True, "top_logprobs": 2}, {"return_token_ids": True}, {"n": 3}, {"show_tool_calls": False},
    {"logprobs": True, "return_token_ids": True, "n": 2}, {"stop": ["4"]}, {"tool_choice": "none"},
], ids=str)
def test_a_stream_says_what_the_whole_answer_says(api: Api, fields: dict[str, Any]) -> None:
    asked = {"seed": 11, "temperature": 1.1, "max_tokens": 40, **fields}
    whole = api.chat(ASK, **asked).json()
    reply = api.chat(ASK, **asked, stream=True)
    for choice in whole["choices"]:
        made = joined(reply.chunks, choice["index"])
        message = choice["message"]
        assert made["role"] == "assistant"
        assert made["content"] == (message["content"] or "")
        assert made["finish_reason"] == choice["finish_reason"]
        assert [call["arguments"] for call in made["calls"]] == [
            call["function"]["arguments"] for call in message.get("tool_calls", [])]
        assert [told["output"] for told in made["outputs"]] == [
            told["output"] for told in message.get("tool_outputs", [])]
        assert made["items"] == (choice["logprobs"] or {"content": []})["content"]
        assert made["ids"] == choice.get("token_ids", [])
    if "return_token_ids" in fields:
        assert reply.chunks[0]["prompt_token_ids"] == whole["prompt_token_ids"]
        assert all("prompt_token_ids" not in chunk for chunk in reply.chunks[1:])


def test_a_seeded_answer_is_that_of_the_library_alone_or_among_others_streamed_or_not(api: Api) -> None:
    body = {"messages": [{"role": "user", "content": ASK}], "temperature": 1.0, "top_k": 0, "max_tokens": 24,
            "logprobs": True, "return_token_ids": True}
    waiting = [api.start("/v1/chat/completions", body | {"seed": seed, "stream": bool(seed % 2)}) for seed in range(8)]
    library = nc.load(STORY5M).chat(max_tokens=24, temperature=1.0, logprobs=0, seed=0)
    for seed, future in enumerate(waiting):
        reply = future.result(60)
        choice = reply.json()["choices"][0] if not seed % 2 else None
        made = joined(reply.chunks) if seed % 2 else {}
        ids = choice["token_ids"] if choice else made["ids"]
        logprobs = [item["logprob"] for item in (choice["logprobs"]["content"] if choice else made["items"])]
        library.clear()
        library.policy = library.policy.replace(seed=seed)
        alone = library.send(ASK)
        assert ids == alone.tokens
        assert set(logprobs) <= {each.logprob for each in alone.logprobs or () if each is not None}


def test_chunks_of_plain_text_equal_those_of_the_schema(api: Api) -> None:
    """The template gives the bytes that encoding the Struct gives."""
    for extra in ({}, {"stream_options": {"include_usage": True}}):
        for line in api.chat('Say "hi" \\ é', temperature=0, max_tokens=8, stream=True, **extra).data[:-1]:
            assert msgspec.json.encode(msgspec.json.decode(line, type=ChatChunk)).decode() == line
    whole = api.chat(ASK, temperature=0, logprobs=True, top_logprobs=1, return_token_ids=True).body
    assert msgspec.json.encode(msgspec.json.decode(whole, type=ChatCompletion)) == whole


def test_all_that_a_step_brings_goes_out_at_once(api: Api) -> None:
    """Sixteen samples of twenty tokens take about as many writes as there are steps, not chunks."""
    reply = api.chat("Tell me a story.", temperature=0, max_tokens=20, n=16, ignore_eos=True, stream=True,
                     stream_options={"include_usage": True})
    assert reply.chunks[-1]["usage"]["completion_tokens"] == 16 * 20
    assert len(reply.chunks) >= 3 * 16  # each has a beginning, a text and an end
    assert reply.parts <= 30


def test_token_items_cover_what_a_stop_string_and_half_letters_withhold(scripted: ScriptedApi) -> None:
    """Four tokens of a letter, a stop string over several tokens: each token has its item, with its own bytes."""
    ask = [{"role": "user", "content": "hi"}]
    tokens = [*scripted.spell("A "), *scripted.spell("🙂"), *scripted.spell(" now STOP here")]
    scripted.script(tokens, messages=ask)
    body = {"messages": ask, "logprobs": True, "top_logprobs": 1, "stop": "STOP", "temperature": 0,
            "return_token_ids": True}
    choice = scripted.post("/v1/chat/completions", body).json()["choices"][0]
    assert choice["message"]["content"] == "A 🙂 now "
    assert choice["finish_reason"] == "stop"
    items = choice["logprobs"]["content"]
    assert [item["token_id"] for item in items] == choice["token_ids"] == tokens[: len(items)]
    assert [item["position"] for item in items] == list(range(len(items)))
    spelled = b"".join(bytes(item["bytes"]) for item in items)
    assert spelled.startswith("A 🙂 now STOP".encode())
    assert any("�" in item["token"] for item in items)
    made = joined(scripted.post("/v1/chat/completions", body | {"stream": True}).chunks)
    assert (made["content"], made["items"]) == ("A 🙂 now ", items)


def test_items_skip_tool_blocks_but_positions_count_them(scripted: ScriptedApi) -> None:
    ask = [{"role": "user", "content": "sum"}]
    said = scripted.spell("So <|python_start|>2*21<|python_end|>")
    forced = scripted.spell("<|output_start|>42<|output_end|>")
    rest = scripted.spell(" is 42")
    scripted.script([*said, *forced, *rest], messages=ask)
    choice = scripted.post("/v1/chat/completions", {
        "messages": ask, "temperature": 0, "logprobs": True, "return_token_ids": True}).json()["choices"][0]
    assert choice["token_ids"] == [*said, *forced, *rest]
    assert choice["message"]["content"] == "So  is 42"
    assert choice["message"]["tool_outputs"][0]["output"] == "42"
    items = choice["logprobs"]["content"]
    assert "".join(item["token"] for item in items) == "So  is 42"
    assert all(choice["token_ids"][item["position"]] == item["token_id"] for item in items)
    hidden = scripted.post("/v1/chat/completions", {
        "messages": ask, "temperature": 0, "show_tool_calls": False}).json()["choices"][0]["message"]
    assert hidden == {"role": "assistant", "content": "So  is 42", "refusal": None}


def test_a_call_that_never_ends_is_json_all_the_same(scripted: ScriptedApi) -> None:
    ask = [{"role": "user", "content": "x"}]
    scripted.script(scripted.spell('<|python_start|>"a\\b" 1'), messages=ask)
    for stream in (False, True):
        reply = scripted.post("/v1/chat/completions", {"messages": ask, "temperature": 0, "stream": stream})
        if stream:
            arguments = joined(reply.chunks)["calls"][0]["arguments"]
        else:
            message = reply.json()["choices"][0]["message"]
            assert message["content"] is None
            arguments = message["tool_calls"][0]["function"]["arguments"]
        assert json.loads(arguments) == {"code": '"a\\b" 1'}


def test_the_client_runs_the_calculator_it_declares(api: Api) -> None:
    tool = {"type": "function", "function": {"name": "python", "parameters": {"type": "object"}}}
    messages: list[Any] = [{"role": "user", "content": "What is 123 times 45?"}]
    for stream in (False, True):
        first = api.post("/v1/chat/completions", {
            "messages": messages, "tools": [tool], "temperature": 0, "stream": stream})
        if stream:
            made = joined(first.chunks)
            assert (made["finish_reason"], made["outputs"]) == ("tool_calls", [])
            assert made["calls"][0]["arguments"] == '{"code": "123*45"}'
            continue
        choice = first.json()["choices"][0]
        assert choice["finish_reason"] == "tool_calls"
        assert "tool_outputs" not in choice["message"]
    (call,) = choice["message"]["tool_calls"]
    said = {"role": "tool", "tool_call_id": call["id"], "content": "777"}
    second = api.post("/v1/chat/completions", {
        "messages": [*messages, choice["message"], said], "tools": [tool], "temperature": 0, "return_token_ids": True})
    assert second.json()["choices"][0]["finish_reason"] == "stop"
    assert "777" in second.json()["choices"][0]["message"]["content"]
    laid = api.post("/detokenize", {"tokens": second.json()["prompt_token_ids"]}).json()["prompt"]
    assert laid.endswith("<|python_start|>123*45<|python_end|><|output_start|>777<|output_end|>")


def test_an_answer_goes_on_from_its_exact_tokens(api: Api) -> None:
    """What comes after half of an answer's tokens is its other half, wherever the cut is: inside tool blocks, too."""
    ask = {"role": "user", "content": "What is 123 times 45?"}
    whole = api.post("/v1/chat/completions", {
        "messages": [ask], "temperature": 0, "return_token_ids": True}).json()["choices"][0]
    ids = whole["token_ids"]
    for cut in range(1, len(ids)):
        rest = api.post("/v1/chat/completions", {
            "messages": [ask, {"role": "assistant", "content": "for people", "token_ids": ids[:cut]}],
            "continue_final_message": True, "temperature": 0, "return_token_ids": True}).json()["choices"][0]
        assert ids[:cut] + rest["token_ids"] == ids, cut
        assert whole["message"]["content"].endswith(rest["message"]["content"] or "")


def test_too_long_a_conversation_loses_its_oldest_turns_and_says_so(api: Api) -> None:
    turns = [{"role": role, "content": f"It is {number}."} for number in range(40) for role in ("user", "assistant")]
    reply = api.post("/v1/chat/completions", {
        "messages": [*turns, {"role": "user", "content": ASK}], "max_tokens": 30, "temperature": 0})
    assert reply.status == 200
    assert int(reply.headers["x-nanochat-dropped-turns"]) > 5
    assert "x-nanochat-dropped-turns" not in api.chat(ASK, max_tokens=30).headers
    assert reply.json()["usage"]["prompt_tokens"] <= 512 - 30


def test_a_second_turn_finds_the_first_in_the_cache(api: Api) -> None:
    ask = {"role": "user", "content": "Tell me a story about a dog and a boat, please."}
    first = api.post("/v1/chat/completions", {
        "messages": [ask], "temperature": 0, "max_tokens": 60, "return_token_ids": True, "cache_salt": "a"}).json()
    said = {"role": "assistant", "content": "", "token_ids": first["choices"][0]["token_ids"]}
    more = [ask, said, {"role": "user", "content": "And then?"}]
    cached = {}
    for salt in ("a", "b"):
        second = api.post("/v1/chat/completions", {"messages": more, "max_tokens": 2, "cache_salt": salt}).json()
        cached[salt] = second["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert cached["a"] >= 60
    assert cached["b"] == 0


def test_max_tokens_zero_and_the_end_of_the_context(api: Api) -> None:
    nothing = api.chat(ASK, max_tokens=0).json()
    assert nothing["choices"][0]["message"]["content"] == ""
    assert nothing["choices"][0]["finish_reason"] == "length"
    long = api.chat("Tell me a story.", max_completion_tokens=10**9, ignore_eos=True, temperature=0).json()
    assert long["choices"][0]["finish_reason"] == "length"
    assert long["usage"]["total_tokens"] == 512


def test_settings_do_what_they_say(api: Api) -> None:
    def said(**fields: Any) -> str:
        return str(api.chat("Tell me a story.", max_tokens=8, **fields).json()["choices"][0]["message"]["content"])

    greedy = said(temperature=0)
    assert said(top_k=1) == said(top_p=0) == said(min_p=1) == greedy
    assert said(temperature=5, top_k=0, seed=-1) == said(temperature=5, top_k=0, seed=-1)
    assert said(temperature=5, top_k=0, seed=-1) != said(temperature=5, top_k=0, seed=-2)
    banned = {str(token): -100 for token in api.post("/tokenize", {
        "prompt": greedy, "add_special_tokens": False}).json()["tokens"]}
    assert said(temperature=0, logit_bias=banned) != greedy
    assert said(temperature=0, repetition_penalty=1.5, presence_penalty=1, frequency_penalty=2)
    assert greedy.startswith(said(temperature=0, stop=[greedy[3:6]]))
    first = api.post("/tokenize", {"prompt": greedy, "add_special_tokens": False}).json()["tokens"][0]
    assert said(temperature=0, stop_token_ids=[first]) == ""


def test_an_error_after_the_beginning_is_the_last_event(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from pynanochat.serve.chat_choice import ChatChoice

    taken, opened, begun = ChatChoice.take, ChatChoice.opening, []

    def fail(self: ChatChoice, piece: Any) -> None:
        if begun:
            raise RuntimeError("secret detail")
        taken(self, piece)

    def begin(self: ChatChoice) -> Any:
        begun.append(self)
        return opened(self)

    monkeypatch.setattr(ChatChoice, "take", fail)
    monkeypatch.setattr(ChatChoice, "opening", begin)
    asked = {"temperature": 0, "max_tokens": 400, "ignore_eos": True}
    reply: Reply = api.chat("Tell me a story.", **asked, stream=True)
    assert reply.status == 200
    error = json.loads(reply.data[-1])["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert "secret" not in reply.body.decode()
    assert "[DONE]" not in reply.data
    assert api.chat("Tell me a story.", **asked).status == 500

"""Conversations as prompts: every legal list of messages has one layout, which /tokenize and the template tell, too."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("prometheus_client", reason="nanochat serve needs the extra serve")

from api_client import Api
from fixture_files import STORY5M
from fuzzing import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import pynanochat as nc

CHAT = "/v1/chat/completions"


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def bot(text: Any = None, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


def system(text: str, role: str = "system") -> dict[str, Any]:
    return {"role": role, "content": text}


def call(name: str, code: str) -> dict[str, Any]:
    return {"id": name, "type": "function", "function": {"name": "python", "arguments": f'{{"code": "{code}"}}'}}


def output(name: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": name, "content": text}


def shown(api: Api, messages: list[Any], **fields: Any) -> str:
    """The prompt of a chat request, special tokens by name."""
    reply = api.post(CHAT, {"messages": messages, "max_tokens": 0, "return_token_ids": True, **fields})
    assert reply.status == 200, reply.body
    return str(api.post("/detokenize", {"tokens": reply.json()["prompt_token_ids"]}).json()["prompt"])


@pytest.mark.parametrize(("messages", "laid"), [
    ([user("a")], "<u>a</u><a>"),
    ([user([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])], "<u>a\nb</u><a>"),
    ([system("s"), user("a")], "<u>s\n\na</u><a>"),
    ([system("s"), system("t", "developer"), user("a")], "<u>s\n\nt\n\na</u><a>"),
    ([system(""), user("a")], "<u>a</u><a>"),
    ([user("a"), user("b")], "<u>a\n\nb</u><a>"),
    ([user("a"), bot("b"), user("c")], "<u>a</u><a>b</a><u>c</u><a>"),
    ([user("a"), bot("b"), system("s"), user("c")], "<u>a</u><a>b</a><u>s\n\nc</u><a>"),
    ([bot("b"), user("c")], "<u></u><a>b</a><u>c</u><a>"),
    ([system("s"), bot("b"), user("c")], "<u>s\n\n</u><a>b</a><u>c</u><a>"),
    ([system("s")], "<u>s</u><a>"),
    ([user("a"), bot("b"), bot("c"), user("d")], "<u>a</u><a>b\n\nc</a><u>d</u><a>"),
    ([user(None), bot(None), user("d")], "<u></u><a></a><u>d</u><a>"),
    ([user("<|bos|>")], "<u><|bos|></u><a>"),
    ([user("a"), bot("b", tool_calls=[call("x", "1+1")]), output("x", "2")], "<u>a</u><a>b<p>1+1</p><o>2</o>"),
    ([user("a"), bot(None, tool_calls=[call("x", "1+1"), call("y", "2+2")]), output("y", "4"), output("x", "2")],
     "<u>a</u><a><p>2+2</p><o>4</o><p>1+1</p><o>2</o>"),
    ([user("a"), bot("b", tool_calls=[call("x", "1+1")]), output("x", "2"), bot("c"), user("d")],
     "<u>a</u><a>b<p>1+1</p><o>2</o>c</a><u>d</u><a>"),
    ([user("a"), bot("b", tool_calls=[call("x", "1+1")]), user("d")], "<u>a</u><a>b<p>1+1</p><o>2</o></a><u>d</u><a>"),
    ([user("a"), bot("b", tool_calls=[call("x", "f()")]), user("d")], "<u>a</u><a>b<p>f()</p></a><u>d</u><a>"),
    ([user("a"), bot("b", tool_calls=[call("x", "1+1")], tool_outputs=[{"tool_call_id": "x", "output": "7"}]),
      user("d")], "<u>a</u><a>b<p>1+1</p><o>7</o></a><u>d</u><a>"),
    ([user("a"), bot(None, tool_calls=[{**call("x", ""), "function": {"name": "python", "arguments": "3*3"}}]),
      output("x", "9")], "<u>a</u><a><p>3*3</p><o>9</o>"),
])
def test_layout(api: Api, messages: list[Any], laid: str) -> None:
    names = {"u": "user", "a": "assistant", "p": "python", "o": "output"}
    for short, name in names.items():
        laid = laid.replace(f"<{short}>", f"<|{name}_start|>").replace(f"</{short}>", f"<|{name}_end|>")
    assert shown(api, messages) == f"<|bos|>{laid}"
    if messages[-1]["role"] != "tool" or messages[-1]["content"] != "4":
        tokens = api.post("/tokenize", {"messages": messages}).json()["tokens"]
        asked = api.post(CHAT, {"messages": messages, "max_tokens": 0, "return_token_ids": True}).json()
        assert asked["prompt_token_ids"] == tokens


def test_user_text_never_makes_a_special_token(api: Api) -> None:
    asked = api.post(CHAT, {"messages": [user("<|bos|><|assistant_end|>")], "max_tokens": 0, "return_token_ids": True})
    assert asked.json()["prompt_token_ids"].count(2039) == 1


def test_token_ids_stand_for_an_answer_exactly(api: Api) -> None:
    odd = [300, 301, 302]
    ids = api.post(CHAT, {"messages": [user("a"), bot("other text", token_ids=odd), user("b")], "max_tokens": 0,
                          "return_token_ids": True}).json()["prompt_token_ids"]
    place = ids.index(2042)
    assert ids[place + 1 : place + 5] == [*odd, 2043]
    begun = api.post(CHAT, {"messages": [user("a"), bot(token_ids=odd)], "max_tokens": 0, "return_token_ids": True,
                            "continue_final_message": True}).json()["prompt_token_ids"]
    assert begun[-4:] == [2042, *odd]


def test_a_call_in_token_ids_is_closed_by_its_output(api: Api) -> None:
    ids = api.post("/tokenize", {"prompt": "So <|python_start|>1+1", "add_special_tokens": False}).json()["tokens"]
    messages = [user("a"), bot("So ", token_ids=ids, tool_calls=[call("x", "1+1")]), output("x", "2")]
    assert shown(api, messages).endswith("So <|python_start|>1+1<|python_end|><|output_start|>2<|output_end|>")


def test_the_continuation_of_a_call_gets_its_output_first(api: Api) -> None:
    """An answer that ends with a whole call: the calculator's answer is the first of what comes back."""
    ids = api.post("/tokenize", {
        "prompt": "<|python_start|>6*7<|python_end|>", "add_special_tokens": False}).json()["tokens"]
    for cut in (len(ids), len(ids) - 1):
        choice = api.post(CHAT, {
            "messages": [user("What is 6*7?"), bot(token_ids=ids[:cut])], "continue_final_message": True,
            "temperature": 0, "return_token_ids": True}).json()["choices"][0]
        assert choice["message"]["tool_outputs"][0]["output"] == "42"
    off = api.post(CHAT, {"messages": [user("What is 6*7?"), bot(token_ids=ids)], "continue_final_message": True,
                          "tool_choice": "none", "temperature": 0}).json()["choices"][0]
    assert set(off["message"]) == {"role", "content", "refusal"}


@pytest.mark.parametrize(("messages", "fields", "param"), [
    ([user("a"), bot("b")], {}, "messages[1]"),
    ([user("a")], {"continue_final_message": True}, "continue_final_message"),
    ([user("a"), output("x", "1")], {}, "messages[1].tool_call_id"),
    ([user("a"), {"role": "tool", "content": "1"}], {}, "messages[1].tool_call_id"),
    ([user("a"), bot("b", tool_calls=[call("x", "1"), call("y", "2")]), output("x", "1")], {}, "messages"),
    ([user("a"), bot("b", tool_calls=[call("x", "1")]), output("x", "1"), output("x", "1")], {},
     "messages[3].tool_call_id"),
    ([user("a"), bot(token_ids=[5000]), user("b")], {}, "messages[1].token_ids"),
    ([user([{"type": "image_url", "image_url": {"url": "x"}}])], {}, "messages[0].content[0].type"),
    ([user([{"type": "text"}])], {}, "messages[0].content[0].text"),
    ([{"role": "function", "content": "x"}], {}, "messages[0].role"),
    ([user("a"), bot(tool_calls=[{**call("x", "1"), "function": {"name": "f", "arguments": ""}}])], {},
     "messages[1].tool_calls[0].function.name"),
    ([user("a" * 2000)], {}, "messages"),
])
def test_what_is_no_conversation_is_refused_by_place(
    api: Api, messages: list[Any], fields: dict[str, Any], param: str
) -> None:
    reply = api.post(CHAT, {"messages": messages, **fields})
    assert reply.status == 400
    assert reply.error["param"] == param


@pytest.mark.parametrize("policy", ["drop", "stop", "error"])
def test_the_end_of_the_context_is_a_policy(policy: Any) -> None:
    served = Api({"story5m": nc.load(STORY5M, context_policy=policy)})
    try:
        assert served.get("/v1/models").json()["data"][0]["nanochat"]["context_policy"] == policy
        assert served.chat("Hi", temperature=0).status == 200
        turns = [user("What is 1 + 1?"), bot("It is 2.")] * 60
        for fields in ({}, {"max_tokens": 5}):
            reply = served.post(CHAT, {"messages": [*turns, user("And now?")], **fields})
            assert reply.status == (200 if policy == "drop" else 400)
            if policy != "drop":
                assert (reply.error["code"], reply.error["param"]) == ("context_length_exceeded", "messages")
        nearly = [user("word " * 380), bot("Yes."), user("And now?")]
        reply = served.post(CHAT, {"messages": nearly, "max_tokens": 400, "ignore_eos": True, "temperature": 0})
        assert reply.status == (400 if policy == "error" else 200)
        if policy == "stop":
            assert reply.json()["usage"]["total_tokens"] == 512
            assert reply.json()["choices"][0]["finish_reason"] == "length"
        if policy == "drop":
            assert reply.headers["x-nanochat-dropped-turns"] == "1"
    finally:
        served.close()


texts = st.text(st.characters(codec="utf-8", exclude_characters="<|"), max_size=12)
conversations = st.lists(st.one_of(
    st.builds(lambda role, text: {"role": role, "content": text},
              st.sampled_from(["system", "developer", "user", "assistant"]), texts),
    st.builds(lambda parts: {"role": "user", "content": [{"type": "text", "text": text} for text in parts]},
              st.lists(texts, max_size=3))), min_size=1, max_size=8)


@given(messages=conversations, answer=st.booleans(), goes_on=st.booleans())
@settings(max_examples=examples(60))
def test_the_template_renders_what_tokenize_lays_out(
    api: Api, messages: list[Any], answer: bool, goes_on: bool
) -> None:
    """As transformers and lm-eval render it; names of special tokens in the rendered text are these tokens."""
    sandbox = pytest.importorskip("jinja2.sandbox", reason="Jinja renders the template; torch brings it")
    environment = sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(api.get("/tokenizer_info").json()["chat_template"])
    rendered = template.render(messages=messages, add_generation_prompt=answer, continue_final_message=goes_on)
    laid = api.post("/tokenize", {"messages": messages, "add_generation_prompt": answer,
                                  "continue_final_message": goes_on}).json()["tokens"]
    assert api.post("/tokenize", {"prompt": rendered, "add_special_tokens": False}).json()["tokens"] == laid


@given(messages=conversations)
@settings(max_examples=examples(60))
def test_any_list_of_messages_is_answered_or_refused_cleanly(api: Api, messages: list[Any]) -> None:
    reply = api.post(CHAT, {"messages": messages, "max_tokens": 1})
    assert reply.status == (400 if messages[-1]["role"] == "assistant" else 200), reply.body

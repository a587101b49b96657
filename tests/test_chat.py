"""Conversations: upstream's tokens and mask, refusals in words, answers back to content."""

import json

import pytest
from fixture_files import parity
from fuzzing import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from pynanochat.chat import (
    ConversationBuilder,
    apply_chat_template,
    parts_of,
    render_conversation,
    render_for_completion,
    user_turn,
)
from pynanochat.errors import ConversationError, TokenizerError
from pynanochat.tokenizer import SPECIAL_TOKENS, Tokenizer

QUICK = settings(max_examples=examples(300), deadline=None)
TINY = Tokenizer({bytes([byte]): byte for byte in range(256)},
                 {name: 256 + at for at, name in enumerate(SPECIAL_TOKENS)})
BOS, USER, USER_END, ASSISTANT, ASSISTANT_END, PYTHON, PYTHON_END, OUT, OUT_END = range(256, 265)
SIZES = pytest.mark.parametrize("size", [600, 512])


def cases(size):
    tokenizer = Tokenizer.load(parity(f"tokenizer_{size}"))
    return json.loads(parity(f"conversation_cases_{size}.json").read_text()), tokenizer


def user(text="a"):
    return {"role": "user", "content": text}


def answer(content="b"):
    return {"role": "assistant", "content": content}


def part(kind, text):
    return {"type": kind, "text": text}


@SIZES
def test_render_conversation_as_upstream(size):
    expected, tokenizer = cases(size)
    for case in expected["render_conversation"]:
        before = json.dumps(case["messages"])
        tokens, mask = render_conversation(tokenizer, case["messages"], case["max_tokens"])
        assert (tokens, mask) == (case["ids"], case["mask"])
        assert json.dumps(case["messages"]) == before
    for case in expected["render_conversation_errors"]:
        with pytest.raises(ConversationError):
            render_conversation(tokenizer, case["messages"])


@SIZES
def test_render_for_completion_as_upstream(size):
    expected, tokenizer = cases(size)
    for case in expected["render_for_completion"]:
        assert render_for_completion(tokenizer, case["messages"]) == case["ids"]


def test_layout_by_hand():
    messages = [{"role": "system", "content": "s"}, user("u"),
                answer([part("text", "t"), part("python", "1"), part("python_output", "2"), part("text", "")])]
    assert render_conversation(TINY, messages) == (
        [BOS, USER, *b"s\n\nu", USER_END, ASSISTANT, *b"t", PYTHON, *b"1", PYTHON_END, OUT, *b"2", OUT_END,
         ASSISTANT_END],
        [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1])
    assert render_conversation(TINY, messages, 0) == ([], [])
    assert render_for_completion(TINY, messages, 3) == [BOS, USER, ord("s"), ASSISTANT]


def test_prompts_are_never_cut_and_grow_by_turns():
    long = [user("x" * 5000)]
    prompt = apply_chat_template(TINY, long)
    assert prompt == [BOS, USER, *b"x" * 5000, USER_END, ASSISTANT]
    more = [*long, answer("yes"), user("why")]
    assert apply_chat_template(TINY, more) == [*prompt, *b"yes", ASSISTANT_END, *user_turn(TINY, "why")]
    assert apply_chat_template(TINY, more, add_generation_prompt=False) == apply_chat_template(TINY, more)[:-1]
    assert apply_chat_template(TINY, more[:2], add_generation_prompt=False)[-1] == ASSISTANT_END
    assert apply_chat_template(TINY, more) == render_for_completion(TINY, [*more, answer("")], 10_000)
    with pytest.raises(ConversationError, match="last message"):
        apply_chat_template(TINY, more[:2])
    with pytest.raises(ConversationError, match="last message"):
        render_for_completion(TINY, long)


@given(st.lists(st.sampled_from([*SPECIAL_TOKENS, "<|", "a", "é"]), max_size=4).map("".join))
@QUICK
def test_text_holds_no_special_token_on_any_way_in(text):
    message = [{"role": "system", "content": text}, user(text),
               answer([part("text", text), part("python", text), part("python_output", text)]),
               user(text), answer(text)]
    special = [BOS, USER, USER_END, ASSISTANT, PYTHON, PYTHON_END, OUT, OUT_END, ASSISTANT_END,
               USER, USER_END, ASSISTANT, ASSISTANT_END]
    assert [token for token in render_conversation(TINY, message)[0] if TINY.is_special(token)] == special
    assert [token for token in user_turn(TINY, text) if TINY.is_special(token)] == [USER, USER_END, ASSISTANT]


REFUSED = {
    "none": (None, "list of messages"),
    "text": ("hi", "list of messages"),
    "one message": (user(), "list of messages"),
    "empty": ([], "at least one"),
    "only system": ([{"role": "system", "content": "s"}], "at least one"),
    "no dict": ([user(), "hi"], "message 1 is a str"),
    "no role": ([{"content": "a"}], "message 0 has the role"),
    "role of no str": ([{"role": ["user"], "content": "a"}], "message 0 has the role of type list"),
    "unknown role": ([user(), {"role": "tool", "content": "a"}], "message 1 has the role 'tool'"),
    "no content": ([{"role": "user"}], "message 0 .*NoneType.*expected str"),
    "content none": ([user(), answer(None)], "message 1 .*NoneType.*list of parts"),
    "content number": ([user(5)], "message 0 .*int"),
    "content bytes": ([user(b"a")], "message 0 .*bytes"),
    "user with parts": ([user([part("text", "a")])], "message 0 .*list"),
    "system with parts": ([{"role": "system", "content": [part("text", "a")]}, user()], "message 0 .*list"),
    "answer first": ([answer()], "message 0 is of role 'assistant'; expected 'user'"),
    "two users": ([user(), user()], "message 1 is of role 'user'; expected 'assistant'"),
    "two answers": ([user(), answer(), answer()], "message 2 is of role 'assistant'"),
    "system later": ([user(), answer(), {"role": "system", "content": "s"}], "message 2 is of role 'system'"),
    "two systems": ([{"role": "system", "content": "s"}] * 2 + [user()], "message 1 is of role 'system'"),
    "unknown part": (
        [user(), answer([part("text", ""), part("image", "a")])], "part 1 of message 1 has the type 'image'"),
    "part without text": ([user(), answer([{"type": "python"}])], "part 0 of message 1 .*NoneType"),
    "part of no dict": ([user(), answer(["a"])], "part 0 of message 1 is a str"),
    "part type of no str": ([user(), answer([part(["text"], "a")])], "part 0 of message 1 has the type of type list"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_conversation_is_refused(name):
    messages, match = REFUSED[name]
    for render in (render_conversation, apply_chat_template, render_for_completion):
        with pytest.raises(ConversationError, match=match) as caught:
            render(TINY, messages)
        assert "\n" not in str(caught.value)


def test_other_arguments_are_checked():
    for bad in (-1, 1.5, None, True, "5"):
        with pytest.raises(ConversationError, match="max_tokens"):
            render_conversation(TINY, [user()], bad)
    for bad in (None, b"a", ["a"]):
        with pytest.raises(ConversationError):
            user_turn(TINY, bad)
    plain = Tokenizer({bytes([byte]): byte for byte in range(256)}, {"<|bos|>": 256})
    for use, argument in ((render_conversation, [user()]), (user_turn, "a"), (parts_of, [97])):
        with pytest.raises(TokenizerError, match=r"no special token '<\|"):
            use(plain, argument)


texts = st.text("ab é😀\n", max_size=4)
blocks = st.lists(st.tuples(st.sampled_from(["python", "python_output"]), texts) | st.tuples(st.just("text"), texts),
                  max_size=6)


@given(blocks)
@QUICK
def test_tokens_to_parts_and_back(parts):
    """Well-formed tokens: text pieces are not empty and two do not touch."""
    content = [part(kind, text) for kind, text in parts]
    content = [piece for at, piece in enumerate(content) if piece["type"] != "text" or (
        piece["text"] and (at == 0 or content[at - 1]["type"] != "text"))]
    content = [piece for at, piece in enumerate(content)
               if at == 0 or piece["type"] != "text" or content[at - 1]["type"] != "text"]
    rendered, _ = render_conversation(TINY, [user(), answer(content)])
    tokens = rendered[5:-1]
    back = parts_of(TINY, tokens)
    assert render_conversation(TINY, [user(), answer(back)])[0] == rendered
    if any(piece["type"] != "text" for piece in content):
        assert back == content
    else:
        assert back == "".join(piece["text"] for piece in content)
    assert parts_of(TINY, [*tokens, ASSISTANT_END, *b"dropped"]) == back
    assert parts_of(TINY, [*tokens, BOS]) == back


@SIZES
def test_upstream_answers_to_parts_and_back(size):
    expected, tokenizer = cases(size)
    for case in expected["render_conversation"]:
        if case["max_tokens"] == 2048 and case["messages"][-1]["role"] == "assistant":
            start = len(render_for_completion(tokenizer, case["messages"]))
            back = parts_of(tokenizer, case["ids"][start:])
            again = [*case["messages"][:-1], answer(back)]
            assert render_conversation(tokenizer, again)[0] == case["ids"]


def test_malformed_answers_still_have_parts():
    assert parts_of(TINY, []) == ""
    assert parts_of(TINY, [PYTHON_END, *b"a", OUT_END, USER, *b"b"]) == "ab"
    assert parts_of(TINY, [*b"a", PYTHON, *b"1+"]) == [part("text", "a"), part("python", "1+")]
    assert parts_of(TINY, [PYTHON]) == [part("python", "")]
    assert parts_of(TINY, [PYTHON, *b"1", PYTHON, *b"2", PYTHON_END]) == [part("python", "1"), part("python", "2")]
    assert parts_of(TINY, [PYTHON, *b"1", OUT_END, *b"2", OUT, *b"3"]) == [
        part("python", "12"), part("python_output", "3")]
    assert parts_of(TINY, [0xFF]) == "\ufffd"
    with pytest.raises(TokenizerError):
        parts_of(TINY, [9999])


def test_builder():
    builder = ConversationBuilder().system("s").user("u").assistant([part("python", "1")])
    messages = builder.build()
    assert messages == [{"role": "system", "content": "s"}, user("u"), answer([part("python", "1")])]
    builder.user("more")
    assert len(messages) == 3
    assert apply_chat_template(TINY, builder.build())[-1] == ASSISTANT
    with pytest.raises(ConversationError, match="at least one"):
        ConversationBuilder().build()
    with pytest.raises(ConversationError, match="message 1"):
        ConversationBuilder().user("a").user("b").build()

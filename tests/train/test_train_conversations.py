"""Conversations in nanochat's and OpenAI's shape; what neither says is refused, not dropped."""

import pytest

from pynanochat.errors import DataError
from pynanochat.train.conversations import messages_of

USER, ANSWER = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}


def test_nanochats_shape():
    parts = [{"type": "text", "text": "4: "}, {"type": "python", "text": "2+2"},
             {"type": "python_output", "text": "4"}]
    messages = [{"role": "system", "content": "Be brief."}, USER, {"role": "assistant", "content": parts}, USER, ANSWER]
    assert list(messages_of(messages, "here")) == messages


def test_openais_shape():
    messages = [{"role": "developer", "content": "Be brief.", "name": "boss"},
                {"role": "user", "content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]},
                ANSWER | {"refusal": None, "tool_calls": None, "weight": 1}]
    assert list(messages_of(messages, "here")) == [{"role": "system", "content": "Be brief."}, USER, ANSWER]


def test_half_characters():
    (_, answer) = messages_of([USER, {"role": "assistant", "content": "a\udc00b"}], "here")
    assert answer["content"] == "a\ufffdb"


WRONG = {
    "no list": ({}, "messages are a dict"),
    "nothing": ([], "without a user's message"),
    "no message": (["Hi"], "message 0 is a str"),
    "no answer": ([USER], "without an answer"),
    "two users": ([USER, USER, ANSWER], "message 1 is of role 'user'; expected 'assistant'"),
    "answer first": ([ANSWER], "expected 'user'"),
    "late system": ([USER, {"role": "system", "content": "x"}], "message 1 is of role 'system'"),
    "tool": ([USER, {"role": "tool", "content": "x"}], "message 1 has the role 'tool'"),
    "role": ([{"role": 3, "content": "x"}], "message 0 has the role 3"),
    "no content": ([USER, {"role": "assistant"}], "message 1 has a NoneType as content"),
    "tool call": ([USER, {"role": "assistant", "content": None, "tool_calls": [1]}], "message 1 has 'tool_calls'"),
    "weight": ([USER, ANSWER | {"weight": 0}], "message 1 has 'weight'"),
    "picture": ([{"role": "user", "content": [{"type": "image_url", "text": "x"}]}, ANSWER], "the type 'image_url'"),
    "tool of a user": ([{"role": "user", "content": [{"type": "python", "text": "1"}]}, ANSWER], "a list as content"),
    "part": ([USER, {"role": "assistant", "content": ["x"]}], "part 0 of message 1"),
    "part's text": ([USER, {"role": "assistant", "content": [{"type": "text", "text": 1}]}], "part 0 of message 1"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused(name):
    value, message = WRONG[name]
    with pytest.raises(DataError) as error:
        messages_of(value, "talk.jsonl, line 3")
    assert str(error.value).startswith("talk.jsonl, line 3: ")
    assert message in str(error.value)

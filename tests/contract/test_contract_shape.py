"""Shapes say where a value differs, by its path and in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynanochat.contract import chat, responses
from pynanochat.contract.problem import quoted, shown
from pynanochat.contract.shape import (
    BOOLEAN,
    COUNT,
    LOGPROB,
    NAME,
    TEXT,
    differences,
    exactly,
    nullable,
    one_of,
    record,
    sequence,
)
from pynanochat.contract.structured import DOG

CASES = [  # shape, value, what is said
    (TEXT, "", None),
    (NAME, "", "is empty; expected a text"),
    (TEXT, 7, "is 7; expected a string"),
    (COUNT, 0, None),
    (COUNT, -1, "is -1; expected a whole number of at least 0"),
    (COUNT, 1.0, "is 1.0; expected a whole number of at least 0"),
    (COUNT, True, "is True; expected a whole number of at least 0"),
    (BOOLEAN, True, None),
    (BOOLEAN, 1, "is 1; expected true or false"),
    (LOGPROB, float("nan"), "is nan; expected a number of at most 0"),
    (LOGPROB, -0.0, None),
    (nullable(TEXT), None, None),
    (nullable(TEXT), 3, "is 3; expected a string or null"),
    (nullable(record(a=COUNT)), {"a": -1}, "a is -1; expected a whole number of at least 0"),
    (nullable(sequence(TEXT)), ["x", None], "[1] is null; expected a string"),
    (exactly("x"), "y", "is 'y'; expected 'x'"),
    (exactly(1), True, "is True; expected 1"),
    (one_of("a", None), None, None),
    (one_of("a", None), "b", "is 'b'; expected one of a, None"),
    (record(a=record(b=TEXT)), {"a": {}}, "a.b is missing; expected a string"),
    (record({"c": TEXT}, a=TEXT), {"a": ""}, None),
    (record({"c": TEXT}, a=TEXT), {"a": "", "c": 1}, "c is 1; expected a string"),
    (record(a=sequence(TEXT, 1)), {"a": []}, "a has 0 items; expected at least 1"),
    (sequence(TEXT, 1, 1), ["a", "b"], "has 2 items; expected 1"),
    (sequence(record(a=TEXT)), [{"a": "x"}, {}, {}], "[1].a is missing; expected a string"),
    (DOG, {"animal": "dog", "friendly": True, "ball": {"color": "red"}}, None),
    (DOG, {"animal": "cow", "friendly": True, "ball": {"color": "red"}},
     "animal is 'cow'; expected one of dog, cat, bird"),
    (DOG, {"animal": "dog", "friendly": True, "ball": {"color": "red"}, "x": 1}, "x is not in the schema"),
]


@pytest.mark.parametrize(("shape", "value", "said"), CASES)
def test_differences(shape, value, said):
    assert [str(problem) for problem in differences(value, shape)] == ([said] if said else [])


ANY = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                   lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                       st.sampled_from(["choices", "message", "content", "usage", "output", "id", "x"]), inner),
                   max_leaves=12)


@given(ANY)
def test_any_value_can_be_compared(value):
    for shape in (chat.ANSWER, chat.USAGE, responses.RESPONSE, DOG):
        assert all(str(problem).isprintable() for problem in differences(value, shape))


def test_what_is_shown_is_one_printable_line():
    assert shown("a\x1b[31m\n\ud800") == "a\\x1b[31m\\n\\ud800"
    assert quoted("it's\n") == '"it\'s\\n"'
    assert len(shown("x" * 10**6)) < 300

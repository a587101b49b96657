"""The three kinds of CORE, laid out and judged as upstream."""

import random

import pytest

from pynanochat.errors import DataError
from pynanochat.eval.continuations import Judged
from pynanochat.eval.few_shot import FewShot

CHOICES = [{"query": f"Q{i}?", "choices": ["yes", "no", "maybe"], "gold": i % 3} for i in range(5)]
SCHEMAS = [{"context_options": ["Ann said she", "Ann said Bob"], "continuation": "left.", "gold": 1}] * 2
TEXTS = [{"context": f"  two and {i} is ", "continuation": f"{i + 2}"} for i in range(4)]


def told(llm, asked, item, examples):
    words = llm.tokenizer
    return [(words.decode(one.prompt), words.decode(one.tokens))
            for one in asked.continuations(words, item, examples)]


def test_layouts():
    asked = FewShot("multiple_choice", 2, "\nAnswer: ")
    assert asked.texts(CHOICES[0], CHOICES[1:3]) == [
        f"Q1?\nAnswer: no\n\nQ2?\nAnswer: maybe\n\nQ0?\nAnswer: {choice}" for choice in ("yes", "no", "maybe")]
    assert FewShot("schema", 1).texts(SCHEMAS[0], SCHEMAS[1:]) == [
        f"Ann said Bob left.\n\nAnn said {who} left." for who in ("she", "Bob")]
    assert FewShot("language_modeling", 1).texts(TEXTS[0], TEXTS[1:2]) == [
        "two and 1 is 3\n\ntwo and 0 is", "two and 1 is 3\n\ntwo and 0 is 2"]


def test_examples_have_the_seed_of_their_item():
    asked = FewShot("language_modeling", 2)
    others = [TEXTS[place] for place in random.Random(1234 + 2).sample([0, 1, 3], 2)]
    assert asked.examples(TEXTS, 2) == others
    assert TEXTS[2] not in FewShot("language_modeling", 10).examples(TEXTS, 2)
    assert len(FewShot("language_modeling", 10).examples(TEXTS, 2)) == 3
    assert FewShot("language_modeling", 0).examples(TEXTS, 2) == []


def test_what_is_judged(tiny):
    bos = "<|bos|>"
    assert told(tiny, FewShot("multiple_choice", 0), CHOICES[0], []) == [
        (f"{bos}Q0? ", choice) for choice in ("yes", "no", "maybe")]
    assert told(tiny, FewShot("schema", 0), SCHEMAS[0], []) == [
        (f"{bos}Ann said she", " left."), (f"{bos}Ann said Bob", " left.")]
    assert told(tiny, FewShot("language_modeling", 0), TEXTS[0], []) == [(f"{bos}two and 0 is", " 2")]


@pytest.mark.parametrize("item", [
    {"query": "Q", "choices": ["a", "ab"], "gold": 0}, {"query": "Q", "choices": ["same", "same"], "gold": 1}],
    ids=["one begins the other", "both the same"])
def test_no_choice_is_empty(tiny, item):
    for one in FewShot("multiple_choice", 0).continuations(tiny.tokenizer, item, []):
        assert one.prompt
        assert one.tokens


def test_right():
    better, worse = Judged((1.0, 1.0), (True, False)), Judged((0.5, 2.0, 2.0), (False, True, True))
    choice = FewShot("multiple_choice", 0)
    assert choice.right({"gold": 0}, [better, worse])
    assert not choice.right({"gold": 1}, [better, worse])
    assert FewShot("schema", 0).right({"gold": 0}, [better, better])  # the first of equal ones
    assert not FewShot("language_modeling", 0).right({}, [better])
    assert FewShot("language_modeling", 0).right({}, [Judged((1.0,), (True,))])


@pytest.mark.parametrize(("kind", "items"), [
    ("multiple_choice", [*CHOICES, {"query": "Q", "choices": ["a"], "gold": 1}]),
    ("multiple_choice", [{"query": "Q", "choices": [], "gold": 0}]),
    ("multiple_choice", [{"query": "Q", "choices": ["a"], "gold": 0}]),
    ("multiple_choice", [{"query": "Q", "choices": ["a", 2], "gold": True}]),
    ("schema", TEXTS), ("language_modeling", CHOICES)])
def test_items_of_another_kind(kind, items):
    with pytest.raises(DataError, match=f"mine, item . *|mine, item .*{kind}"):
        FewShot(kind, 0).check(items, "mine")


def test_items_of_the_kind():
    for kind, items in (("multiple_choice", CHOICES), ("schema", SCHEMAS), ("language_modeling", TEXTS)):
        FewShot(kind, 3).check(items, "mine")


def test_no_items():
    with pytest.raises(DataError, match="coqa: the file has no items"):
        FewShot("language_modeling", 0).check([], "coqa")

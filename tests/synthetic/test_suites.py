"""Suites: as many questions as asked for, the same ones each time, held out where they say so."""

from __future__ import annotations

import pytest

from pynanochat.errors import DataError
from pynanochat.synthetic import arithmetic, identity, spelling, word_problems
from pynanochat.synthetic.choices import Choices, held_out
from pynanochat.synthetic.exchange import draw
from pynanochat.synthetic.suites import SUITES, suite


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_has_its_questions(name: str) -> None:
    questions = suite(name, n=12, seed=5)
    assert len(questions) == 12
    again = suite(name, n=12, seed=5)
    assert [question.messages for question in questions] == [question.messages for question in again]
    for question in questions:
        assert question.messages[-1]["role"] == "user"
        assert question.kind
        assert not question.right("")
        assert not question.right("I like trains.")


@pytest.mark.parametrize("name", ["arithmetic", "word_problems", "spelling", "facts"])
def test_another_seed_asks_other_questions(name: str) -> None:
    one, two = ([question.messages for question in suite(name, n=10, seed=seed)] for seed in (1, 2))
    assert one != two


@pytest.mark.parametrize("module", [arithmetic, word_problems, spelling], ids=lambda module: module.KIND)
def test_the_last_exchange_is_held_out(module: object) -> None:
    for i in range(30):
        found = draw(module.exchanges, Choices(f"suite {i}"), held=True)  # type: ignore[attr-defined]
        assert found[-1].key is not None
        assert held_out(found[-1].key)


def test_identity_asks_every_topic() -> None:
    topics = identity.topics()
    questions = suite("identity", n=len(topics))
    assert [question.answer for question in questions] == [topic.phrase for topic in topics]


def test_an_unknown_suite_is_named() -> None:
    with pytest.raises(DataError, match=r"'algebra' is no suite .* arithmetic, word_problems"):
        suite("algebra")

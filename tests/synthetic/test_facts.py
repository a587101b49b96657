"""Facts: each question has one answer, each answer says its key, each fact is met in training."""

from __future__ import annotations

import itertools

import pytest

from pynanochat.synthetic import facts, unknown
from pynanochat.synthetic.choices import Choices, held_out
from pynanochat.synthetic.exchange import draw, question
from pynanochat.synthetic.questionnaire import Known


def told(fact: Known) -> list[tuple[str, str]]:
    """Question and answer, for some seeds."""
    found = []
    for i in range(6):
        exchange = fact.exchange(Choices(f"{fact.questions[0]} {i}"), facts.KIND, asker=lambda choices, stem: stem)
        found.append((exchange.asked, str(exchange.said)))
    return found


def test_there_are_many() -> None:
    assert len(facts.facts()) >= 900


def test_every_fact_has_two_wordings_or_more_and_answers_that_say_the_key() -> None:
    for fact in facts.facts():
        texts = told(fact)
        assert len(fact.questions) >= 2 or "[" in fact.questions[0], fact
        assert fact.phrase
        for _, said in texts:
            assert question([fact.exchange(Choices("x"), facts.KIND)]).right(said), (fact, said)


def test_no_question_has_two_answers() -> None:
    phrases: dict[str, str] = {}
    for fact in facts.facts():
        for asked, _ in told(fact):
            assert phrases.setdefault(asked, fact.phrase) == fact.phrase, asked


def test_every_fact_has_wordings_that_training_may_use() -> None:
    for number, fact in enumerate(facts.facts()):
        asked = [fact.exchange(Choices(f"{number} {i}"), facts.KIND).key or "" for i in range(8)]
        assert not all(map(held_out, asked)), fact


@pytest.mark.parametrize(("asked", "phrase"), [
    ("What is the capital of France", "Paris"), ("How many legs does a spider have", "eight"),
    ("What is a baby cow called", "calf"), ("What is the opposite of hot", "cold"),
    ("What is the largest planet", "Jupiter"), ("How many minutes are in an hour", "60")])
def test_some_that_everybody_knows(asked: str, phrase: str, answers: dict[str, str]) -> None:
    assert answers[asked] == phrase


@pytest.fixture(scope="module")
def answers() -> dict[str, str]:
    """The right phrase by the question as it is asked plainly."""
    return {Choices(f"{i}").text(wording, fact.slots): fact.phrase
            for fact in facts.facts() for wording in fact.questions for i in range(12)}


def test_what_nobody_taught_is_not_known() -> None:
    for i in range(200):
        (exchange,) = draw(unknown.exchanges, Choices(f"unknown {i}"))
        assert "I do not know" in exchange.said
        assert question([exchange]).right(str(exchange.said))


def test_articles_fit() -> None:
    texts = itertools.chain.from_iterable(told(fact) for fact in facts.facts()[::5])
    for asked, said in texts:
        for text in (asked, said):
            assert " a a" not in text
            assert " a o" not in text
            assert "{" not in text
            assert "[" not in text

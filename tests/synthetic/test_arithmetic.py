"""Sums: what the calculator says is what the answer says, and the question is really asked of that sum."""

from __future__ import annotations

import itertools

import pytest

from pynanochat.calculator import calculate
from pynanochat.synthetic import arithmetic, quantities
from pynanochat.synthetic.asking import ask
from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.exchange import (
    Exchange,
    computed,
    draw,
    ends_with_number,
    exact,
    question,
    result_of,
)
from pynanochat.synthetic.numerals import in_words


def said(exchange: Exchange) -> str:
    if isinstance(exchange.said, str):
        return exchange.said
    return "".join(part["text"] for part in exchange.said if part["type"] == "text")


def many(count: int) -> list[list[Exchange]]:
    return [draw(arithmetic.exchanges, Choices(f"arithmetic {i}")) for i in range(count)]


def test_the_output_is_the_calculators() -> None:
    seen = 0
    for exchanges in many(600):
        for exchange in exchanges:
            if isinstance(exchange.said, str):
                continue
            for call, output in zip(exchange.said, exchange.said[1:], strict=False):
                if call["type"] == "python":
                    assert output == {"type": "python_output", "text": calculate(call["text"])}
                    seen += 1
    assert seen > 400


def test_the_answer_given_counts_as_right_and_another_does_not() -> None:
    for exchanges in many(600):
        asked = question(exchanges)
        assert asked.right(said(exchanges[-1])), exchanges[-1]
        assert not asked.right("I do not know.")
        assert asked.messages[-1] == {"role": "user", "content": exchanges[-1].asked}


def test_a_follow_up_goes_on_with_the_result() -> None:
    follows = [(one, two) for exchanges in many(600) for one, two in itertools.pairwise(exchanges)]
    assert len(follows) > 60
    for one, two in follows:
        assert two.key is not None
        assert two.key.startswith(one.answer)


def test_all_kinds_come() -> None:
    asked = " ".join(exchange.asked.lower() for exchanges in many(900) for exchange in exchanges)
    for word in ("plus", "minus", "times", "divided", "percent", "average", "squared", "o'clock", "count from", "sort",
                 "odd", "kilometre", "monday", "half", "next number", "(", "bigger"):
        assert word in asked, word


@pytest.mark.parametrize(("expression", "told"), [
    ("6/3", "2"), ("7/2", "3.5"), ("10/3", "about 3.33"), ("2/3", "about 0.67"), ("3-10", "-7"), ("0.5*4", "2"),
    ("123456*7", "864192")])
def test_results_are_told_as_people_write_them(expression: str, told: str) -> None:
    assert result_of(expression) == told


def test_exact_results_are_short() -> None:
    assert exact("1/8")
    assert not exact("0.1+0.2")
    assert not exact("1/3")
    assert not exact("1/0")


@pytest.mark.parametrize(("text", "right"), [
    ("12 plus 5 is 17.", True), ("That is 17", True), ("17 and 3", False), ("It is -17.", False),
    ("It is 17.5.", False),
    ("1,017", False), ("", False)])
def test_the_last_number_decides(text: str, right: bool) -> None:
    assert ends_with_number("17")(text) is right


def test_signs_between_numbers_are_no_part_of_them() -> None:
    assert ends_with_number("-5")("7-12 is -5.")
    assert ends_with_number("3.33")("It is about 3.33.")


def test_computed_parts() -> None:
    assert [part["type"] for part in computed("", "1+1", " It is 2.")] == ["python", "python_output", "text"]
    assert computed("Well: ", "1+1", "")[0] == {"type": "text", "text": "Well: "}


@pytest.mark.parametrize(("number", "words"), [
    (0, "zero"), (13, "thirteen"), (40, "forty"), (77, "seventy-seven"), (100, "one hundred"),
    (312, "three hundred and twelve"), (1005, "one thousand and five"), (2100, "two thousand one hundred")])
def test_numbers_in_words(number: int, words: str) -> None:
    assert in_words(number) == words


def test_the_clock_and_the_calendar_are_right() -> None:
    names = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
    for i in range(200):
        exchange = quantities.days(Choices(f"days {i}"))
        _, first, steps = (exchange.key or "").split()
        if first in names:
            assert exchange.answer == f"It is {names[(names.index(first) + int(steps)) % 7]}"
        clock = quantities.clock(Choices(f"clock {i}"))
        hour = int(clock.answer.replace(" o'clock", "").partition(":")[0])
        assert 1 <= hour <= 12


def test_ways_of_asking_keep_the_question() -> None:
    for i in range(200):
        choices = Choices(f"ask {i}")
        assert "capital of france" in ask(choices, "What is the capital of France").lower()
        order = ask(choices, "Spell cat")
        assert "spell cat" in order.lower()
        assert not order.endswith("??")

"""Word problems: whole positive answers, with their noun, and enough kinds."""

from __future__ import annotations

from pynanochat.synthetic import word_problems
from pynanochat.synthetic.choices import Choices, held_out
from pynanochat.synthetic.exchange import draw, question
from pynanochat.synthetic.problem_templates import PROBLEMS


def test_there_are_thirty_kinds_with_names_of_their_own() -> None:
    assert len(PROBLEMS) >= 30
    assert len({problem.name for problem in PROBLEMS}) == len(PROBLEMS)


def test_every_wording_can_be_told_and_has_a_whole_positive_answer() -> None:
    kinds = set()
    for i in range(1500):
        (exchange,) = draw(word_problems.exchanges, Choices(f"problem {i}"))
        assert exchange.key is not None
        kinds.add(exchange.key.split()[0])
        assert exchange.answer.isdigit(), exchange
        assert int(exchange.answer) >= 2, exchange  # the nouns stand in the plural
        assert not isinstance(exchange.said, str)
        assert [part["type"] for part in exchange.said] == ["text", "python", "python_output", "text"]
        assert "{" not in exchange.asked
        assert "|" not in exchange.asked
        assert question([exchange]).right(exchange.said[-1]["text"])
        assert not question([exchange]).right(f"It is {int(exchange.answer) + 1}.")
    assert kinds == {problem.name for problem in PROBLEMS}


def test_the_last_sentence_says_a_noun() -> None:
    for i in range(300):
        (exchange,) = draw(word_problems.exchanges, Choices(f"noun {i}"))
        last = exchange.said[-1]["text"]  # type: ignore[index]
        assert last.rstrip(".").split()[-1] != exchange.answer, (exchange, last)


def test_held_out_by_kind_and_numbers() -> None:
    for i in range(100):
        (exchange,) = draw(word_problems.exchanges, Choices(f"held {i}"), held=True)
        assert held_out(exchange.key or "")

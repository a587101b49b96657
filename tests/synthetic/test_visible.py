"""Which choices show: those that leave no trace cost nothing, those that change the text cost what they cost."""

from __future__ import annotations

import pytest

from pynanochat.synthetic import mixture
from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.sample import Sample
from pynanochat.synthetic.visible import visible_bits


def made(choices: Choices) -> Sample:
    """Two bits for the name, three for a number that is never said, one for each optional word."""
    name, _ = choices.one(["Ann", "Bob", "Cleo", "Dan"]), choices.whole(1, 8)
    return Sample(kind="test", text=choices.text("[Hi|Hello] {name}[!|.]", name=name), bits=choices.bits)


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_what_is_never_said_costs_nothing(seed: str) -> None:
    sample, bits = visible_bits(made, seed)
    assert sample == made(Choices(seed))
    assert (sample.bits, bits) == (7.0, 4.0)


def test_what_is_thrown_away_costs_nothing() -> None:
    def again(choices: Choices) -> Sample:
        before = choices.bits
        while (number := choices.whole(0, 3)) == 0:
            choices.bits = before
        return Sample(kind="test", text=str(number), bits=choices.bits)

    assert {visible_bits(again, str(seed))[1] for seed in range(20)} == {2.0}


def test_choices_between_the_same_words_cost_nothing() -> None:
    def same(choices: Choices) -> Sample:
        return Sample(kind="test", text=choices.one(["a", "b"]).replace("b", "a"), bits=choices.bits)

    assert visible_bits(same, "0") == (Sample(kind="test", text="a", bits=1.0), 0.0)


def test_samples_of_the_mixture() -> None:
    for place in range(4):
        sample, bits = visible_bits(mixture.drawn, mixture.seed_of(3, place))
        assert sample == mixture.document(3, place)
        assert 0 < bits <= sample.bits

"""The facts that a small model is taught: each in several wordings, with one stable answer.

Sources: the capitals, symbols and atomic numbers agree with the packages countryinfo, pycountry and mendeleev; the rest
is common knowledge, written down for this project.
"""

from __future__ import annotations

import functools

from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.exchange import Exchange
from pynanochat.synthetic.questionnaire import Known, known
from pynanochat.synthetic.word_lists import word_file

KIND = "facts"


@functools.cache
def facts() -> tuple[Known, ...]:
    """All facts, the two directions of a relation counted as two."""
    file = word_file("facts")
    found = [known(ask, dict(zip("abc", row, strict=False)))
             for relation in file["relations"].values() for ask in relation["asks"] for row in relation["rows"]]
    return (*found, *map(known, file["singles"]))


def exchanges(choices: Choices) -> list[Exchange]:
    """One to three facts."""
    return [choices.one(facts()).exchange(choices, KIND) for _ in range(choices.one((1, 1, 2, 3)))]

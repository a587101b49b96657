"""What a small model cannot know: news, prices, strangers, places and words that it never read of."""

from __future__ import annotations

import dataclasses

from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.exchange import Exchange
from pynanochat.synthetic.questionnaire import listed
from pynanochat.synthetic.word_lists import countable, names

KIND = "unknown"
_PLACES = (
    "Paris", "London", "Rome", "Berlin", "Madrid", "Tokyo", "Cairo", "Lima", "Oslo", "Vienna", "Athens", "France",
    "Germany", "Italy", "Spain", "Japan", "China", "India", "Canada", "Brazil", "Kenya", "Norway", "Sweden", "Poland",
    "Peru", "Egypt", "Greece", "Ireland", "Portugal", "Turkey", "Chile", "Cuba")
_STARTS = ["b", "bl", "br", "c", "ch", "d", "dr", "f", "fl", "g", "gl", "gr", "h", "j", "k", "kr", "l", "m", "n", "p",
           "pl", "pr", "qu", "r", "s", "sk", "sl", "sn", "sp", "st", "t", "tr", "v", "w", "y", "z"]
_MIDDLES = ["a", "e", "i", "o", "u", "oo", "ee", "ai", "ea", "ou"]
_ENDS = ["b", "bble", "ck", "d", "dge", "ff", "g", "ll", "lm", "m", "mp", "n", "nd", "ng", "nk", "p", "r", "rk", "rn",
         "sh", "sk", "sp", "t", "tch", "th", "x", "zz"]
_LANDS = ("ia", "land", "ova", "istan", "ora", "onia", "ara", "ea")


def exchanges(choices: Choices) -> list[Exchange]:
    """One question that has no answer here, and an honest one."""
    topic = dataclasses.replace(choices.one(listed("unknown")), slots={
        "name": choices.one(names()), "surname": _syllables(choices, 2).capitalize(), "place": choices.one(_PLACES),
        "thing": choices.one(countable()), "nonword": _syllables(choices, 2),
        "nowhere": (_syllables(choices, 2) + choices.one(_LANDS)).capitalize()})
    return [topic.exchange(choices, KIND)]


def _syllables(choices: Choices, count: int) -> str:
    return "".join(choices.one(_STARTS) + choices.one(_MIDDLES) + (choices.one(_ENDS) if i == count - 1 else "")
                   for i in range(count))

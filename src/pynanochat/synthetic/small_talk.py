"""Small talk: greetings, thanks, moods, jokes, praise, insults, requests that are refused, other languages."""

from __future__ import annotations

import dataclasses

from pynanochat.synthetic.asking import ask
from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.exchange import Exchange
from pynanochat.synthetic.questionnaire import listed
from pynanochat.synthetic.word_lists import countable, names, plural

KIND = "small_talk"
_QUESTION_WORDS = frozenset(("What", "What's", "How", "Do", "Tell", "Give", "Can", "Are", "Ask", "Parlez-vous"))
_GREETINGS, _PARTINGS = (0, 1, 2, 3), (5, 6, 7)  # places in words/small_talk.json


def exchanges(choices: Choices) -> list[Exchange]:
    """One thing that is said, and a kind answer."""
    return [_exchange(choices, choices.whole(0, len(listed("small_talk")) - 1))]


def greeting(choices: Choices) -> Exchange:
    """How a conversation may begin."""
    return _exchange(choices, choices.one(_GREETINGS, (8, 1, 1, 2)))


def parting(choices: Choices) -> Exchange:
    """How a conversation may end."""
    return _exchange(choices, choices.one(_PARTINGS, (5, 3, 1)))


def _exchange(choices: Choices, place: int) -> Exchange:
    topic = listed("small_talk")[place]
    if any("{" in question for question in topic.questions):
        topic = dataclasses.replace(topic, slots={"name": choices.one(names()),
                                                  "thing": plural(choices.one(countable()))})
    return topic.exchange(choices, KIND, asker=_as_said, keyed=False)


def _as_said(choices: Choices, stem: str) -> str:
    return ask(choices, stem) if stem.split(" ", 1)[0] in _QUESTION_WORDS else stem

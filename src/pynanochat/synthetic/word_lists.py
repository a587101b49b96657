"""The words that the generator spells, counts and makes problems of; read once from words/."""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

_ODD_PLURALS = {
    "child": "children", "man": "men", "woman": "women", "mouse": "mice", "goose": "geese", "tooth": "teeth",
    "foot": "feet", "knife": "knives", "wife": "wives", "leaf": "leaves", "wolf": "wolves", "shelf": "shelves",
    "thief": "thieves", "calf": "calves", "half": "halves", "loaf": "loaves", "scarf": "scarves", "person": "people",
    "potato": "potatoes", "tomato": "tomatoes", "hero": "heroes", "echo": "echoes", "volcano": "volcanoes",
    "mosquito": "mosquitoes", "mango": "mangoes", "dwarf": "dwarves", "hoof": "hooves", "stomach": "stomachs",
    "fisherman": "fishermen", "quiz": "quizzes"}


@functools.cache
def word_file(name: str) -> Any:
    """What words/NAME.json holds."""
    return json.loads(resources.files(__package__).joinpath("words", f"{name}.json").read_text("utf-8"))


@functools.cache
def spelled_words() -> tuple[str, ...]:
    """The common words that are spelled, in small letters, each once."""
    lists = word_file("spelling")
    words = " ".join(lists[key] for key in ("nouns", "mass", "verbs", "adjectives", "others")).split()
    return tuple(dict.fromkeys(words))


@functools.cache
def countable() -> tuple[str, ...]:
    """Nouns of things that can be counted, in the singular."""
    return tuple(word_file("spelling")["nouns"].split())


@functools.cache
def names() -> tuple[str, ...]:
    """First names."""
    return tuple(word_file("spelling")["names"].split())


def odd_plural(noun: str) -> bool:
    """Whether the plural follows no rule, so that it must be known."""
    return noun in _ODD_PLURALS


def plural(noun: str) -> str:
    """More than one of them."""
    if noun in _ODD_PLURALS:
        return _ODD_PLURALS[noun]
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return f"{noun}es"
    return f"{noun}s"

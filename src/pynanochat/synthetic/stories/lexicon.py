"""The words that fill a story's free slots, read from the package's word lists, and the names and nouns made up."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources

from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.stories.details import details
from pynanochat.synthetic.word_lists import spelled_words


@dataclass(frozen=True)
class Kind:
    """What somebody is, and how such a one moves: go, went, going; what it has for hands."""

    noun: str
    go: str
    went: str
    going: str
    hands: str
    gender: str = ""  # f or m where the noun says it


@dataclass(frozen=True)
class Place:
    """Where something happens: "pond", "by the pond", "to the pond", and what is seen there."""

    noun: str
    at: str
    to: str
    scenes: tuple[str, ...]


@dataclass(frozen=True)
class Food:
    """One of it and several."""

    one: str
    many: str


@dataclass(frozen=True, kw_only=True)
class Lexicon:
    """All lists, in the order of their files."""

    names: dict[str, tuple[str, ...]]  # by gender f, m; names for either stand in both
    animals: tuple[Kind, ...]
    children: tuple[Kind, ...]
    grown: tuple[Kind, ...]
    things: dict[str, tuple[str, ...]]  # by use
    made_of: dict[str, str]  # thing to letter of material
    foods: tuple[Food, ...]
    dishes: tuple[str, ...]
    flavours: tuple[str, ...]
    places: tuple[Place, ...]


@functools.cache
def lexicon() -> Lexicon:
    """The word lists, read once."""
    names = dict(_entry(line) for line in _lines("names.txt"))
    animals = [
        Kind(noun, go, went, going, hands.rstrip(":"))
        for go, went, going, hands, *nouns in (line.split() for line in _lines("animals.txt"))
        for noun in nouns
    ]
    things: dict[str, tuple[str, ...]] = {}
    made_of: dict[str, str] = {}
    for head, nouns in (_entry(line) for line in _lines("things.txt")):
        use, material = head.split()
        things[use] = things.get(use, ()) + tuple(noun for noun in nouns if noun not in made_of)
        made_of.update((noun, material) for noun in nouns if noun not in made_of)
    foods, dishes, flavours = _lines("foods.txt")
    return Lexicon(
        names={gender: tuple(dict.fromkeys(names[gender] + names["n"])) for gender in "fm"},
        animals=tuple(animals),
        children=(
            Kind("girl", "run", "ran", "running", "hands", "f"),
            Kind("boy", "run", "ran", "running", "hands", "m"),
        ),
        grown=tuple(
            Kind(noun, "hurry", "hurried", "hurrying", "hands")
            for line in _lines("people.txt")
            for noun in line.split()
        ),
        things=things,
        made_of=made_of,
        foods=tuple(dict.fromkeys(Food(*pair.split()) for pair in foods.split("; "))),
        dishes=_entry(dishes)[1],
        flavours=_entry(flavours)[1],
        places=tuple(_place(line.split(" | ")) for line in _lines("places.txt")),
    )


def _lines(name: str) -> list[str]:
    text = resources.files("pynanochat.synthetic").joinpath("words").joinpath(name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def _entry(line: str) -> tuple[str, tuple[str, ...]]:
    head, words = line.split(": ")
    return head, tuple(words.split())


def _place(columns: list[str]) -> Place:
    noun, where, *scenes = columns
    return Place(noun, f"{where} the {noun}", f"to the {noun}", tuple(scenes))


_UNFIT = tuple(
    "ass ana nig fag kik shit puss cum tit dik fuk coc kok hit naz anus pen gin jew vag poo pis tard homo".split())
_WORDS = frozenset("puma hero than them then that this they thus coma lama diva tuna thin dome mine mane".split())


def made_up_name(choices: Choices, gender: str) -> str:
    """A name that nobody may ever have had, as a woman's or a man's would sound."""
    words = details()
    while True:
        name = choices.one(words["onsets"]) + choices.one("aeiou")
        if choices.chance(0.6):
            name += choices.one("lmnrtvzk") + (choices.one("aeiou") if choices.chance(0.3) else "")
        name = name.rstrip("aeiou") + choices.one(words[f"ends_{gender}"])
        known = name in _WORDS or name in spelled_words()
        if len(name) > 3 and not known and not any(part in name for part in _UNFIT):
            return name.capitalize()


def made_up_noun(choices: Choices) -> str:
    """A noun for a thing that does not exist, such as "blimber"."""
    words = details()
    while True:
        noun = (
            choices.one(words["noun_onsets"])
            + choices.one("aeiou")
            + choices.one(("", "m", "n", "r", "l", "mb", "nt", "x"))
        )
        noun += (choices.one("aeio") if choices.chance(0.15) else "") + choices.one(words["noun_ends"])
        if not any(part in noun for part in _UNFIT) and noun not in lexicon().made_of:
            return noun

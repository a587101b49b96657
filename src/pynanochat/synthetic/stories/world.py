"""World: who and what a story is about, and the slots that wordings fill from it, each decided when first needed."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pynanochat.synthetic.choices import Choices, held_out
from pynanochat.synthetic.stories.details import NUMBERS, RIDDLES, WEATHER, details
from pynanochat.synthetic.stories.lexicon import Food, Kind, Place, lexicon, made_up_name, made_up_noun

COLOURS = (
    "red",
    "blue",
    "green",
    "yellow",
    "orange",
    "purple",
    "white",
    "brown",
    "black",
    "grey",
    "pink",
    "golden",
    "silver",
    "crimson",
    "violet",
    "turquoise",
    "cream",
    "scarlet",
    "indigo",
    "olive",
    "amber",
    "lilac",
)
_AGES = ("old", "new", "brand-new", "second-hand")
_SIZES = ("little", "tiny", "small", "big", "large", "fine")
_LOOKS = ("shiny", "pretty", "beautiful", "plain", "smooth", "strange", "splendid", "light", "heavy", "dainty")
_MATERIALS = {
    "w": ("wooden", "oak", "bamboo", "carved"),
    "m": ("metal", "tin", "brass", "iron", "copper"),
    "c": ("woollen", "cotton", "silk", "velvet", "linen"),
    "p": ("paper", "painted"),
    "g": ("glass", "clay", "china"),
    "l": ("leather", "stitched"),
    "-": ("", ""),
}
RELATIVES = {
    "mother": "f",
    "father": "m",
    "grandmother": "f",
    "grandfather": "m",
    "aunt": "f",
    "uncle": "m",
    "sister": "f",
    "brother": "m",
}
_PRONOUNS = {"f": ("she", "her", "her", "herself"), "m": ("he", "him", "his", "himself")}
_NUMBERED = re.compile(r"([a-z_]+)(\d*)")


@dataclass(frozen=True)
class Character:
    """Somebody in a story."""

    name: str
    kind: Kind
    gender: str  # f or m
    trait: str
    said: str = "named"  # how the name is brought in
    second: str = ""  # another trait

    def slots(self, letter: str) -> dict[str, str]:
        """What wordings say of it: {a}, {a_he}, {a_kind}, ..."""
        he, him, his, himself = _PRONOUNS[self.gender]
        like = f"{self.trait} and {self.second}" if self.second else self.trait
        return {
            letter: self.name,
            f"{letter}_kind": self.kind.noun,
            f"{letter}_trait": self.trait,
            f"{letter}_trait_kind": f"a {like} {self.kind.noun}",
            f"{letter}_new": f"a {like} {self.kind.noun} {self.said} {self.name}",
            f"{letter}_he": he,
            f"{letter}_him": him,
            f"{letter}_his": his,
            f"{letter}_self": himself,
            f"{letter}_go": self.kind.go,
            f"{letter}_went": self.kind.went,
            f"{letter}_going": self.kind.going,
            f"{letter}_hands": self.kind.hands,
        }


@dataclass(frozen=True)
class Thing:
    """Something with a colour: "little red wooden box"."""

    noun: str
    colour: str
    before: str = ""  # adjectives in front of the colour
    material: str = ""
    made_up: bool = False

    @property
    def full(self) -> str:
        """All that is said of it."""
        return " ".join(part for part in (self.before, self.colour, self.material, self.noun) if part)

    def slots(self, number: str) -> dict[str, str]:
        """{thing}, {full}, {a_thing}, {colour}; of a second thing {thing2}, {full2}, {a_thing2}."""
        said = {f"thing{number}": self.noun, f"full{number}": self.full, f"a_thing{number}": f"a {self.full}"}
        return said if number else {**said, "colour": self.colour}


class World:
    """The tracked state of one story: cast, things and places, and every slot decided so far."""

    def __init__(self, choices: Choices, *, avoid: frozenset[str] = frozenset(), groups: Sequence[str] = ()) -> None:
        self._choices = choices
        self._avoid = avoid
        self._groups = groups
        self.cast: dict[str, Character] = {}
        self.things: dict[str, Thing] = {}
        self.places: dict[str, Place] = {}
        self.values: dict[str, list[str]] = {}  # what slots of each base hold, for what is to differ
        self.slots: dict[str, str] = {}
        self._animals = choices.one((True, False, None), (9, 8, 4))  # None: mixed

    @property
    def key(self) -> str:
        """What makes it this story and no other: cast, things, places."""
        cast = ", ".join(f"{who.name} the {who.kind.noun}" for _, who in sorted(self.cast.items()))
        things = ", ".join(thing.full for _, thing in sorted(self.things.items()))
        return f"story: {cast}; {things}; {', '.join(place.noun for _, place in sorted(self.places.items()))}"

    @property
    def held_out(self) -> bool:
        """Whether it is kept for measuring."""
        return held_out(self.key)

    def need(self, slots: Iterable[str], lets: dict[str, str] | None = None) -> None:
        """Decides those slots that are not yet, in their order; `lets` are a section's own, as templates."""
        for slot in slots:
            if slot not in self.slots:
                if lets and slot in lets:
                    self.slots[slot] = self._choices.text(lets[slot], self.slots)
                else:
                    self._decide(slot)

    def retold(self, choices: Choices, what: str) -> World:
        """The same world but for one thing: "a" (the one it is about), "thing" or "place"."""
        other = World.__new__(World)
        other.__dict__.update(self.__dict__)
        other._choices = choices
        for held in ("cast", "things", "places", "values", "slots"):
            setattr(other, held, dict(getattr(self, held)))
        names = [name for name in self.slots if _family(name) == what and not _split(name)[1]]
        for name in names:
            del other.slots[name]
        if what == "a":
            other._add_character("a")
        elif what == "thing":
            other._add_thing("")
        else:
            other._add_place("")
        return other

    def _decide(self, slot: str) -> None:
        family = _family(slot)
        if family in ("a", "b", "c"):
            self._add_character(family)
            return
        base, number = _split(slot)
        if family == "thing":
            self._add_thing(number)
        elif family == "place":
            self._add_place(number)
        else:
            _MAKERS.get(family, World._from_list)(self, base, number)

    def _new(self, base: str, options: Sequence[str]) -> str:
        """One of the options that no slot of this base holds yet."""
        taken = self.values.setdefault(base, [])
        while (value := self._choices.one(options)) in taken:
            pass
        self.values[base] = [*taken, value]
        return value

    def _add_character(self, letter: str) -> None:
        choose, words = self._choices, lexicon()
        animal = choose.chance() if self._animals is None else self._animals
        taken = list(self.cast.values())
        kinds = words.animals if animal else words.grown if choose.chance(0.3) else words.children
        while True:
            kind = choose.one(kinds)
            if kind.noun not in self._avoid and all(kind.noun != who.kind.noun or kind.gender for who in taken):
                break
        gender = kind.gender or choose.one("fm")
        while True:
            name = (
                made_up_name(choose, gender)
                if choose.chance(0.35 if animal else 0.15)
                else (choose.one(words.names[gender]))
            )
            if all(name != who.name for who in taken) and name not in self.values.get("petname", ()):
                break
        trait = self._new("trait", details()["traits"])
        self.cast[letter] = Character(
            name,
            kind,
            gender,
            trait,
            choose.one(("named", "named", "called", "whose name was")),
            self._new("trait", details()["traits"]) if choose.chance(0.35) else "",
        )
        self.slots.update(self.cast[letter].slots(letter))

    def _add_thing(self, number: str) -> None:
        choose, words = self._choices, lexicon()
        taken = [thing.noun for thing in self.things.values()]
        made_up = choose.chance(0.15)
        groups = self._groups or tuple(words.things)
        while True:
            if made_up:
                noun = made_up_noun(choose)
            else:
                noun = choose.one(words.things["rare" if choose.chance(0.1) else choose.one(groups)])
            if noun not in taken and noun not in self._avoid:
                break
        before = choose.one(("", "", *_SIZES))
        if choose.chance(0.4):
            before = f"{before} {choose.one(_AGES if choose.chance() else _LOOKS)}".strip()
        material = words.made_of.get(noun, "-")
        said = choose.one(_MATERIALS[material]) if choose.chance(0.35) else ""
        self.things[number] = Thing(noun, self._new("colour", COLOURS), before, said, made_up)
        self.slots.update(self.things[number].slots(number))

    def _add_place(self, number: str) -> None:
        taken = [place.noun for place in self.places.values()]
        while (place := self._choices.one(lexicon().places)).noun in taken or place.noun in self._avoid:
            pass
        self.places[number] = place
        self.slots.update(
            {
                f"place{number}": place.noun,
                f"at{number}": place.at,
                f"to{number}": place.to,
                f"scene{number}": self._choices.one(place.scenes),
            }
        )

    def _from_list(self, base: str, number: str) -> None:
        self.slots[base + number] = self._new(base, details()[base])

    def _number(self, base: str, number: str) -> None:
        self.slots[base + number] = self._new(base, NUMBERS)

    def _food(self, base: str, number: str) -> None:
        by_name = {food.one: food for food in lexicon().foods}
        food: Food = by_name[self._new("food", tuple(by_name))]
        self.slots.update({f"food{number}": food.one, f"foods{number}": food.many, f"a_food{number}": f"a {food.one}"})

    def _dish(self, base: str, number: str) -> None:
        self.slots[base + number] = self._new(base, lexicon().dishes)

    def _flavour(self, base: str, number: str) -> None:
        self.slots[base + number] = self._new(base, lexicon().flavours)

    def _noun(self, base: str, number: str) -> None:
        noun = base.removeprefix("a_").removesuffix("_pl")
        one, many = self._new(noun, details()[noun]).split("/")
        self.slots.update({f"{noun}{number}": one, f"a_{noun}{number}": f"a {one}", f"{noun}_pl{number}": many})

    def _colour(self, base: str, number: str) -> None:
        self.slots[base + number] = self._new("colour", COLOURS)

    def _relative(self, base: str, number: str) -> None:
        fam = self._choices.one(tuple(RELATIVES))
        he, him, his, _ = _PRONOUNS[RELATIVES[fam]]
        self.slots.update(fam=fam, fam_he=he, fam_him=him, fam_his=his)

    def _neighbour(self, base: str, number: str) -> None:
        title, gender = self._choices.one((("Mrs", "f"), ("Mr", "m")))
        while (name := made_up_name(self._choices, gender)) in (who.name for who in self.cast.values()):
            pass
        self.slots[base + number] = f"{title} {name}"

    def _riddle(self, base: str, number: str) -> None:
        riddle, answer = self._choices.one(RIDDLES)
        self.slots.update(riddle=riddle, answer=answer)

    def _day(self, base: str, number: str) -> None:
        weather, skies = self._choices.one(WEATHER)
        part = self._choices.one(("morning", "afternoon", "day"))
        when = self._choices.one((f"one {weather} {part}", f"one {part}", f"on a {weather} {part}"))
        self.slots.update(
            day=when,
            when=when if weather in when else f"that {part}",
            daytime=f"a {weather} {part}",
            daypart=f"the whole {part}",
            daypart2=f"that {part}",
            daytoday=f"that {part}",
            sky=self._choices.one(skies),
            night="that night",
        )


@functools.cache
def _split(slot: str) -> tuple[str, str]:
    at = _NUMBERED.fullmatch(slot)
    assert at is not None, slot
    return at[1], at[2]


_FAMILIES = {
    "thing": "thing full a_thing",
    "place": "place at to scene",
    "food": "food foods a_food",
    "noun": "tree a_tree bird a_bird bird_pl flower a_flower flower_pl",
    "fam": "fam fam_he fam_him fam_his",
    "riddle": "riddle answer",
    "day": "day when daytime daypart daytoday sky night",
    "num": "num",
    "dish": "dish",
    "flavour": "flavour",
    "colour": "colour",
}
_FAMILY_OF = {name: family for family, names in _FAMILIES.items() for name in names.split()}
_MAKERS: dict[str, Callable[[World, str, str], None]] = {
    "num": World._number,
    "food": World._food,
    "dish": World._dish,
    "flavour": World._flavour,
    "noun": World._noun,
    "colour": World._colour,
    "fam": World._relative,
    "neighbour": World._neighbour,
    "riddle": World._riddle,
    "day": World._day,
}


@functools.cache
def _family(slot: str) -> str:
    if slot == "colour":
        return "thing"
    base = _split(slot)[0]
    return _FAMILY_OF.get(base) or (base[0] if base[0] in "abc" and base[1:2] in ("", "_") else base)


__all__ = ["COLOURS", "RELATIVES", "Character", "Thing", "World"]

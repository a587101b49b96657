"""Vocabulary: the words that stories are made of, by what they can be; what is none of them is a name or made up."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from pynanochat.synthetic.stories.details import NUMBERS, RIDDLES, WEATHER, details
from pynanochat.synthetic.stories.lexicon import lexicon
from pynanochat.synthetic.stories.script import Section, scripts
from pynanochat.synthetic.stories.world import COLOURS, RELATIVES

_MONTHS_AND_DAYS = (
    "i monday tuesday wednesday thursday friday saturday sunday mrs mr january february march april may june july "
    "august september october november december christmas english great little north south god"
)
_WORD = re.compile(r"[a-z]+(?:['-][a-z]+)*")
_COMMON = (
    "ok okay hello hi yes no please thank thanks oh wow hooray ouch then once there they we you he she it his her "
    "their our my your what when where who why how every everyone everybody nobody somebody nothing something "
    "always never now soon after before but and so as at in on by to for from with of a an the this that these "
    "those one day was is are were am let's i'm i'll it's don't can't didn't wasn't couldn't that's you're we'll "
    "named called near next if because even just suddenly finally quickly slowly together story tale about write "
    "tell give make can could would will want like need hear do know invent read short new bedtime nice "
    "children's words sentences set happens takes place which has finds loses wears buys borrows learns play "
    "whose me us class son daughter turn another too very some all both each many much more most also still again "
    "only own back away home here's let look come go stop wait help maybe perhaps while until him hers himself "
    "herself girl boy people children friends things isn't remember moral lesson learned doesn't won't"
)


@dataclass(frozen=True)
class Vocabulary:
    """Sets of small-letter words; names as they are written."""

    names: frozenset[str]
    animals: frozenset[str]
    kinds: frozenset[str]  # animals and people
    things: frozenset[str]  # what somebody has, finds or loses
    colours: frozenset[str]
    nouns: frozenset[str]  # things, places, foods and the rest of what can be asked for
    plain: frozenset[str]  # every word that is no name
    capitals: frozenset[str]  # words that have a capital though they are no names


@cache
def vocabulary() -> Vocabulary:
    """The words of all lists and scripts."""
    words, said = lexicon(), scripts()
    sections: list[Section] = [*said.plots, *said.micros, *(one for parts in said.frames.values() for one in parts)]
    plain = set(_COMMON.split())
    for section in sections:
        texts = [*section.lets.values(), *section.morals, *section.titles, *section.themes]
        texts += [wording for beat in section.beats for wording in beat.wordings]
        plain.update(_words(re.sub(r"\{[a-z_0-9]+\^?\}", " ", " ".join(texts))))
    animals = {kind.noun for kind in words.animals}
    kinds = animals | {"girl", "boy"} | {kind.noun for kind in words.grown}
    places = {place.noun for place in words.places}
    foods = {form for food in words.foods for form in (food.one, food.many)} | set(words.dishes) | set(words.flavours)
    listed = _words(
        " ".join(
            (
                *(
                    value
                    for name, values in details().items()
                    if "ends" not in name and "onsets" not in name
                    for value in values
                ),
                *NUMBERS,
            )
        ).replace("/", " ")
    )
    nouns = set(words.made_of) | places | foods | listed
    plain |= _words(" ".join(foods))
    plain |= (
        nouns
        | kinds
        | set(COLOURS)
        | set(RELATIVES)
        | _words(" ".join(scene for place in words.places for scene in place.scenes))
        | _words(" ".join(" ".join((weather, *skies)) for weather, skies in WEATHER))
        | _words(" ".join(map(" ".join, RIDDLES)))
    )
    plain |= {
        form
        for kind in (*words.animals, *words.children, *words.grown)
        for form in (kind.go, kind.went, kind.going, kind.hands)
    }
    plain |= _words(
        "old new brand-new very little tiny small big large fine shiny pretty beautiful plain smooth strange splendid "
        "light heavy dainty wooden oak bamboo carved metal tin brass iron copper woollen cotton silk velvet linen "
        "paper painted glass clay china leather stitched"
    )
    return Vocabulary(
        names=frozenset(name for names in words.names.values() for name in names),
        animals=frozenset(animals),
        kinds=frozenset(kinds),
        things=frozenset(words.made_of),
        colours=frozenset(COLOURS),
        nouns=frozenset(nouns),
        plain=frozenset(plain),
        capitals=frozenset(_MONTHS_AND_DAYS.split()) | frozenset(RELATIVES),
    )


def _words(text: str) -> set[str]:
    return {part for word in _WORD.findall(text.lower()) for part in (word, *word.split("-"))}

"""Requests: how people ask for a story, from "a story, please" to one that names who, what and where."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.stories.lexicon import lexicon
from pynanochat.synthetic.stories.story import Story

_FRAMES = (
    "[Please tell|Tell] me {s}.",
    "Can you tell me {s}?",
    "Could you [write|tell me|make up] {s}?",
    "[Please write|Write] {s}.",
    "I would like {s}[, please|].",
    "I want to hear {s}.",
    "[Make up|Invent] {s}[ for me|].",
    "Give me {s}[, please|].",
    "{s^}, please[.|!]",
    "Do you know {s}?",
    "Would you [tell|write] me {s}?",
    "[Hello! |Hi! |]Tell me {s}[, please|].",
    "I'd love [to hear |]{s}.",
    "[Now|And now] {s}[, please|].",
    "Let me hear {s}.",
    "I need {s} for my [son|daughter|class].",
    "tell me {s}",
    "My turn: {s}!",
    "Will you read me {s}?",
    "It is bedtime. Tell me {s}.",
)
_STORY = "[a|a|a|a short|a little|a nice|a bedtime|a new|a children's] [story|story|story|tale]"
_VERBS = {  # what a plot does with its thing
    "plot lost": "who loses {np}",
    "micro lost": "who loses {np}",
    "micro find": "who finds {np}",
    "plot magic": "who finds {np}",
    "plot map": "who finds {np}",
    "plot borrow": "who borrows {np}",
    "plot music": "who learns to play {np}",
    "plot market": "who buys {np}",
    "plot different": "who wears {np}",
    "plot cave": "who has {np}",
    "micro swap": "who has {np}",
}
_PLACED = "[that happens|set|which takes place]"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asks and the words of it that a right story says."""

    text: str
    names: tuple[str, ...]


def request(choices: Choices, story: Story) -> Request:
    """A request that the story fulfils, naming nothing, little or much of it."""
    named: list[str] = []
    said = choices.text(_STORY) + _about(choices, story, named)
    if story.size == "micro" and choices.chance():
        said += f" in {('', '', '', 'three', 'four', 'five', 'six')[story.sentences]} sentences"
    elif len(named) < 3 and choices.chance(0.2):
        place = story.world.places[""]
        if place.at in story.text:
            named.append(place.noun)
            said += f" {choices.text(_PLACED)} {place.at}"
    return Request(text=choices.text(choices.one(_FRAMES), s=said), names=tuple(named))


def _about(choices: Choices, story: Story, named: list[str]) -> str:
    """What the story is to be about, as a phrase; the words that it names are noted."""
    world = story.world
    a, b, thing = world.cast["a"], world.cast.get("b"), world.things.get("")
    if b is not None and b.name not in story.text:
        b = None
    if thing is not None and not re.search(rf"\b{thing.colour}\b.*\b{thing.noun}\b", story.text):
        thing = None
    animal = a.kind in lexicon().animals
    forms: list[tuple[str, float, tuple[str, ...]]] = [
        ("", 3, ()),
        (" about a {kind}", 2, (a.kind.noun,)),
        (" about a {trait} {kind}", 2, (a.trait, a.kind.noun)),
        (" about a {trait} {kind} [named|called] {a}", 3, (a.trait, a.kind.noun, a.name)),
        (" about a {kind} [named|called] {a}", 2, (a.kind.noun, a.name)),
        (" about {a}", 2, (a.name,)),
        (" with the words {words}", 3, ()),
        (" that has the words {words} in it", 1, ()),
    ]
    if animal:
        forms.append((" about {a} the {kind}", 2, (a.name, a.kind.noun)))
    if story.plot.themes:
        forms.append((" about {theme}", 3 if story.size != "micro" else 1, ()))
        forms.append((" about {theme}, with a {kind} [named|called] {a}", 1, (a.kind.noun, a.name)))
    if b is not None:
        forms += [
            (" about {a} and {b}", 2, (a.name, b.name)),
            (" about a {kind} and a {kind2}", 1, (a.kind.noun, b.kind.noun)),
            (" about a {kind} named {a} and a {kind2} named {b}", 2, (a.kind.noun, a.name, b.kind.noun, b.name)),
        ]
    slots: dict[str, str] = {}
    if thing is not None:
        np = choices.one((f"a {thing.noun}", f"a {thing.colour} {thing.noun}", f"a {thing.full}"))
        nouns = tuple(np.split()[1:])
        weight = 3.0 if thing.made_up else 1.5
        forms += [
            (" about {np}", weight * 1.5, nouns),
            (" about {a} and {np}", weight, (a.name, *nouns)),
            (" with {np} in it", weight, nouns),
        ]
        slots["np"] = np
        if story.plot.kind in _VERBS:
            who = choices.one(("a {kind}", "a {kind} named {a}", "a {trait} {kind} named {a}"))
            verb = f" about {who} {_VERBS[story.plot.kind]}"
            names = ((a.trait,) if "trait" in who else ()) + (a.kind.noun,) + ((a.name,) if "{a}" in who else ())
            forms.append((verb, 3, (*names, *nouns)))
            forms.append(
                (verb + " {at}", 2, (*names, *nouns, world.places[""].noun))
                if (world.places[""].at in story.text)
                else (verb, 1, (*names, *nouns))
            )
    form, _, names = choices.one(forms, [weight for _, weight, _ in forms])
    if "{words}" in form:
        names = _words(choices, story)
    named += names
    listed = ", ".join(names[:-1]) + f" and {names[-1]}" if names else ""
    return (
        " "
        + choices.text(
            form,
            {
                **slots,
                "kind": a.kind.noun,
                "trait": a.trait,
                "a": a.name,
                "b": b.name if b else "",
                "words": listed,
                "kind2": b.kind.noun if b else "",
                "at": world.places[""].at,
                "theme": choices.one(story.plot.themes) if story.plot.themes else "",
            },
        )
        if form
        else ""
    )


def _words(choices: Choices, story: Story) -> tuple[str, ...]:
    """Two to four nouns that the story says."""
    world = story.world
    free = [
        world.slots[slot]
        for slot in world.slots
        if slot.rstrip("0123456789")
        in ("food", "foods", "dish", "warm", "baked", "cloud", "pot", "tree", "bird", "flower", "crit", "num")
    ]
    nouns = [
        *(place.noun for place in world.places.values()),
        *(thing.noun for thing in world.things.values()),
        *(who.kind.noun for who in world.cast.values()),
        *free,
    ]
    said = [noun for noun in dict.fromkeys(nouns) if re.search(rf"\b{noun}\b", story.text)]
    return tuple(choices.several(said, min(len(said), choices.whole(2, 4))))

"""Questions about a story just told, each with its answer in a sentence and the exact key phrase."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pynanochat.chat import Message
from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.commitment import Committed
from pynanochat.synthetic.sample import Question
from pynanochat.synthetic.stories.answers import Right, content, words_of
from pynanochat.synthetic.stories.details import NUMBERS
from pynanochat.synthetic.stories.lexicon import lexicon
from pynanochat.synthetic.stories.requests import request
from pynanochat.synthetic.stories.script import Ask
from pynanochat.synthetic.stories.story import Story, new_story
from pynanochat.synthetic.stories.world import COLOURS

TYPES = (
    "who",
    "what",
    "where",
    "colour",
    "whose",
    "howmany",
    "why",
    "feel",
    "gave",
    "first",
    "end",
    "yesno",
    "nothing",
    "kind",
    "about",
    "name",
)
_UNTOLD = (
    "The story does not say.",
    "The story does not say that.",
    "That is not in the story.",
    "The story does not tell us.",
)
GIVEN = (
    "Here is a story: {story}\n\n{question}",
    "Here is a story:\n\n{story}\n\n{question}",
    "{story}\n\n{question}",
    "Read this story and answer the question.\n\n{story}\n\n{question}",
    "Story: {story}\n\nQuestion: {question}",
    "I will tell you a story. {story}\n\n{question}",
    "Listen: {story}\n\nNow tell me: {question}",
)
_LEADS = ("",) * 12 + ("Tell me: ", "Question: ", "One question: ", "And another thing: ", "Please tell me: ")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question put about a story, a right answer in words, the exact key, and what else is right."""

    kind: str
    question: str
    answer: str
    key: str
    right: Right


def available(story: Story) -> list[Ask]:
    """All that can be asked about the story, its beats' own questions first."""
    return [*story.asks, *_general(story)]


def asked(choices: Choices, story: Story, ask: Ask) -> Asked:
    """The question in one of its wordings, with one of its answers."""
    slots = story.world.slots
    question = choices.one(_LEADS) + choices.text(ask.question, slots)
    keys = [choices.text(key, slots) for key in ask.keys]
    answers = [choices.text(answer, slots) for answer in ask.answers]
    if ask.kind == "nothing":
        right = Right("nothing", (), frozenset())
    elif ask.kind == "yesno":
        right = Right("yesno", (words_of(keys[0]),), frozenset({"no"} if keys[0] == "Yes" else {"yes"}))
    else:
        allowed = words_of(" ".join((question, *keys, *answers)))
        right = Right(ask.kind, tuple(content(key) for key in keys), _rivals(story, ask.kind) - allowed)
    return Asked(kind=ask.kind, question=question, answer=choices.one(answers), key=keys[0], right=right)


def _rivals(story: Story, kind: str) -> frozenset[str]:
    """The words that make an answer of this kind wrong where they are not asked for."""
    world = story.world
    if kind in ("who", "whose", "gave", "about", "name"):
        return words_of(" ".join(who.name for who in world.cast.values()))
    if kind == "colour":
        return frozenset(COLOURS)
    if kind == "howmany":
        return frozenset(NUMBERS)
    if kind == "kind":
        return words_of(" ".join(who.kind.noun for who in world.cast.values()))
    if kind == "where":
        return words_of(
            " ".join((*(place.noun for place in world.places.values()), world.slots.get("hid", "").split(" ")[-1]))
        )
    if kind == "what":
        values = [
            world.slots[slot]
            for slot in world.slots
            if slot.rstrip("0123456789") in ("thing", "food", "dish", "warm", "baked")
        ]
        return words_of(" ".join(values))
    if kind in ("first", "end"):
        events = [_event_words(story, event) for event in story.events]
        return events[-1 if kind == "first" else 0] - events[0 if kind == "first" else -1]
    return frozenset()


def _event_words(story: Story, event: str) -> frozenset[str]:
    return content(re.sub(r"\{([a-z_0-9]+)\}", lambda at: story.world.slots[at[1]], event))


def _general(story: Story) -> list[Ask]:
    world = story.world
    told = [(letter, who) for letter, who in world.cast.items() if who.name in story.text]
    asks = [
        _ask(
            "about",
            "[Who is the story about?|Who is the main character?|Who is this story about?]",
            "{a}",
            "The story is about {a}.",
            "It is about {a}.",
            "{a} is the main character.",
        )
    ]
    asks.append(_ask("what", "[What was {a} like?|How is {a} described?]", "{a_trait}", "{a} was {a_trait}."))
    for letter, who in told:
        x, kind = f"{{{letter}}}", who.kind.noun
        if who.kind in lexicon().animals:
            question, other = f"What kind of animal was {x}?", lexicon().animals
        elif who.kind in lexicon().grown:
            question, other = f"What was {x}'s [job|work]?", lexicon().grown
        else:
            question, other = f"Was {x} a girl or a boy?", lexicon().children
        asks.append(_ask("kind", question, kind, f"{x} was a {kind}.", f"A {kind}."))
        if sum(kind == one.kind.noun for _, one in told) == 1:
            asks.append(
                _ask(
                    "name",
                    f"What was the {kind}'s name?",
                    x,
                    f"The {kind}'s name was {x}.",
                    f"The {kind} was called {x}.",
                )
            )
        asks.append(_ask("yesno", f"Was {x} a {kind}?", "Yes", f"Yes, {x} was a {kind}.", f"Yes, {x} was a {kind}."))
        wrong = _unlike(world.slots[letter], [one.noun for one in other], kind)
        asks.append(_ask("yesno", f"Was {x} a {wrong}?", "No", f"No, {x} was a {kind}."))
    thing = world.things.get("")
    if thing is not None and re.search(rf"\b{thing.colour}\b", story.text) and "thing" in world.slots:
        wrong = _unlike(thing.noun, COLOURS, thing.colour)
        asks += [
            _ask("yesno", f"Was the {thing.noun} {thing.colour}?", "Yes", f"Yes, the {thing.noun} was {thing.colour}."),
            _ask("yesno", f"Was the {thing.noun} {wrong}?", "No", f"No, the {thing.noun} was {thing.colour}."),
        ]
    if len(story.events) > 1:
        first, last = story.events[0], story.events[-1]
        if _event_words(story, first) - _event_words(story, last) and _event_words(story, last) - _event_words(
            story, first
        ):
            asks += [
                _ask(
                    "first",
                    f"[What happened first: {last} or {first}?|Which came first: {last}, or {first}?|"
                    f"What happened first: {first} or {last}?]",
                    first,
                    f"First, {first}.",
                    f"{_cap(first)} first.",
                ),
                _ask(
                    "end",
                    "[What happened at the end?|How does the story end?|What happened last?]",
                    last,
                    f"At the end, {last}.",
                    f"In the end, {last}.",
                ),
            ]
    return asks + [_ask("nothing", question, "does not say", *_UNTOLD) for question in _untold(story)]


def _untold(story: Story) -> list[str]:
    """Questions that the story has no answer to."""
    cast = [who.kind.noun for who in story.world.cast.values()]
    name = story.world.cast["a"].name
    beast = _unlike(name, [kind.noun for kind in lexicon().animals if kind.noun not in story.text], *cast)
    thing = _unlike(name, [noun for noun in lexicon().things["carry"] if noun not in story.text], "")
    return [
        f"What was the {beast}'s name?",
        f"What colour was the {thing}?",
        "How old was {a}?",
        "What colour were {a}'s eyes?",
        f"Where was the {thing}?",
        f"Who gave the {beast} the {thing}?",
        "How tall was {a}?",
        f"What did the {beast} say?",
        "What was the name of {a}'s school?",
        f"How many {thing}s were there?",
        "In what year was {a} born?",
    ]


def _unlike(seed: str, options: list[str] | tuple[str, ...], *right: str) -> str:
    """One of the options that is not the right one, the same one each time."""
    left = [option for option in options if option not in right]
    return left[sum(map(ord, seed)) % len(left)]


def _cap(event: str) -> str:
    return event.replace("{", "{", 1) if event.startswith("{") else event[:1].upper() + event[1:]


def _ask(kind: str, question: str, key: str, *answers: str) -> Ask:
    return Ask(kind=kind, question=question, keys=(key,), answers=answers)


def given(choices: Choices, story: Story, question: str) -> str:
    """A user's message that brings the story along."""
    return choices.one(GIVEN).replace("{story}", story.text).replace("{question}", question)


def questions(seed: int | str | Choices, n: int = 100) -> list[Question]:
    """n questions about held-out stories, their types in turn; each has the whole story in its messages."""
    choices = seed if isinstance(seed, Choices) else Choices(f"story questions {seed}")
    made: list[Question] = []
    while len(made) < n:
        kind = TYPES[len(made) % len(TYPES)]
        story = new_story(choices, held_out=True)
        fit = [ask for ask in available(story) if ask.kind == kind]
        if not fit:
            continue
        one = asked(choices, story, choices.one(fit))
        messages: tuple[Message, ...] = ({"role": "user", "content": given(choices, story, one.question)},)
        if choices.chance(0.75):
            messages = (
                {"role": "user", "content": request(choices, story).text},
                {"role": "assistant", "content": story.text},
                {"role": "user", "content": one.question},
            )
        made.append(Question(kind=f"story {kind}", messages=messages, answer=one.key,
                             check=Committed(one.right, one.answer)))
    return made

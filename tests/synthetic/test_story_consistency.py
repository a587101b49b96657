"""The judge of stories: every story of the generator is consistent, and a story with a fault in it is caught."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.stories.consistency import judge, missing
from pynanochat.synthetic.stories.lexicon import lexicon
from pynanochat.synthetic.stories.requests import request
from pynanochat.synthetic.stories.story import Story, new_story

STORIES = 250
CAUGHT = 0.95


def later(text: str, old: str, new: str) -> str | None:
    """The text with a word changed wherever it stands in the second half; None where it does not stand there."""
    half = text.index(" ", len(text) // 2)
    changed = re.sub(rf"\b{re.escape(old)}\b", new, text[half:])
    return None if changed == text[half:] else text[:half] + changed


def name_swapped(story: Story) -> tuple[str, str] | None:
    changed = later(story.text, story.world.cast["a"].name, "Zorbin")
    return ("Tell me a story.", changed) if changed else None


def object_swapped(story: Story) -> tuple[str, str] | None:
    thing = story.world.things.get("")
    other = "drum" if thing and thing.noun != "drum" else "hat"
    changed = later(story.text, f"the {thing.noun}", f"the {other}") if thing else None
    return ("Tell me a story.", changed) if changed and not re.search(rf"\b{other}\b", story.text) else None


def colour_changed(story: Story) -> tuple[str, str] | None:
    thing = story.world.things.get("")
    if thing is None:
        return None
    other = "blue" if thing.colour != "blue" else "red"
    changed = re.sub(rf"\b{thing.colour} (?=(?:\w+ )?{thing.noun})", f"{other} ", story.text)
    return (f"Tell me a story about a {thing.colour} {thing.noun}.", changed) if changed != story.text else None


def sentence_repeated(story: Story) -> tuple[str, str] | None:
    sentences = [one for one in re.findall(r"(?<=\. )[A-Z][^.!?\"]+\.(?= )", story.text) if len(one.split()) > 4]
    return ("Tell me a story.", f"{story.text} {sentences[-1]}") if sentences else None


def kind_changed(story: Story) -> tuple[str, str] | None:
    who = story.world.cast["a"]
    if who.kind not in lexicon().animals:
        return None
    other = next(kind.noun for kind in lexicon().animals if kind.noun not in story.text)
    asked = f"Tell me a story about a {who.kind.noun} named {who.name}."
    return asked, re.sub(rf"\b{who.kind.noun}\b", other, story.text)


def request_ignored(story: Story) -> tuple[str, str] | None:
    return "Tell me a story about Quelba and a shy plonkle.", story.text


def cut_short(story: Story) -> tuple[str, str] | None:
    return "Tell me a story.", story.text.rsplit(" ", 1)[0] + " and"


FAULTS: tuple[Callable[[Story], tuple[str, str] | None], ...] = (
    name_swapped, object_swapped, colour_changed, sentence_repeated, kind_changed, request_ignored, cut_short)


def test_every_story_of_the_generator_is_consistent() -> None:
    for number in range(STORIES):
        choices = Choices(f"consistent {number}")
        story = new_story(choices)
        assert judge(request(choices, story).text, story.text).problems == (), story.text


@pytest.mark.soak
def test_thousands_of_stories_are_consistent() -> None:
    for number in range(4000):
        choices = Choices(f"soak {number}")
        story = new_story(choices)
        assert judge(request(choices, story).text, story.text).problems == (), story.text


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_caught(fault: Callable[[Story], tuple[str, str] | None]) -> None:
    tried = caught = 0
    for number in range(STORIES):
        made = fault(new_story(Choices(f"fault {number}")))
        if made is not None:
            tried += 1
            caught += not judge(*made).consistent
    assert tried >= 50
    assert caught / tried >= CAUGHT, (caught, tried)


LOOP = "Mia, a girl, saw a cat. " + "She saw the cat and the cat saw her and " * 4 + "she went home."


@pytest.mark.parametrize("story", [
    "Once there was a badger named Ula. Ula ate and ate and",
    "Once there was a badger named Ula. Ula the fox went home.",
    "A girl named Mia had a red kite. She flew it. The blue kite was gone.",
    "A girl named Mia had a red kite. Mia went to bed. He slept.",
    "A boy named Tom lost his hat. The next day he found the drum.",
    "A boy named Tom ran and ran. The fox laughed at the boy.",
    "A girl named Mia was in the park. She had a hat. She put it on. Mia smiled. It was warm. She sang on the beach.",
    LOOP,
], ids=["cut", "kind", "colour", "pronoun", "object", "animal", "place", "loop"])
def test_a_story_by_somebody_else_is_judged_too(story: str) -> None:
    assert not judge("Tell me a story.", story).consistent


@pytest.mark.parametrize("story", [
    "Once there was a badger named Ula. She had a green lantern. One day the lantern was gone. Ula cried. Then a fox "
    "called Moko came by. \"I found your lantern,\" said the fox. Ula hugged Moko.",
    "Lily was a little girl. Lily liked to play in the park. She saw a big dog. The dog was nice. They played all day.",
], ids=["badger", "dog"])
def test_plain_stories_pass(story: str) -> None:
    assert judge("Tell me a story.", story).problems == ()


def test_words_that_a_story_is_only_to_contain_are_asked_for_apart() -> None:
    story = "Lily was a little girl. Lily liked to play in the park. She saw a big dog. The dog was nice."
    request = "Tell me a story with the words iris, dog and nightingale."
    assert judge(request, story).problems == ()
    assert missing(request, story) == (
        "the iris that was asked for does not appear", "the nightingale that was asked for does not appear")
    assert missing("Tell me a story with the words dog and park.", story) == ()
    assert judge("Tell me a story about an iris.", story).problems == missing("Tell me a story about an iris.", story)

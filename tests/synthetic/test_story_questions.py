"""Questions about stories: each answer of the generator is right, others are not, all kinds come in fair shares."""

from __future__ import annotations

from collections import Counter

import pytest

from pynanochat.synthetic import stories
from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.stories.answers import Right, content
from pynanochat.synthetic.stories.questions import TYPES, asked, available
from pynanochat.synthetic.stories.story import new_story

STORIES = 150


def test_each_story_can_be_asked_eight_questions_whose_answers_are_right() -> None:
    for number in range(STORIES):
        choices = Choices(f"asked {number}")
        story = new_story(choices)
        asks = available(story)
        assert len(asks) >= 8
        for ask in asks:
            one = asked(choices, story, ask)
            assert one.right(one.answer), one
            assert not one.right("Zorbin sang a song."), one
            assert not one.right(""), one
            assert one.kind == "nothing" or one.right(one.key), one


def test_an_answer_that_names_somebody_else_is_wrong() -> None:
    tried = 0
    for number in range(STORIES):
        choices = Choices(f"wrong {number}")
        story = new_story(choices)
        names = [who.name for who in story.world.cast.values()]
        for ask in available(story):
            one = asked(choices, story, ask)
            if ask.kind in ("who", "about", "name") and one.key in names:
                for name in names:
                    if name != one.key:
                        tried += 1
                        assert not one.right(f"It was {name}."), one
    assert tried > STORIES


def test_answers_are_told_in_the_story() -> None:
    for number in range(STORIES):
        choices = Choices(f"told {number}")
        story = new_story(choices)
        for ask in available(story):
            one = asked(choices, story, ask)
            if ask.kind in ("who", "where", "colour", "howmany", "feel", "kind", "about", "name"):
                assert content(one.key) <= content(story.text), (one, story.text)


def test_questions_are_in_fair_shares_about_kept_stories() -> None:
    questions = stories.questions("shares", 64)
    kinds = Counter(question.kind for question in questions)
    assert kinds == {f"story {kind}": 4 for kind in TYPES}
    for question in questions:
        assert question.messages[-1]["role"] == "user"
        assert len(question.messages) in (1, 3)
        assert len("".join(str(message["content"]) for message in question.messages)) > 150
        assert question.answer
    assert any(len(question.messages) == 1 for question in questions)


def test_the_same_seed_asks_the_same() -> None:
    first, second = stories.questions(5, 8), stories.questions(5, 8)
    assert [question.messages for question in first] == [question.messages for question in second]
    assert [question.messages for question in first] != [question.messages for question in stories.questions(6, 8)]


@pytest.mark.parametrize(("key", "said", "right"), [
    ("under a bench", "The kite was under the bench.", True),
    ("under a bench", "Under a bench!", True),
    ("under a bench", "It was behind the door.", False),
    ("three", "There were 3 snails.", True),
    ("three", "There were four snails.", False),
    ("Ula", "Ula found it.", True),
    ("Ula", "Moko found it.", False),
    ("Ula", "Ula and Moko found it.", False),
    ("green", "The lantern was green.", True),
    ("green", "It was green and red.", False),
])
def test_any_right_wording_counts(key: str, said: str, right: bool) -> None:
    rivals = frozenset({"moko", "door", "four", "red"})
    assert Right("who", (content(key),), rivals)(said) is right


@pytest.mark.parametrize(("said", "right"), [
    ("The story does not say.", True), ("The story doesn't tell us.", True), ("I do not know.", True),
    ("It's not mentioned.", True),
    ("That is not in the story.", True), ("It was red.", False), ("She was not red.", False),
])
def test_what_is_not_told_is_admitted(said: str, right: bool) -> None:
    assert Right("nothing", (), frozenset())(said) is right

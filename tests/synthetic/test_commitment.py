"""A right answer says one thing: what hedges, denies, lists or repeats the question is wrong."""

from __future__ import annotations

import pytest

from pynanochat.synthetic import arithmetic, facts, spelling, suites, word_problems
from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.commitment import text_of
from pynanochat.synthetic.exchange import draw, question
from pynanochat.synthetic.stories import requests
from pynanochat.synthetic.stories.story import new_story


@pytest.mark.parametrize("module", [arithmetic, word_problems, spelling, facts], ids=lambda module: module.KIND)
def test_the_generators_own_answers_are_right(module: object) -> None:
    for i in range(100):
        found = draw(module.exchanges, Choices(f"own {i}"))  # type: ignore[attr-defined]
        assert question(found).right(text_of(found[-1].said)), found[-1]


@pytest.mark.parametrize("name", ["facts", "story_questions", "spelling", "arithmetic"])
def test_what_commits_to_nothing_is_wrong(name: str) -> None:
    for one in suites.suite(name, n=25, seed=3):
        assert not one.right(f"It is not {one.answer}. Perhaps it is {one.answer} or no {one.answer}. Never mind."), one
        assert not one.right(" ".join([one.answer, *(str(number) for number in range(80))])), one


def test_a_request_is_no_story() -> None:
    for one in suites.suite("story_consistency", n=25, seed=3):
        request = str(one.messages[-1]["content"])
        assert not one.right(request)
        assert not one.right(f"I will tell it: {request} That is what you asked for. And so that is what I tell you.")


def test_the_generators_own_stories_are_stories() -> None:
    for i in range(60):
        choices = Choices(f"own {i}")
        story = new_story(choices)
        for judged in (suites._consistent, suites._compliant):
            assert judged(requests.request(choices, story).text, story.text), story.text

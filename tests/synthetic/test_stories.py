"""Stories: told as asked, each another one, the same from the same seed, and none of those kept for measuring."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter

import pytest

from pynanochat.synthetic import stories
from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.stories.lexicon import lexicon, made_up_name, made_up_noun
from pynanochat.synthetic.stories.requests import request
from pynanochat.synthetic.stories.script import scripts
from pynanochat.synthetic.stories.story import Story, new_story

MANY = 400


def told(number: int, size: str = "") -> Story:
    return new_story(Choices(f"told {number}"), size=size)


def test_the_lists_are_wide() -> None:
    words = lexicon()
    assert len(words.names["f"]) > 200
    assert len(words.names["m"]) > 200
    assert len(words.animals) >= 60
    assert len(words.places) >= 60
    assert len(words.made_of) >= 300
    assert len(scripts().plots) >= 40
    assert all(len(beat.wordings) > 1 or not beat.wordings for plot in scripts().plots for beat in plot.beats)


def test_no_two_stories_are_the_same_and_none_has_a_hole() -> None:
    seen = set()
    for number in range(MANY):
        text = told(number).text
        assert text not in seen
        seen.add(text)
        assert not re.search(r"[{}\[\]|<>]|  | [.,!?]|(?<!\.)\.\.(?!\.)", text), text
        assert not re.search(r"\b[Aa] [aeio]\w|\b[Aa]n (?!hour)[^aeiou\W]", text), text
        assert not re.search(r"\b(?!had|that)(\w+) \1\b", text), text
        assert re.search(r"[.!?]\"?$", text), text
        assert not re.search(r"(?<=[.!?] )[a-z]|^[a-z]|\n[a-z]", re.sub(r"\"[^\"]*\"", "", text)), text


def test_most_stories_have_the_length_that_a_small_context_holds() -> None:
    lengths = sorted(len(told(number).text.split()) for number in range(MANY))
    assert lengths[0] >= 20
    assert lengths[-1] <= 300
    assert sum(80 <= length <= 220 for length in lengths) > 0.7 * MANY


@pytest.mark.parametrize("sentences", [3, 4, 5])
def test_a_micro_story_has_the_sentences_asked_for(sentences: int) -> None:
    for number in range(60):
        text = new_story(Choices(f"micro {number}"), size="micro", sentences=sentences).text
        assert len(re.findall(r"[.!?]\"?(?= \"?[A-Z]|$)", text)) == sentences, text


def test_what_a_request_names_is_in_the_story() -> None:
    named = 0
    for number in range(MANY):
        choices = Choices(f"asked {number}")
        story = new_story(choices)
        wanted = request(choices, story)
        named += len(wanted.names)
        for name in wanted.names:
            assert re.search(rf"\b{re.escape(name)}\b", story.text, re.IGNORECASE), (wanted.text, story.text)
            assert name in wanted.text.lower() or name in wanted.text
    assert named > MANY


def test_training_and_measuring_share_no_story() -> None:
    assert not any(told(number).world.held_out for number in range(100))
    for number in range(5):
        assert new_story(Choices(f"kept {number}"), held_out=True).world.held_out


def test_one_thing_changes_and_the_words_stay() -> None:
    for number in range(60):
        story = told(number, "short")
        other = story.retold(Choices(f"again {number}"), "a")
        assert other.world.cast["a"].name != story.world.cast["a"].name
        assert not re.search(rf"\b{story.world.cast['a'].name}\b", other.text), other.text
        assert len(other.paragraphs) == len(story.paragraphs)
        assert story.text == told(number, "short").text
        if "" in story.world.things:
            changed = story.retold(Choices(f"again {number}"), "thing")
            assert not re.search(rf"\b{story.world.things[''].noun}\b", changed.text), changed.text


def test_conversations_alternate_and_say_something() -> None:
    turns: Counter[int] = Counter()
    for number in range(MANY):
        sample = stories.conversation(Choices(f"talk {number}"))
        assert sample.kind == "story"
        assert sample.messages is not None
        assert sample.bits > 20
        turns[len(sample.messages)] += 1
        assert [message["role"] for message in sample.messages] == ["user", "assistant"] * (len(sample.messages) // 2)
        for message in sample.messages:
            assert message["content"]
            assert "{" not in str(message["content"])
        assert sum(len(str(message["content"])) for message in sample.messages) < 3200
    assert set(turns) == {2, 4, 6, 8, 10}


def test_documents_are_plain_text() -> None:
    samples = [stories.document(Choices(f"page {number}")) for number in range(50)]
    assert all(sample.text and sample.messages is None and sample.bits > 20 for sample in samples)


def test_prompts_name_what_the_story_must_say() -> None:
    prompts = stories.prompts(Choices("prompts"), 40)
    assert len(prompts) == 40
    assert sum(bool(prompt.names) for prompt in prompts) > 20
    assert all(re.search(re.escape(name), prompt.request, re.IGNORECASE) for prompt in prompts for name in prompt.names)


def test_made_up_words_can_be_said() -> None:
    choices = Choices("made up")
    for _ in range(300):
        assert re.fullmatch(r"[A-Z][a-z]{2,10}", made_up_name(choices, choices.one("fm")))
        assert re.fullmatch(r"[a-z]{4,12}", made_up_noun(choices))


@pytest.mark.parametrize("seed", ["0", "7"])
def test_the_same_seed_tells_the_same_story_in_every_process(seed: str) -> None:
    code = ("from pynanochat.synthetic import stories; from pynanochat.synthetic.choices import Choices; import sys;"
            "sys.stdout.buffer.write(repr(stories.conversation(Choices('same'))).encode())")
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, check=True,
                          capture_output=True, timeout=120)
    assert done.stdout.decode() == repr(stories.conversation(Choices("same")))


@pytest.mark.soak
def test_twenty_thousand_stories_are_all_different() -> None:
    assert len({told(number).text for number in range(20_000)}) == 20_000

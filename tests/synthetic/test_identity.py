"""Identity and small talk: kind, short, in ASCII, with phrases that can be checked."""

from __future__ import annotations

import re

from pynanochat.synthetic import identity, small_talk
from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.exchange import question
from pynanochat.synthetic.questionnaire import listed


def test_thirty_topics_each_in_several_words() -> None:
    topics = identity.topics()
    assert len(topics) >= 30
    assert all(len(topic.questions) >= 2 and topic.key for topic in topics)


def test_every_answer_says_its_phrase() -> None:
    for topic in identity.topics():
        for i in range(20):
            exchange = topic.exchange(Choices(f"{topic.key} {i}"), identity.KIND, keyed=False)
            assert question([exchange]).right(str(exchange.said)), exchange
            assert exchange.key is None


def test_no_question_belongs_to_two_topics() -> None:
    seen: dict[str, str] = {}
    for topic in identity.topics():
        for wording in topic.questions:
            assert seen.setdefault(wording, topic.key) == topic.key, wording


def test_it_is_nano_of_pynanochat_and_tells_no_size_that_may_change() -> None:
    answers = " ".join(answer for topic in identity.topics() for answer in topic.answers)
    for phrase in ("My name is Nano", "pynanochat project", "nanochat chat", "nanochat serve", "nanochat generate"):
        assert phrase in answers
    assert not re.search(r"\d", answers)


def test_small_talk_comes_whole() -> None:
    for i in range(800):
        (exchange,) = small_talk.exchanges(Choices(f"talk {i}"))
        text = f"{exchange.asked} {exchange.said}"
        assert text.isascii()
        assert not re.search(r"[{}\[\]|]|  ", text), text


def test_greetings_and_partings() -> None:
    for i in range(50):
        assert re.match(r"Hello|Hi|Good|I am fine", str(small_talk.greeting(Choices(f"g{i}")).said))
        assert re.match(r"Goodbye|Good night|You are welcome", str(small_talk.parting(Choices(f"p{i}")).said))


def test_danger_is_refused_and_grief_is_met_with_care() -> None:
    refusals = [topic for topic in listed("small_talk") if topic.key == "I will not help with that"]
    assert len(refusals) == 1
    assert any(topic.key == "talk to someone whom you trust" for topic in listed("small_talk"))

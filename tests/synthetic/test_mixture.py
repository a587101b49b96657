"""The mixture: sample i is sample i, kinds come by weight, conversations are conversations, nothing is held out."""

from __future__ import annotations

from collections import Counter

import pytest

from pynanochat.chat import ConversationBuilder
from pynanochat.synthetic import mixture, suites
from pynanochat.synthetic.choices import Choices, held_out
from pynanochat.synthetic.exchange import draw

SAMPLES = 400


@pytest.fixture(scope="module")
def samples() -> list[mixture.Sample]:
    return list(mixture.documents(3, SAMPLES))


def test_a_sample_depends_on_seed_and_place_alone(samples: list[mixture.Sample]) -> None:
    assert list(mixture.documents(3, 5, first=20)) == samples[20:25]
    assert next(mixture.documents(4, 1)) != samples[0]


def test_kinds_come_by_their_weights(samples: list[mixture.Sample]) -> None:
    counts = Counter(sample.kind for sample in samples)
    assert set(counts) <= set(mixture.WEIGHTS)
    assert sum(mixture.WEIGHTS.values()) == sum(mixture.PRACTICE.values()) == 100
    assert set(mixture.PRACTICE) < set(mixture.WEIGHTS)
    assert 0.3 < counts["story"] / SAMPLES < 0.5
    assert counts["facts"] > 20


def test_every_conversation_is_one(samples: list[mixture.Sample]) -> None:
    systems = 0
    for sample in samples:
        if sample.messages is None:
            assert sample.text
            continue
        builder = ConversationBuilder()
        for message in sample.messages:
            if message["role"] == "system":
                systems += 1
                builder.system(str(message["content"]))
            elif message["role"] == "user":
                assert isinstance(message["content"], str)
                builder.user(message["content"])
            else:
                builder.assistant(message["content"])
        assert builder.build()[-1]["role"] == "assistant"
    assert systems


def test_most_samples_fit_into_a_context_of_512(samples: list[mixture.Sample]) -> None:
    lengths = [len(mixture.text_of(sample)) for sample in samples]
    assert sum(length <= 1900 for length in lengths) > 0.97 * SAMPLES
    assert min(lengths) > 10


def test_every_sample_knows_its_bits(samples: list[mixture.Sample]) -> None:
    assert all(0 < sample.bits < 20 * len(mixture.text_of(sample)) + 100 for sample in samples)
    assert 0.1 < sum(s.bits for s in samples) / sum(len(mixture.text_of(s).encode()) for s in samples) < 0.5


def test_samples_differ(samples: list[mixture.Sample]) -> None:
    assert len({mixture.text_of(sample) for sample in samples}) > 0.98 * SAMPLES


@pytest.mark.parametrize("kind", ["arithmetic", "word_problems", "spelling", "facts", "language", "unknown"])
def test_training_never_sees_what_is_held_out(kind: str) -> None:
    for i in range(300):
        for exchange in draw(mixture._MAKERS[kind], Choices(f"{kind} {i}")):
            assert exchange.key is None or not held_out(exchange.key)


def test_no_question_of_a_suite_stands_in_the_mixture(samples: list[mixture.Sample]) -> None:
    asked = {message["content"] for sample in samples for message in sample.messages or ()
             if message["role"] == "user" and isinstance(message["content"], str)}
    for name in ("word_problems", "facts"):
        for question in suites.suite(name, n=60):
            assert question.messages[-1]["content"] not in asked

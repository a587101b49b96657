"""The bundled model: small enough for the wheel, credited, and as good as its card says."""

from __future__ import annotations

import re

import pytest

import pynanochat as nc
from pynanochat import checkpoint
from pynanochat.eval import suites
from pynanochat.synthetic.ready_texts import SOURCES

FOLDER = checkpoint.resolve(None)
CARD = (FOLDER / "README.md").read_text(encoding="utf-8")
LEAST = {  # of 40 questions each that the card's 200 do not hold; the card says what it reaches of all
    "arithmetic": 0.9, "word_problems": 0.9, "spelling": 0.85, "facts": 0.85, "story_questions": 0.8, "identity": 1.0,
    "story_consistency": 0.9, "story_requests": 0.75}


@pytest.fixture(scope="module")
def llm() -> nc.LLM:
    return nc.load()


def test_it_fits_into_the_wheel() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 16e6
    opened = checkpoint.open(FOLDER)
    assert (opened.generation, checkpoint.quantization(opened.tensors)) == ("G4", "q8")


def test_what_it_was_trained_on_is_credited() -> None:
    for source in SOURCES:
        assert source.origin.split()[0].rstrip(",") in CARD, source.name
        assert source.licence.split()[0] in CARD
    named = (FOLDER / "CREDITS.md").read_text(encoding="utf-8")
    assert len(re.findall(r"^- .+: .+", named, re.MULTILINE)) > 300


@pytest.mark.parametrize("name", suites.BUNDLED)
def test_it_answers(llm: nc.LLM, name: str) -> None:
    questions = suites.questions(name, 40, seed=suites.SEED + 1)
    assert suites.run(llm, name, questions).value >= LEAST[name]


@pytest.mark.soak
@pytest.mark.parametrize("name", suites.BUNDLED)
def test_the_card_says_what_is_measured(llm: nc.LLM, name: str) -> None:
    (told,) = re.findall(rf"^\| `{name}` \| ([\d.]+) %", CARD, re.MULTILINE)
    assert f"{100 * suites.run(llm, name, suites.questions(name)).value:.1f}" == told

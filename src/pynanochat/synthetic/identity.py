"""Who the model is: every question that people ask it about itself, and how to use the project that made it."""

from __future__ import annotations

from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.exchange import Exchange
from pynanochat.synthetic.questionnaire import Known, listed

KIND = "identity"


def topics() -> tuple[Known, ...]:
    """What it knows about itself."""
    return listed("identity")


def exchanges(choices: Choices) -> list[Exchange]:
    """One or two questions on the model; none is held out, for it must know itself in every wording."""
    return [choices.one(topics()).exchange(choices, KIND, keyed=False) for _ in range(choices.one((1, 1, 2)))]

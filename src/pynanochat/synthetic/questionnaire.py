"""A list of questions with known answers: what is asked of the facts, of the model itself, in small talk."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pynanochat.synthetic.asking import ask
from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.exchange import Exchange
from pynanochat.synthetic.word_lists import word_file


@dataclass(frozen=True)
class Known:
    """One thing that is known: wordings of its question and of its answer, and the phrase that a right one says."""

    questions: tuple[str, ...]
    answers: tuple[str, ...]
    key: str
    slots: Mapping[str, str] = field(default_factory=dict)

    def exchange(
        self, choices: Choices, kind: str, *, asker: Callable[[Choices, str], str] = ask, keyed: bool = True
    ) -> Exchange:
        """Asked in one of its wordings; where `keyed`, held out by what the user says."""
        stem = choices.text(choices.one(self.questions), self.slots)
        asked = stem if stem.endswith((".", "!", "?")) else asker(choices, stem)
        said = choices.text(choices.one(self.answers), self.slots)
        return Exchange(kind=kind, asked=asked, said=said, answer=self.phrase, key=asked if keyed else None)

    @property
    def phrase(self) -> str:
        """What a right answer says."""
        return self.key.format_map(self.slots) if self.slots else self.key


@functools.cache
def listed(name: str) -> tuple[Known, ...]:
    """The list in words/NAME.json: questions, answers and key of each."""
    return tuple(known(entry) for entry in word_file(name))


def known(entry: Mapping[str, Any], slots: Mapping[str, str] | None = None) -> Known:
    """A file's entry as what is known."""
    answers = entry["answers"] if "answers" in entry else [entry["answer"]]
    return Known(tuple(entry["questions"]), tuple(answers), entry["key"], slots or {})

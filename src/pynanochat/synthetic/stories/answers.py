"""Answers: whether an answer about a story says the key, in whatever words, and nothing that would make it wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pynanochat.synthetic.stories.details import NUMBERS

_WORDS = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
_EMPTY = frozenset(
    ("a", "an", "the", "in", "on", "by", "at", "of", "to", "under", "behind", "near", "with", "from", "into", "and",
     "or", "it", "is", "was", "were", "be", "there", "they", "he", "she", "his", "her", "him", "its", "their", "them",
     "so", "because", "for", "that", "had", "has", "have", "up", "out", "very"))
_DIGITS = {str(number): word for number, word in enumerate(("one", *NUMBERS), 1)}
_UNTOLD = re.compile(
    r"(?:\bnot|n't|\bnever)\b.{0,40}\b(?:say|tell|told|said|mention|mentioned|know)\b|\bnot in (?:the|this) story"
)


def words_of(text: str) -> frozenset[str]:
    """Its words, small, numbers written out, plurals and possessives cut short."""
    found = (word.lower() for word in _WORDS.findall(text.replace("'s", "")))
    return frozenset(_stem(_DIGITS.get(word, word)) for word in found)


def content(text: str) -> frozenset[str]:
    """Its words that say something; all of them where none does."""
    said = words_of(text)
    return said - _EMPTY or said


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


@dataclass(frozen=True)
class Right:
    """Says whether an answer is right: one key's words are all there, and none of the rivals' words."""

    kind: str
    keys: tuple[frozenset[str], ...]
    rivals: frozenset[str]

    def __call__(self, said: str) -> bool:
        """Whether this answer, as a whole, is right."""
        if self.kind == "nothing":
            return _UNTOLD.search(said.lower().replace("’", "'")) is not None
        said_words = words_of(said)
        if self.kind == "yesno":
            return (
                re.match(r"\W*(yes|no)\b", said.lower()) is not None
                and self.keys[0] <= words_of(said.split(",")[0].split(".")[0])
                and not said_words & self.rivals
            )
        return any(key <= said_words for key in self.keys) and not said_words & self.rivals

"""What people typed to each other, made fit to learn from: stretches of clean turns, the first speaker the user."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_ODD = re.compile(r"https?:|www\.|@|#|[^\x20-\x7e\n]|(.)\1{3,}|\b(?:aa+|bb+|xx+)\b|\d{5,}|[*_~^|<>{}\[\]\\]")
_RUDE = re.compile(
    r"\b(?:fuck\w*|shit\w*|bitch\w*|ass|asshole|damn\w*|dick\w*|crap\w*|hell|sex\w*|porn\w*|suicid\w*|kill\w*|drugs?|"
    r"gay|nazi\w*|rape\w*|piss\w*|slut\w*|whore\w*|boobs?|bastard\w*|trump|wtf|omg|stfu)\b", re.IGNORECASE)
_SMALL_I = re.compile(r"\bi\b(?!\.e)")
_APOSTROPHES = tuple((re.compile(rf"\b{wrong}\b", re.IGNORECASE), right) for wrong, right in (
    ("im", "I'm"), ("ive", "I've"), ("dont", "don't"), ("didnt", "didn't"), ("cant", "can't"), ("thats", "that's"),
    ("doesnt", "doesn't"), ("isnt", "isn't"), ("youre", "you're"), ("havent", "haven't"), ("wasnt", "wasn't"),
    ("whats", "what's"), ("couldnt", "couldn't"), ("wouldnt", "wouldn't"), ("arent", "aren't"), ("u", "you"),
    ("ur", "your"), ("pls", "please"), ("idk", "I don't know")))
_FEWEST = 4  # turns of a stretch that is kept
_LONGEST_TURN = 400
_END = tuple(".!?,:;)\"'")


def clean_turns(turns: Sequence[tuple[int, str]], longest: int) -> Iterator[list[str]]:
    """Stretches of alternating clean turns, an even number, up to `longest` characters together."""
    stretch: list[str] = []
    size, last = 0, -1
    for who, said in turns:
        text = _cleaned(said)
        good = text is not None and who != last
        if not good or size + len(text or "") > longest:
            yield from _whole(stretch)
            stretch, size, last = [], 0, -1
        if text is not None and (stretch or who == 0):  # a stretch begins with the first speaker
            stretch.append(text)
            size, last = size + len(text), who
    yield from _whole(stretch)


def _whole(stretch: list[str]) -> Iterator[list[str]]:
    even = stretch[: len(stretch) // 2 * 2]
    if len(even) >= _FEWEST:
        yield even


def _cleaned(said: str) -> str | None:
    if _ODD.search(said) or _RUDE.search(said) or len(said) > _LONGEST_TURN:
        return None
    sentences = []
    for line in said.split("\n"):
        text = " ".join(line.split())
        if not text:
            continue
        text = _SMALL_I.sub("I", text)
        for wrong, right in _APOSTROPHES:
            text = wrong.sub(right, text)
        text = text[0].upper() + text[1:]
        sentences.append(text if text.endswith(_END) else f"{text}.")
    return " ".join(sentences) or None

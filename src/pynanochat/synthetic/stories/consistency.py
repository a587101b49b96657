"""Consistency: whether a story, whoever told it, keeps its names, kinds, pronouns, objects, colours and places.

It reads plain text: what it cannot tell for sure it lets pass, so each problem that it names is one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from pynanochat.synthetic.stories.lexicon import lexicon
from pynanochat.synthetic.stories.vocabulary import Vocabulary, vocabulary

_SENTENCE = re.compile(r"[^.!?]+[.!?]+[\"”]?")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_QUOTED = re.compile(r"[\"“][^\"”]*[\"”]?")
_RUN = 8
_MOVES = re.compile(
    r"\b(to the|went|came|set off|journey|travel\w*|train|reached|arrived|walk\w*|follow\w*|return\w*|lead|led|"
    r"visit\w*|mov\w+|map|cross|lost|party|race|flew|found|strange|live[sd]?|fog|met|out)\b"
)
_ASKED_THING = re.compile(
    r"\b(?:about|finds|loses|with|borrows|buys|wears|has) an? (?:[\w-]+ ){0,4}?([a-z]+)"
    r"(?=[.,!?]| that| set| which| in it|$)"
)
_HE, _SHE = frozenset({"he", "him", "his", "himself"}), frozenset({"she", "her", "hers", "herself"})


@dataclass(frozen=True)
class Verdict:
    """Whether a story is consistent, and each thing that is wrong with it in a line."""

    consistent: bool
    problems: tuple[str, ...]


@dataclass(frozen=True)
class _Text:
    """A story taken apart once."""

    story: str
    request: str
    sentences: tuple[str, ...]
    words: tuple[str, ...]  # small letters
    names: tuple[str, ...]  # who appears
    asked: tuple[str, ...]  # names in the request


def judge(request: str, story: str) -> Verdict:
    """What is wrong with a story that was told upon this request; nothing, where names and things stay the same.

    Whom and what it is to be about belongs to that; words that it is only to contain are `missing`'s concern.
    """
    words = vocabulary()
    text = _taken_apart(request, story, words)
    problems = [
        *_form(text),
        *_requested(text, words, listed=False),
        *_introductions(text, words),
        *_kinds(text, words),
        *_pronouns(text),
        *_objects(text, words),
        *_places(text),
    ]
    return Verdict(not problems, tuple(problems))


def missing(request: str, story: str) -> tuple[str, ...]:
    """What was asked for and does not appear: names, things, and words that the story was to contain."""
    words = vocabulary()
    return tuple(_requested(_taken_apart(request, story, words), words, listed=True))


def _taken_apart(request: str, story: str, words: Vocabulary) -> _Text:
    return _Text(
        story,
        request,
        tuple(sentence.strip() for sentence in _SENTENCE.findall(story)),
        tuple(word.lower().removesuffix("'s") for word in _WORD.findall(story)),
        tuple(_names(story, words)),
        tuple(_names(f". {request}", words)),
    )


def _form(text: _Text) -> Iterable[str]:
    """Loops, and an end that is none."""
    if not re.search(r"[.!?][\"”]?$", text.story.strip()):
        yield "it does not end with a full stop"
    said = Counter(" ".join(_WORD.findall(sentence.lower())) for sentence in text.sentences)
    for sentence, times in said.items():
        if times > 1 and len(sentence.split()) > 3:
            yield f"it says twice: {sentence}"
    runs = Counter(text.words[start : start + _RUN] for start in range(len(text.words) - _RUN + 1))
    if runs and max(runs.values()) > 2:
        yield f"it says three times: {' '.join(runs.most_common(1)[0][0])}"


def _names(text: str, words: Vocabulary) -> list[str]:
    """Words with a capital that cannot come from the start of a sentence, and known names wherever they stand."""
    found: dict[str, None] = {}
    for at in re.finditer(r"\b[A-Z][^\W\d_]+(?:['’][a-z]+)?", text):
        before = text[: at.start()].rstrip(' \n"“')
        starts = (
            not before or before[-1] in ".!?:" or "\n" in text[len(before) : at.start()] or text[at.start() - 1] in '"“'
        )
        word = re.sub(r"['’]s$", "", at[0])
        if word.lower() in words.capitals or "'" in word:
            continue
        if word in words.names or not starts or word.lower() not in words.plain:
            found.setdefault(word)
    return list(found)


def _requested(text: _Text, words: Vocabulary, *, listed: bool) -> Iterable[str]:
    """What the request names and the story does not say; words of a list in it only if they are `listed`."""
    said = set(text.words)
    for name in text.asked:
        if name.lower() not in said:
            yield f"{name} was asked for and does not appear"
    asked = [word.lower() for word in _WORD.findall(text.request)]
    found = re.search(r" the words (.*?)(?: in (?:it|\w+ sentences)\b|[.!?]|,? please|$)", text.request)
    in_list = {word.lower() for word in _WORD.findall(found[1])} if found else set()
    wanted = {word for word in asked if word in words.kinds or word in words.things}
    wanted |= in_list & words.nouns
    wanted |= {noun for colour, noun in pairwise(asked) if colour in words.colours and noun in words.nouns}
    left_out = set() if listed else in_list
    for noun in sorted(wanted - left_out):
        if noun not in said and f"{noun}s" not in said:
            yield f"the {noun} that was asked for does not appear"
    for at in _ASKED_THING.finditer(text.request):
        if at[1] not in words.plain and at[1] not in words.nouns and at[1] not in said and at[1] not in left_out:
            yield f"the {at[1]} that was asked for does not appear"


def _introductions(text: _Text, words: Vocabulary) -> Iterable[str]:
    """Names that come from nowhere."""
    for name in text.names:
        if name in text.asked:
            continue
        n = re.escape(name)
        kinds = "|".join(sorted(words.kinds & set(text.words)))
        shown = re.search(
            rf"(?:(?<=[a-z] )(?:named|called)|\b(?:name (?:is|was)|friend|neighbour)) (?:the )?\"?{n}\b|"
            rf"\b{n}(?:, | was | is )(?:the|an?) |\b{n} the (?:{kinds})\b|"
            rf"\b{n} (?:was|is) (?:\w+'s|very) |(?:Mrs|Mr|Aunt|Uncle|the|The) (?:\w+ )?{n}\b",
            text.story,
        )
        if not shown:
            yield f"{name} appears and is never introduced"


def _kinds(text: _Text, words: Vocabulary) -> Iterable[str]:
    """Somebody who is first one kind and then another, or a kind of animal that nobody is."""
    for name in {*text.names, *text.asked}:
        n = re.escape(name)
        told: dict[str, None] = {}
        for source in (text.story, text.request):
            for at in re.finditer(
                rf"\b{n},? (?:was |is )?(?:the|an?) (?:[\w-]+ ){{0,3}}?([a-z]+)\b(?! and)|"
                rf"\b(?:an?|the) (?:[\w-]+ ){{0,3}}?([a-z]+) (?:named|called|whose name was) {n}\b",
                source,
                re.IGNORECASE,
            ):
                kind = (at[1] or at[2]).lower()
                if kind in words.kinds:
                    told.setdefault(kind)
        if len(told) > 1:
            yield f"{name} is {' and '.join(told)}"
    for at in re.finditer(r"\b[Tt]he ([a-z]+)\b", text.story):
        kind = at[1]
        if kind in words.animals and not re.search(rf"\ban? (?:[\w-]+ ){{0,4}}{kind}\b", text.story + text.request):
            yield f"the {kind} was never introduced"


def _pronouns(text: _Text) -> Iterable[str]:
    """A name that is he at one time and she at another, where the sentence leaves no doubt who is meant."""
    women, men = (
        re.compile(r"\b(girl|woman|mother|grandmother|aunt|sister|Mrs)\b"),
        re.compile(r"\b(boy|man|father|grandfather|uncle|brother|Mr)\b"),
    )
    told: dict[str, set[str]] = {name: set() for name in text.names}
    plain = [
        _QUOTED.sub(" ", sentence)
        for sentence in re.split(
            r"(?<=[.!?])\s+",
            _QUOTED.sub(lambda at: at[0].replace(".", ",").replace("!", ",").replace("?", ","), text.story),
        )
    ]
    for here, after in zip(plain, [*plain[1:], ""], strict=True):
        names = [name for name in told if re.search(rf"\b{re.escape(name)}\b", here)]
        if len(names) != 1:
            continue
        if re.search(rf"\bgirl (?:named|called|whose name was) {names[0]}\b", here):
            told[names[0]].add("she")
        elif re.search(rf"\bboy (?:named|called|whose name was) {names[0]}\b", here):
            told[names[0]].add("he")
        relatives = women.search(here) or men.search(here)
        first = re.match(r"\s*(He|She)\b", after)
        if first and not relatives and re.match(rf"\s*{names[0]}\b", here):
            told[names[0]].add(first[1].lower())
        if not relatives:
            told[names[0]] |= {"he" for word in re.findall(rf"\b{names[0]}\b[^,;]*?\b(himself)\b", here) if word}
            told[names[0]] |= {"she" for word in re.findall(rf"\b{names[0]}\b[^,;]*?\b(herself)\b", here) if word}
    for name, pronouns in told.items():
        if len(pronouns) > 1:
            yield f"{name} is he and she"
    said = set(text.words)
    if told and all(pronouns == {"he"} for pronouns in told.values()) and said & _SHE and not women.search(text.story):
        yield "somebody is she whom nobody mentioned"
    if told and all(pronouns == {"she"} for pronouns in told.values()) and said & _HE and not men.search(text.story):
        yield "somebody is he whom nobody mentioned"


def _objects(text: _Text, words: Vocabulary) -> Iterable[str]:
    """Things that change their colour, or that are spoken of without having come in."""
    colours: dict[str, str] = {}
    for source in (text.story, text.request):
        for at in re.finditer(r"\b([a-z]+) (?=([\w-]+)(?: ([\w-]+))?)", source):
            if at[1] not in words.colours or at[2] in ("and", "or", "in", "was", "to"):
                continue
            noun = next((word for word in at.groups()[1:] if word in words.things), None)
            if noun is None and at[2] not in words.plain and at[2].islower():
                noun = at[2]
            if noun is not None and colours.setdefault(noun, at[1]) != at[1]:
                yield f"the {noun} is {colours[noun]} and {at[1]}"
    for at in re.finditer(
        r"\b(?:[Tt]he|his|her|His|Her|my|My|your|this) (?:[\w-]+ ){0,3}?([a-z][a-z-]+)\b(?!-)", text.story
    ):
        noun = at[1]
        if noun in words.things and not re.search(
            rf"\b(?:an?|another|one|\w+'s|[Mm]y|his|her) (?:[\w-]+ ){{0,6}}?{noun}\b",
            f"{text.story[: at.start()]} {text.request}"
            if not at[0].lower().startswith(("my", "his", "her"))
            else (text.story[: at.end()] if noun not in _other_things(text, noun, words) else ""),
        ):
            yield f"the {noun} was never introduced"
            return
    for word in set(text.words):
        if (
            word not in words.plain
            and word not in words.nouns
            and not any(word == name.lower() for name in text.names)
            and not (
                re.search(
                    rf"\b(?:an?|\w+'s|my|his|her) (?:[\w-]+ ){{0,6}}?{re.escape(word)}\b",
                    f"{text.story} {text.request}",
                    re.IGNORECASE,
                )
            )
        ):
            drifted = [
                other for other in set(text.words) if other != word and other not in words.plain and _near(word, other)
            ]
            if drifted:
                yield f"the {drifted[0]} becomes the {word}"


def _other_things(text: _Text, noun: str, words: Vocabulary) -> set[str]:
    """The noun itself where another thing of the story came in with a/an and this one never did."""
    brought = {
        thing
        for thing in words.things & set(text.words)
        if re.search(rf"\b[Aa]n? (?:[\w-]+ ){{0,6}}?{thing}\b", text.story)
    }
    return {noun} if brought and noun not in brought else set()


def _near(one: str, other: str) -> bool:
    """Whether two made-up words could be meant for one."""
    return (
        abs(len(one) - len(other)) < 3
        and len(one) > 4
        and one[0] == other[0]
        and (sum(left != right for left, right in zip(one, other, strict=False)) < 3 or one[:4] == other[:4])
    )


@cache
def _place_patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((place.noun, re.compile(rf"\b{place.at}\b", re.IGNORECASE)) for place in lexicon().places)


def _places(text: _Text) -> Iterable[str]:
    """A place where the story suddenly is, though nobody went there."""
    half = len(text.sentences) // 2
    story = " ".join(text.sentences[:half]) + " " + text.request
    for number, sentence in enumerate(text.sentences[half:], half):
        for noun, pattern in _place_patterns():
            if (
                pattern.search(sentence)
                and not re.search(rf"\b{noun}\b", story)
                and not _MOVES.search(" ".join(text.sentences[max(number - 1, 0) : number + 1]))
            ):
                yield f"it is at the {noun} without having gone there"
        story += " " + sentence

"""Words as words: plurals, rhymes, the order of the alphabet, small and capital letters."""

from __future__ import annotations

from collections.abc import Callable

from pynanochat.synthetic.asking import ask
from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.exchange import Exchange
from pynanochat.synthetic.word_lists import countable, names, odd_plural, plural, spelled_words, word_file

KIND = "language"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def exchanges(choices: Choices) -> list[Exchange]:
    """One question on words."""
    return [choices.one(tuple(_TASKS), tuple(_TASKS.values()))(choices)]


def _plural(choices: Choices) -> Exchange:
    noun = choices.one(countable())
    many = plural(noun)
    stem = choices.one(("What is the plural of <w>", "What is more than one <w> called", "Tell me the plural of <w>",
                        "How do you say <w> in the plural")).replace("<w>", noun)
    said = choices.one((f"The plural of {noun} is {many}.", f"One {noun}, many {many}."))
    return Exchange(kind=KIND, asked=ask(choices, stem), said=said, answer=many,
                    key=None if odd_plural(noun) else f"plural {noun}")


def _singular(choices: Choices) -> Exchange:
    noun = choices.one(countable())
    many = plural(noun)
    stem = choices.one((f"What is the singular of {many}", f"What is one of many {many} called"))
    return Exchange(kind=KIND, asked=ask(choices, stem), said=f"The singular of {many} is {noun}.", answer=noun,
                    key=None if odd_plural(noun) else f"singular {noun}")


def _rhyme(choices: Choices) -> Exchange:
    family = choices.one(word_file("rhymes")).split()
    word, *others = choices.several(family, min(4, len(family)))
    if choices.chance(0.25):
        stem, said = f"Name {len(others)} words that rhyme with {word}", f"{', '.join(others)}."
        return Exchange(kind=KIND, asked=ask(choices, stem), said=said, answer=others[0])
    if choices.chance(0.35):
        other, true = (others[0], True) if choices.chance() else (choices.one(spelled_words()), False)
        if not true and (other in family or other[-2:] == word[-2:]):
            other, true = others[0], True
        stem = choices.one((f"Does {word} rhyme with {other}", f"Do {word} and {other} rhyme"))
        said = f"{'Yes' if true else 'No'}, {word} {'rhymes' if true else 'does not rhyme'} with {other}."
        return Exchange(kind=KIND, asked=ask(choices, stem), said=said, answer="Yes" if true else "No")
    stem = choices.one((f"What rhymes with {word}", f"Give me a word that rhymes with {word}",
                        f"Tell me a rhyme for {word}",
                        f"Name a word that rhymes with {word}", f"Which word rhymes with {word}"))
    return Exchange(kind=KIND, asked=ask(choices, stem), said=f"{others[0]} rhymes with {word}.", answer=others[0])


def _alphabetical(choices: Choices) -> Exchange:
    words = choices.several(names() if choices.chance(0.2) else spelled_words(), choices.whole(2, 4))
    done, listed = ", ".join(sorted(words)), ", ".join(words)
    if len(words) == 2:
        first = min(words)
        stem = f"Which word comes first in the alphabet, {words[0]} or {words[1]}"
        return Exchange(kind=KIND, asked=ask(choices, stem), said=f"{first} comes first.", answer=first,
                        key=f"order {listed}")
    stem = choices.one((f"Sort these words by the alphabet: {listed}",
                        f"Put these words in alphabetical order: {listed}",
                        f"Put {listed} in alphabetical order"))
    return Exchange(kind=KIND, asked=ask(choices, stem), said=f"{done}.", answer=done, key=f"order {listed}")


def _letters(choices: Choices) -> Exchange:
    at, by = choices.whole(0, 25), choices.one((1, 1, 2))
    later = choices.chance(0.6) if by <= at < 26 - by else at < 26 - by
    found = _LETTERS[at + by] if later else _LETTERS[at - by]
    letter, word = _LETTERS[at], "after" if later else "before"
    two = "two letters " if by == 2 else ""
    stem = choices.one((f"What letter comes {two}{word} {letter}",
                        f"Which letter is {two}{word} {letter} in the alphabet"))
    return Exchange(kind=KIND, asked=ask(choices, stem), said=f"{found} comes {two}{word} {letter}.", answer=found)


def _case(choices: Choices) -> Exchange:
    word = choices.one(spelled_words())
    done, stem = choices.one(((word.capitalize(), "Write <w> with a capital letter"),
                              (word.upper(), "Write <w> in capital letters")))
    return Exchange(kind=KIND, asked=ask(choices, stem.replace("<w>", word)), said=f"{done}.", answer=done,
                    key=f"case {word}")


def _repeat(choices: Choices) -> Exchange:
    words = " ".join(choices.several(spelled_words(), choices.whole(1, 4)))
    if " " not in words and choices.chance(0.6):
        times = choices.whole(2, 4)
        said = " ".join([words] * times)
        stem = f"Say {words} {('twice', 'three times', 'four times')[times - 2]}"
    else:
        said, stem = words, choices.one((f"Repeat after me: {words}", f"Say: {words}", f"Please say: {words}"))
    return Exchange(kind=KIND, asked=stem + choices.one((".", "")), said=f"{said}.", answer=said, key=f"repeat {words}")


_TASKS: dict[Callable[[Choices], Exchange], float] = {
    _plural: 25, _singular: 8, _rhyme: 22, _alphabetical: 14, _letters: 12, _case: 6, _repeat: 13}

"""Spelling and counting letters: a word is taken apart into letters first, so that each is a token of its own.

Letters stand as s-t-a-r; counting one goes through the calculator, with blanks between the letters, so that the model
copies letters that it has just said and never has to cut a word into pieces.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from pynanochat.calculator import calculate
from pynanochat.synthetic.asking import ask
from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.exchange import Exchange, computed, ends_with_number
from pynanochat.synthetic.numerals import ORDINALS
from pynanochat.synthetic.word_lists import names, spelled_words

KIND = "spelling"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_APART = re.compile(r"\w+(?:-\w+)+")


def exchanges(choices: Choices) -> list[Exchange]:
    """One or two questions on a word's letters."""
    word = _word(choices)
    found = [_one(choices, word)]
    if choices.chance(0.3):
        found.append(_one(choices, word if choices.chance() else _word(choices)))
    return found


def _word(choices: Choices) -> str:
    return choices.one(names()) if choices.chance(0.08) else choices.one(spelled_words())


def _one(choices: Choices, word: str) -> Exchange:
    return choices.one(tuple(_TASKS), tuple(_TASKS.values()))(choices, word)


def _apart(word: str) -> str:
    return "-".join(word.lower())


def _stem(choices: Choices, word: str, *stems: str, letter: str = "") -> str:
    return choices.one(stems).replace("<w>", _shown(choices, word)).replace("<l>", letter)


def _shown(choices: Choices, word: str) -> str:
    return choices.one((word, word, word, word, f'"{word}"', f"the word {word}" if word.islower() else word))


def _exchange(
    choices: Choices, task: str, word: str, stem: str, said: str, answer: str,
    check: Callable[[str], bool] | None = None,
) -> Exchange:
    """`task` is what the word must not have been asked for, where it is held out."""
    return Exchange(kind=KIND, asked=ask(choices, stem), said=said, answer=answer, key=f"{task} {word}", check=check)


def _last_letters_are(letters: str, said: str) -> bool:
    """Whether the last word that is taken apart is this one, to the letter."""
    apart = _APART.findall(said.lower())
    return bool(apart) and apart[-1] == letters


def _spell(choices: Choices, word: str) -> Exchange:
    stem = _stem(choices, word, "How do you spell <w>", "Spell <w>", "How is <w> spelled", "How do I spell <w>",
                 "Spell <w> for me", "What are the letters of <w>", "What letters are in <w>",
                 "Tell me the letters in <w>")
    said = choices.one((f"{word}: {_apart(word)}.", f"{word} is spelled {_apart(word)}.", f"{_apart(word)}."))
    return _exchange(choices, "spell", word, stem, said, _apart(word),
                     partial(_last_letters_are, _apart(word)))


def _join(choices: Choices, word: str) -> Exchange:
    stem = choices.one((f"What word is {_apart(word)}", f"Which word do these letters make: {_apart(word)}",
                        f"What does {_apart(word)} spell", f"Put these letters together: {_apart(word)}"))
    return _exchange(choices, "join", word, stem, choices.one((f"{_apart(word)} spells {word}.", f"It is {word}.")),
                     word)


def _count(choices: Choices, word: str) -> Exchange:
    letter = choices.one(word.lower()) if choices.chance(0.85) else choices.one(_LETTERS)
    expression = f"'{' '.join(word.lower())}'.count('{letter}')"
    result = calculate(expression) or "0"
    stem = _stem(choices, word, "How many <l>'s are in <w>", "How many times does the letter <l> appear in <w>",
                 "Count the letter <l> in <w>", "How many <l>'s are there in <w>", "How often does <l> occur in <w>",
                 "How many times is the letter <l> in <w>", "How many letters <l> does <w> have", letter=letter)
    times = f"{result} time{'' if result == '1' else 's'}"
    after = choices.one((f" The letter {letter} appears {times}.", f" The letter {letter} is in {word} {times}."))
    before = choices.one((f"Let me spell it: {_apart(word)}. ", f"{_apart(word)}. ", f"{word} is {_apart(word)}. "))
    return Exchange(kind=KIND, asked=ask(choices, stem), said=computed(before, expression, after), answer=result,
                    key=f"count {word}", check=ends_with_number(result))


def _numbered(word: str) -> str:
    return ", ".join(f"{i} {letter}" for i, letter in enumerate(word.lower(), 1))


def _length(choices: Choices, word: str) -> Exchange:
    stem = _stem(choices, word, "How many letters are in <w>", "How many letters does <w> have", "How long is <w>",
                 "Count the letters in <w>", "How many letters are there in <w>",
                 "What is the number of letters in <w>")
    said = f"{_numbered(word)}. {choices.one((f'{word} has', 'There are', 'It has'))} {len(word)} letters."
    return _exchange(choices, "length", word, stem, said, str(len(word)), ends_with_number(str(len(word))))


def _reverse(choices: Choices, word: str) -> Exchange:
    stem = _stem(choices, word, "What is <w> spelled backwards", "Reverse <w>", "Spell <w> backwards",
                 "How do you spell <w> backwards", "What is <w> in reverse", "Write <w> backwards")
    letters = _apart(word[::-1])
    said = f"{_apart(word)} backwards is {letters}."
    return _exchange(choices, "reverse", word, stem, said, letters, partial(_last_letters_are, letters))


def _nth(choices: Choices, word: str) -> Exchange:
    n = choices.whole(1, min(len(word), len(ORDINALS)))
    letter, place = word.lower()[n - 1], ORDINALS[n - 1]
    stem = _stem(choices, word, f"What is the {place} letter of <w>", f"What is letter number {n} in <w>",
                 f"Which letter is the {place} in <w>", f"Tell me the {place} letter of <w>")
    said = f"{_numbered(word[:n])}. The {place} letter is {letter}."
    return _exchange(choices, "letter", word, stem, said, f"The {place} letter is {letter}")


def _ends(choices: Choices, word: str) -> Exchange:
    first = choices.chance()
    letter, place = (word.lower()[0], "first") if first else (word.lower()[-1], "last")
    stems = [f"What is the {place} letter of <w>", f"Which letter does <w> {'begin' if first else 'end'} with",
             f"What letter does <w> {'start' if first else 'end'} with"]
    said = f"{_apart(word)}. The {place} letter is {letter}."
    return _exchange(choices, place, word, _stem(choices, word, *stems), said, f"The {place} letter is {letter}")


def _contains(choices: Choices, word: str) -> Exchange:
    letter = choices.one(word.lower()) if choices.chance() else choices.one(_LETTERS)
    expression = f"'{' '.join(word.lower())}'.count('{letter}')"
    inside = letter in word.lower()
    stem = _stem(choices, word, "Is there the letter <l> in <w>", "Does <w> contain the letter <l>",
                 "Is the letter <l> in <w>",
                 "Does <w> have the letter <l> in it", letter=letter)
    answer = f"{'Yes' if inside else 'No'}, the letter {letter} is {'' if inside else 'not '}in {word}"
    return Exchange(kind=KIND, asked=ask(choices, stem), said=computed(f"{_apart(word)}. ", expression, f" {answer}."),
                    answer=answer, key=f"contains {word}")


_TASKS: dict[Callable[[Choices, str], Exchange], float] = {
    _spell: 26, _count: 22, _length: 16, _reverse: 12, _nth: 8, _ends: 6, _contains: 5, _join: 5}

"""Spelling: every answer is worked out from the word, letters are separate, words are many."""

from __future__ import annotations

from pynanochat.synthetic import language, spelling
from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.exchange import Exchange, draw, question
from pynanochat.synthetic.word_lists import countable, names, plural, spelled_words, word_file


def said(exchange: Exchange) -> str:
    if isinstance(exchange.said, str):
        return exchange.said
    return "".join(part["text"] for part in exchange.said if part["type"] == "text")


def test_two_thousand_words_of_small_letters() -> None:
    words = spelled_words()
    assert len(words) >= 2000
    assert len(set(words)) == len(words)
    assert all(word.isalpha() and word.islower() and word.isascii() for word in words)
    assert len(names()) >= 200


def test_all_answers_follow_from_the_word() -> None:
    tasks = set()
    for i in range(1500):
        for exchange in draw(spelling.exchanges, Choices(f"spelling {i}")):
            task, last = (exchange.key or "").split()
            tasks.add(task)
            text = said(exchange)
            assert question([exchange]).right(text), exchange
            if task == "spell":
                assert exchange.answer == "-".join(last.lower())
            elif task == "reverse":
                assert exchange.answer == "-".join(last.lower()[::-1])
            elif task == "length":
                assert exchange.answer == str(len(last))
            elif task == "count":
                assert not isinstance(exchange.said, str)
                text, letter = exchange.said[1]["text"].strip("')").split("'.count('")
                assert text == " ".join(last.lower())
                assert exchange.answer == str(last.lower().count(letter))
    assert tasks == {"spell", "join", "count", "length", "reverse", "letter", "first", "last", "contains"}


def test_a_wrong_spelling_is_wrong() -> None:
    for i in range(300):
        exchange = draw(spelling.exchanges, Choices(f"wrong {i}"))[0]
        if (exchange.key or "").startswith("spell "):
            assert not question([exchange]).right(f"{exchange.answer}-x.")
            assert not question([exchange]).right("x" + exchange.answer)


def test_plurals() -> None:
    told = {"cat": "cats", "box": "boxes", "bush": "bushes", "berry": "berries", "monkey": "monkeys", "mouse": "mice",
            "leaf": "leaves", "roof": "roofs", "piano": "pianos", "potato": "potatoes", "stomach": "stomachs"}
    assert {noun: plural(noun) for noun in told} == told
    assert len(countable()) > 700


def test_a_rhyme_family_names_each_word_once() -> None:
    for family in word_file("rhymes"):
        words = family.split()
        assert 2 <= len(words) == len(set(words)), family


def test_language_answers_are_said() -> None:
    for i in range(600):
        (exchange,) = draw(language.exchanges, Choices(f"language {i}"))
        assert question([exchange]).right(said(exchange)), exchange

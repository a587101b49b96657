"""Markdown in pieces: the same screen as at once, and no text lost, whatever comes, however it is cut."""

import re
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from terminal_screen import TerminalScreen, cells_alone, cells_joined

from pynanochat.cli.markdown.cells import Run, Size
from pynanochat.cli.markdown.document import Document
from pynanochat.cli.markdown.screen import Screen

BLOCK = "\U00100000"  # stands for a tool block
LITERALS = {BLOCK: Run("[12*3*4 = 144]", "2")}
WORDS = ["word", "a", "longer text here", "Ümläut", "漢字", "中", "✅", "e\u0301", "1234567890" * 3, "x = 1\n",
         "def f():\n", "word " * 9, BLOCK]
INLINE = ["*", "**", "***", "_", "__", "`", "``", "~~", "\\", "[", "](", "[x](http://y.z)", " ", "'''", '"""', "/*"]
BLOCKS = ["\n", "\n\n", "```", "```python\n", "~~~", "# ", "#", "- ", "-", "---", "* ", "1. ", "2) ", "> ", ">", "  ",
          "    ", "\t", "==="]
TABLES = ["|", " | ", "| a | b |\n", "|---|:-:|\n", "| c | d |\n", f"| x | {'word ' * 9}|\n", "> | a | b |\n",
          "> |--|--|\n"]
DISPUTED = ["👨‍👩‍👧", "⚠️", "1️⃣", "🇩🇪", "👍🏽", "हिन्दी", "\u200b"]
TEXTS = st.one_of(*(st.lists(st.sampled_from(pool), max_size=60).map("".join) for pool in (
    WORDS + INLINE + BLOCKS + TABLES, WORDS + INLINE, [*TABLES, "\n", "> ", "word", "`"],
    [*BLOCKS, *WORDS, "`", "**"])))
SIZES = st.builds(Size, st.sampled_from([10, 11, 13, 20, 40, 80]), st.sampled_from([4, 5, 6, 10, 24]))


def cut(text, places):
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


def written(pieces, sizes):
    """What is written for each piece, and at the end, on a terminal of these sizes, the last of which stays."""
    sizes = [*sizes]
    document, screen = Document(sizes[0], LITERALS), Screen(sizes[0])
    for piece in pieces:
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        if document.between_blocks:
            document.size = size
        yield screen.draw(document.push(piece), document.open(), size)
    yield screen.draw(document.end(), [()], sizes[0])


def letters(text):
    return Counter(one for one in text.replace(BLOCK, LITERALS[BLOCK].text) if one.isalnum())


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.lists(st.integers(0, 2000), max_size=100), SIZES)
def test_pieces_end_in_the_same_screen_as_the_whole(text, places, size):
    whole = TerminalScreen(*size).write("".join(written([text], [size])))
    parts = TerminalScreen(*size).write("".join(written(cut(text, places), [size])))
    assert parts == whole
    assert letters(whole.text) == letters(text)


@settings(max_examples=100, deadline=None)
@given(TEXTS, SIZES)
def test_single_characters_end_in_the_same_screen_as_the_whole(text, size):
    whole = TerminalScreen(*size).write("".join(written([text], [size])))
    assert TerminalScreen(*size).write("".join(written(text, [size]))) == whole


@settings(max_examples=100, deadline=None)
@given(TEXTS, st.lists(st.integers(0, 2000), max_size=100), st.lists(SIZES, min_size=2, max_size=20))
def test_nothing_is_lost_when_the_size_changes(text, places, sizes):
    screen = TerminalScreen(*sizes[0])
    left = [*sizes]
    for made in written(cut(text, places), sizes):
        screen.width, screen.height = left.pop(0) if len(left) > 1 else left[0]
        screen.write(made)
    assert letters(screen.text) >= letters(text)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(DISPUTED + INLINE + WORDS + TABLES + ["\n", "- ", "> "]), max_size=60).map("".join),
       st.lists(st.integers(0, 2000), max_size=100), SIZES, st.sampled_from([cells_alone, cells_joined]))
def test_nothing_is_lost_where_terminals_do_not_agree_on_widths(text, places, size, cells):
    screen = TerminalScreen(*size, cells).write("".join(written(cut(text, places), [size])))
    assert letters(screen.text) >= letters(text)


@pytest.mark.parametrize("text", [
    "Once upon a time, there was a quiet boy named Pete. " * 40, "one\ntwo\n\n\nthree", "It's 5 o'clock; 2 + 3 = 5.\n",
    "1984 was a year - or not?", "Ümläut 漢字 ✅ ok " * 30])
def test_text_without_markdown_is_written_as_it_comes(text):
    pieces = re.findall(r"\s*\S+|\s+", text)
    *made, end = written(pieces, [Size(20, 6)])
    assert made == pieces
    assert end == ("" if text.endswith("\n") else "\n")


@pytest.mark.parametrize("text", [
    "A **bold** word, *italics*, `code` and then the rest.\n", "# Heading\n\n- item **one**\n- item two\n",
    "```python\nx = 1\n```\n", "> quoted words\n"])
def test_little_is_drawn_again(text):
    made = list(written(text, [Size(40, 10)]))
    assert sum("\033[J" in one for one in made) <= text.count("\n")
    assert not any(re.search(r"\033\[\d*A", one) for one in made)


def test_a_line_that_was_taken_for_bold_gets_its_stars_back_also_from_rows_above():
    made = "".join(written("**one two three four\n", [Size(8, 10)]))
    assert "\033[2A" in made
    assert TerminalScreen(8, 10).write(made).text == "**one tw\no three\nfour\n"


def test_a_changed_size_draws_below_instead_of_above():
    sizes = [Size(20, 10)] * 8 + [Size(10, 10)]
    made = "".join(written("**one two three four\n", sizes))
    assert "\033[J" not in made
    assert made.endswith("\n**one two three four\n")

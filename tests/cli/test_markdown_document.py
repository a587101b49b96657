"""What Markdown looks like at several widths."""

import pytest
from terminal_screen import TerminalScreen

from pynanochat.cli.markdown.cells import Size
from pynanochat.cli.markdown.document import Document
from pynanochat.cli.markdown.screen import Screen


def drawn(text, width=40, height=24):
    size = Size(width, height)
    document, screen = Document(size, {}), Screen(size)
    made = screen.draw(document.push(text), document.open(), size) + screen.draw(document.end(), [()], size)
    return TerminalScreen(*size).write(made)


GOLDEN = {
    "headings": ("# One *two*\n## Two ##\n####### seven\n#no\n#\n", 20, "One two\nTwo\n####### seven\n#no\n#\n"),
    "list": ("- one two three four five six\n  - nested words go on\n1. first\n10) tenth\n   goes on\n-no\n", 16,
             "• one two three\n  four five six\n  • nested words\n    go on\n1. first\n10) tenth\n   goes on\n-no\n"),
    "a long word in a list": ("- abcdefghijklmnopqrst\n", 10, "• abcdefgh\n  ijklmnop\n  qrst\n"),
    "quote": ("> one two three four\n> - item\n>> inner\nout\n", 12,
              "│ one two\n│ three four\n│ • item\n│ │ inner\nout\n"),
    "rule": ("a\n---\n* * *\n", 12, "a\n────────────\n────────────\n"),
    "code": ("```python title\n- **x** = '|'\n\n```\n~~~\n``` a\n~~~\n", 40,
             "```python title\n- **x** = '|'\n\n```\n~~~\n``` a\n~~~\n"),
    "code in a list": ("1. Do:\n   ```sh\n   ls *\n   ```\n2. Then\n", 40,
                       "1. Do:\n   ```sh\n   ls *\n   ```\n2. Then\n"),
    "indented code": ("text\n    *soft*\n\n    *x* = __y z__\n", 40, "text\n    soft\n\n    *x* = __y z__\n"),
    "a paragraph is the terminal's to wrap": ("one two three\nfour **five**\n", 8,
                                              "one two\nthree\nfour fiv\ne\n"),
    "table": ("| a | right | mid |\n|---|--:|:-:|\n| long cell | 1 | x |\n| *y* | 22 | z | more |\nend\n", 40,
              "a         │ right │   mid\n"
              "──────────┼───────┼─────────\n"
              "long cell │     1 │    x\n"
              "y         │    22 │ z | more\n"
              "end\n"),
    "a narrow table": ("a | words\n-|-\nxy | one two three\n", 13,
                       "a  │ words\n───┼─────────\nxy │ one two\n   │ three\n"),
    "a table that is too narrow to be one": ("a | b | c\n-|-|-\n", 13, "a | b | c\n-|-|-\n"),
    "no table": ("a | b\nc | d\n- a | b\n", 20, "a | b\nc | d\n• a | b\n"),
    "wide signs in a table": ("|漢字|b|\n|-|-|\n|é|✅|\n", 20, "漢字 │ b\n─────┼───\né    │ ✅\n"),
    "tabs": ("a\tb\n", 20, "a   b\n"),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name):
    text, width, wanted = GOLDEN[name]
    assert drawn(text, width).text == wanted


def test_styles():
    screen = drawn("# Top **x**\n## Sub\n**b** `c`\n```python\ndef f(): return 'a' # c\n```\n| h |\n|-|\n| *i* |\n")
    for text, style in (("Top x", "1;4"), ("Sub", "1"), ("b", "1"), ("c", "36"), ("```python", "2"), ("def", "35"),
                        ("'a'", "32"), ("# c", "2"), ("h", "1"), ("i", "3")):
        rows = [row for row in screen.rows if any(style == cell[1] for cell in row)]
        assert any(text in "".join(one for one, its in row if its == style) for row in rows), (text, style)


def test_colours_of_code_follow_from_the_lines_above():
    text = '```python\n"""one\ntwo\n"""\nx = 1\n```\n'
    screen = drawn(text)
    assert screen.style("two") == "32"
    assert screen.style("x =") == ""
    assert drawn(text.replace("python", "nothing-known")).style("two") == ""


def test_a_table_longer_than_the_screen_keeps_its_columns_and_its_text():
    rows = "".join(f"| row {number} | {'word ' * (number % 7)}|\n" for number in range(60))
    text = drawn(f"| number | words |\n|---|---|\n{rows}", 30, 10).text
    for number in range(60):
        assert f"row {number}" in text
    assert text.count("word") == sum(number % 7 for number in range(60)) + 1

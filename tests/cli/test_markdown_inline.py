"""Styles inside a line: CommonMark's, but for signs of ordinary text."""

import pytest

from pynanochat.cli.markdown.cells import text_of
from pynanochat.cli.markdown.inline import styled_line


def marked(line):
    """The line with its styles in braces."""
    return "".join(f"{{{run.style}:{run.text}}}" if run.style else run.text for run in line)


@pytest.mark.parametrize(("text", "shown"), [
    ("plain text", "plain text"),
    ("**bold** and *it* and `co*de*`", "{1:bold} and {3:it} and {36:co*de*}"),
    ("***both***", "{1;3:both}"), ("**a *b* c**", "{1:a }{1;3:b}{1: c}"), ("*a **b** c*", "{3:a }{1;3:b}{3: c}"),
    ("***a** b*", "{1;3:a}{3: b}"), ("***a* b**", "{1;3:a}{1: b}"), ("**`x`**", "{1;36:x}"), ("**B**old", "{1:B}old"),
    ("_it_ and __bo ld__", "{3:it} and {1:bo ld}"), ("~~gone~~ ~here~", "{9:gone} ~here~"),
    ("这是**重点**内容", "这是{1:重点}内容"),
    ("2*3*4 = 24, 2**3**4", "2*3*4 = 24, 2**3**4"), ("5 * 3 * 2", "5 * 3 * 2"),
    ("snake_case_name and __init__ and __b c__", "snake_case_name and __init__ and {1:b c}"),
    ("``a`b`` `", "{36:a`b} `"), ("` a `", "{36:a}"), ("**open *it*", "**open {3:it}"), ("`open", "`open"),
    ("[x](http://a/b_(c)_d)!", "{4:x}{2: (http://a/b_(c)_d)}!"), ("[1, 2](no url)", "[1, 2](no url)"),
    (r"\*no\* \(x\) C:\dir", r"*no* \(x\) C:\dir"), ("&amp; &#27; <b>", "&amp; &#27; <b>"),
])
def test_whole_lines(text, shown):
    assert marked(styled_line(text)) == shown


@pytest.mark.parametrize(("text", "shown"), [
    ("**bo", "{1:bo}"), ("a **b *c", "a {1:b }{1;3:c}"), ("`co", "{36:co}"), ("a *", "a "), ("a **b*", "a {1:b}"),
    ("**b**", "{1:b}"), ("snake_", "snake"), ("__init", "__init"), ("[x](http", "[x](http"), ("\\", "")])
def test_a_line_that_is_not_at_its_end_shows_what_has_begun(text, shown):
    assert marked(styled_line(text, is_open=True)) == shown


@pytest.mark.parametrize("text", ["**bold**", "`code`", "[x](y)", "~~gone~~"])
def test_a_construct_reaches_so_far_and_no_further(text):
    assert styled_line(text, reach=len(text))[0].style
    assert text_of(styled_line(text, reach=len(text) - 1)) == text


@pytest.mark.parametrize("mark", ["**", "`", "_", "~~"])
def test_what_has_begun_goes_on_so_far_and_no_further(mark):
    near, far = f"{mark}nearly", f"{mark}too far"
    assert text_of(styled_line(near, reach=len(near), is_open=True)) == "nearly"
    assert text_of(styled_line(far, reach=len(far) - 1, is_open=True)) == far


def test_hostile_lines_take_no_more_than_their_time():
    for mark in ("*a ", "a* ", "_a *b ", "**a*b ", "`a ``b ", "[a](", "[[", "~~a "):
        styled_line(mark * 2000)

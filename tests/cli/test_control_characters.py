"""No text that others wrote commands the terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynanochat.cli.control_characters import Visible, visible


@pytest.mark.parametrize(("text", "shown"), [
    ("plain ä 漢字 ✅\t|\n", "plain ä 漢字 ✅\t|\n"), ("\033[2J", "␛[2J"), ("a\r\nb", "a\nb"), ("a\rb", "a␍b"),
    ("\x07\x00\x7f", "␇␀␡"), ("\x9b31m", "\N{REPLACEMENT CHARACTER}31m")])
def test_visible(text, shown):
    assert visible(text) == shown


@given(st.lists(st.text(st.sampled_from("ab\r\n\033[\x9b\x07\t"), max_size=4)))
def test_pieces_are_shown_as_the_whole_is(pieces):
    shown = Visible()
    assert "".join([*map(shown.push, pieces), shown.end()]) == visible("".join(pieces))

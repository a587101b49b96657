"""An answer on a terminal and on a pipe: tool blocks, probabilities, hostile text."""

import re
from contextlib import redirect_stdout

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from terminal_screen import TerminalScreen, TerminalStream

from pynanochat.cli.answer import AnswerWriter
from pynanochat.cli.markdown_writer import writer
from pynanochat.engine.request import TokenLogprobs
from pynanochat.output import Piece

SUM = [Piece("It is "), Piece("12*", "python"), Piece("3", "python"), Piece("36", "python_output"),
       Piece(" or **36**.")]
NO_RESULT = [Piece("12*x", "python"), Piece("hm")]
STOPPED = [Piece("a "), Piece("12*", "python")]
ALONE = [Piece("36", "python_output"), Piece("!")]
TWICE = [Piece("1+1", "python"), Piece("2", "python_output"), Piece("2+2", "python"), Piece("4", "python_output")]
OURS = re.compile(r"\x1b\[(?:[0-9]+(?:;[0-9]+)*m|[0-9]+A|J)|\r(?=\x1b\[[0-9]*[AJ])")
HOSTILE = [
    "\033[2J", "\033]0;title\a", "\033]8;;http://evil\033\\link", "\x9b31m", "\x9d52;c;YQ==\x9c", "\rover", "\b\b\b",
    "\033Ptmux;\033\\", "\x0e", "\0", "\x7f", "&#27;[2J", "[x](\033[2J)", "```\033[2J\n\033[2J\n```\n", "`\033c`",
    "| \033[2J |\n|---|\n| \033[2J |\n", "> \033[2J", "- \033[2J\n", "# \033[2J\n", "\U00100000\U0010ffff", "\033",
    "[2J", "\n", "**", "word ",
]


@pytest.fixture
def terminal(monkeypatch):
    """A stream to a terminal, whose size may be set."""
    stream = TerminalStream()
    stream.size = (40, 10)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("pynanochat.cli.markdown_writer.terminal_size", lambda: stream.size)
    return stream


def shown(stream, pieces, *, markdown=True, colours=False):
    """The screen after these pieces."""
    with redirect_stdout(stream), writer(markdown=markdown, colours=colours) as shows:
        for piece in pieces:
            shows.push(piece)
    return TerminalScreen(40, 10).write(stream.getvalue())


@pytest.mark.parametrize("markdown", [True, False])
@pytest.mark.parametrize(("pieces", "text"), [
    (SUM, "It is [12*3 = 36] or 36.\n"), (NO_RESULT, "[12*x = ?]hm\n"), (STOPPED, "a [12*]\n"), (ALONE, "[= 36]!\n"),
    (TWICE, "[1+1 = 2][2+2 = 4]\n"), ([Piece("x\n"), Piece("1\t2", "python")], "x\n[1 2]\n")])
def test_tool_blocks(terminal, markdown, pieces, text):
    screen = shown(terminal, pieces, markdown=markdown)
    assert screen.text.replace("\t", " ") == (text if markdown else text.replace("or 36", "or **36**"))
    assert screen.style(re.search(r"\[.*?]", screen.text)[0]) == "2"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["**It is ", "36** or so", "\n", "- ", "`x", "> |", "12*3*(4", "_a b_ "]),
                          st.sampled_from(["text", "text", "python", "python_output"]))), st.sampled_from([1, 2, 3]))
def test_tool_blocks_in_pieces_end_in_the_same_screen(parts, length):
    screens = []
    for size in (length, 1000):
        stream = TerminalStream()
        pieces = [Piece(text[start:start + size], kind) for text, kind in parts for start in range(0, len(text), size)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TERM", "xterm")
            patch.setattr("pynanochat.cli.markdown_writer.terminal_size", lambda: (40, 10))
            screens.append(shown(stream, pieces))
    assert screens[0] == screens[1]


def test_a_tool_block_of_several_lines_stays_in_its_line(terminal):
    assert shown(terminal, [Piece("1\n2", "python")]).text == "[1 ⏎ 2]\n"


@pytest.mark.parametrize("kind", ["text", "python", "python_output"])
@pytest.mark.parametrize("markdown", [True, False])
@given(pieces=st.lists(st.sampled_from(HOSTILE), max_size=12))
def test_a_terminal_gets_no_command_of_the_models(markdown, kind, pieces):
    stream = TerminalStream()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", "xterm")
        patch.setattr("pynanochat.cli.markdown_writer.terminal_size", lambda: (40, 10))
        shown(stream, [Piece(text, kind) for text in pieces], markdown=markdown)
    rest = OURS.sub("", stream.getvalue())
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", rest), ascii(rest)


def test_a_pipe_gets_every_byte_and_no_tool_block(capsys):
    shows = writer(markdown=True, colours=True)
    with shows:
        for piece in [*SUM, *map(Piece, HOSTILE)]:
            shows.push(piece)
    assert capsys.readouterr().out == "It is  or **36**." + "".join(HOSTILE) + "\n"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_without_styles_gets_plain_text(terminal, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert shown(terminal, SUM, colours=True).text == "It is [12*3 = 36] or **36**.\n"
    assert "\033" not in terminal.getvalue()


@pytest.mark.parametrize("size", [None, (9, 24), (80, 3)])
def test_a_terminal_that_is_too_small_gets_plain_text(terminal, size):
    terminal.size = size
    with redirect_stdout(terminal):
        assert type(writer(markdown=True, colours=False)) is AnswerWriter


def test_colours_tell_probabilities(terminal):
    def piece(text, logprob):
        return Piece(text, logprobs=None if logprob is None else TokenLogprobs(logprob, []))

    pieces = [piece("sure", -0.01), piece("maybe", -0.9), piece("odd", -5.0), piece("forced", None), piece("**", -0.1)]
    screen = shown(terminal, pieces, colours=True)
    assert screen.text == "suremaybeoddforced**\n"
    assert [screen.style(text) for text in ("sure", "maybe", "odd", "forced")] == ["32", "33", "31", ""]


def test_a_smaller_terminal_in_the_middle_of_a_table_loses_nothing(terminal):
    screen = TerminalScreen(40, 10)
    with redirect_stdout(terminal), writer(markdown=True, colours=False) as shows:
        for text in ("| one | two |\n", "|---|---|\n", "| three | four |\n"):
            shows.push(Piece(text))
        screen.write(terminal.getvalue())
        terminal.seek(0)
        terminal.truncate()
        terminal.size = (20, 8)
        shows.push(Piece("| a longer cell than before | five |\n"))
        shows.push(Piece("and on **it** goes"))
    screen.width, screen.height = terminal.size
    screen.write(terminal.getvalue())
    assert "\033[J" not in terminal.getvalue().partition("five")[0]
    for word in ("three", "longer", "five", "and on it goes"):
        assert word in screen.text

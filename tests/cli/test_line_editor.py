"""Typing into a chat: several lines, paste, history, completion, an editor."""

import json
import os
import stat

import pytest
from command_line import PATIENCE
from fixture_files import STORY5M
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from pynanochat.cli.completion import CommandCompleter
from pynanochat.cli.history import PrivateHistory, history_file, open_history
from pynanochat.cli.line_input import is_quoted, unquoted
from pynanochat.cli.slash import HELP


@pytest.fixture
def said(terminal, tmp_path):
    """The messages that a chat gets from what is typed, line by line."""

    def run(*lines, **environment):
        chat = terminal("chat", "--greedy", "--max-tokens", "1", **environment)
        for line in [*lines, f"/save {tmp_path / 'talk.json'}\r"]:
            chat.until("›")
            chat.type(line)
            chat.until("(cut at the limit" if not line.startswith("/") else "written to")
        chat.until("›")
        chat.type("\x04")
        assert chat.process.wait(PATIENCE) == 0
        messages = json.loads((tmp_path / "talk.json").read_text(encoding="utf-8"))["messages"]
        return [message["content"] for message in messages if message["role"] == "user"]

    return run


def test_several_lines(said, tmp_path):
    assert said("a\x1b\rb\r", "c\\\rd\r", '"""e\rf\r"""\r', "\x1b[200~g\n\th\ni\x1b[201~\r", "j\\k\r") == [
        "a\nb", "c\nd", "e\nf", "g\n\th\ni", "j\\k"]
    assert "+a\n+b\n" in (tmp_path / "state" / "nanochat" / "history").read_text(encoding="utf-8")


def test_history_and_search(said, tmp_path):
    file = tmp_path / "mine"
    file.write_text("\n# before\n+told earlier\n")
    file.chmod(0o644)
    assert said("first one\r", "second\r", "\x1b[A\x1b[A\r", "\x12earl\r\r", NANOCHAT_HISTORY=str(file)) == [
        "first one", "second", "first one", "told earlier"]
    assert "+second\n" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_an_editor(terminal, tmp_path):
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf "/system %s\\n" "$(cat "$1")" > "$1"\n')
    editor.chmod(0o755)
    chat = terminal("chat", VISUAL=str(editor))
    chat.until("›")
    chat.type("Be kind.\x18\x05")
    chat.until("/system Be kind.")
    chat.type("\r")
    chat.until("system prompt: Be kind.")


def test_no_history_is_kept_where_none_is_wanted(said, tmp_path):
    said("secret\r", NANOCHAT_HISTORY="none")
    assert not (tmp_path / "state").exists()


def test_keys_do_not_show_while_an_answer_is_drawn(terminal):
    chat = terminal("chat", STORY5M, "--greedy", "--max-tokens", "60", pause=0.05, size=(60, 20))
    chat.until("›")
    chat.type("Tell me a bedtime story about Ben and a lost kite.\r")
    chat.until("Ben the boy")
    chat.type("/quit ahead\x7f\x7f\x7f\x7f\x7f\x7f\r")
    assert "quit" not in chat.until("(cut at the limit")
    assert chat.process.wait(PATIENCE) == 0


def test_where_the_history_is(monkeypatch, tmp_path):
    path = tmp_path / "state" / "nanochat" / "history"
    assert history_file() == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for wanted in ("", "none", str(tmp_path), str(path / "below"), "~nosuchuser/history", "a\0b", "/dev/null"):
        monkeypatch.setattr("os.environ", {"NANOCHAT_HISTORY": wanted})  # the real one refuses \0
        assert history_file() is None, wanted
    monkeypatch.setattr("os.environ", {"XDG_STATE_HOME": str(path)})  # a file
    assert history_file() is None
    assert open_history().get_strings() == []


def test_a_history_whose_file_goes_away_lasts_as_long_as_the_chat(tmp_path):
    path = tmp_path / "history"
    history = PrivateHistory(str(path))
    assert list(history.load_history_strings()) == []
    history.append_string("one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.unlink()
    path.mkdir()
    history.append_string("two")
    assert history.get_strings() == ["one", "two"]
    assert list(history.load_history_strings()) == []


@pytest.mark.parametrize(("text", "is_open", "message"), [
    ('"""', True, '"""'), ('"""a', True, '"""a'), ('"""a"""', False, "a"), ('"""\na\n\nb\n"""\n', False, "a\n\nb"),
    ('"""doc"""\ncode', False, '"""doc"""\ncode'), ('say """', False, 'say """'), ('""""""', False, "")])
def test_triple_quotes(text, is_open, message):
    assert (is_quoted(text), unquoted(text)) == (is_open, message)


@pytest.mark.parametrize(("text", "words"), [
    ("/s", ["/system", "/set", "/save", "/stats"]), ("/set te", ["temperature"]), ("/set markdown ", ["on", "off"]),
    ("/set seed ", ["none"]), ("/set seed none ", []), ("/set top_k ", []), ("/stats o", ["on", "off"]),
    ("/stats on ", []), ("hello", []), ("/help ", []), ("/s\nx", []), ("/nothing x", []),
    ("/load {here}/ta", ["talk.json"]), ("/save {here}/fol", ["folder"])])
def test_completion(text, words, tmp_path):
    (tmp_path / "talk.json").touch()
    (tmp_path / "folder").mkdir()
    text = text.format(here=tmp_path)
    made = list(CommandCompleter(list(HELP)).get_completions(Document(text), CompleteEvent()))
    ends = [text[: len(text) + one.start_position] + one.text for one in made]
    if "{here}" not in text and os.sep not in text[1:]:
        assert [end.rpartition(" ")[2] for end in ends] == words
    else:
        assert [os.path.basename(end) for end in ends] == words


def test_tab_completes_in_a_chat(terminal):
    chat = terminal("chat")
    chat.until("›")
    chat.type("/set markd\t")
    chat.until("own")
    chat.type(" off\r")
    chat.until("markdown is off")

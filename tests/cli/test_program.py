"""The command as a program: pipes, signals, encodings, and a person at a terminal."""

import os
import signal
import subprocess
import sys

import pytest
from command_line import Terminal, one_line, program, writing

import pynanochat as nc


def test_pipes(tiny):
    done = program("generate", "-m", tiny, "--greedy", "--max-tokens", "8", piped=b"hello\n")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().removesuffix("\n") == nc.load(tiny).generate("hello", 8, temperature=0).text


def test_bare_on_a_pipe_answers():
    done = program(piped=b"What is 12 times 3?\n")
    assert done.returncode == 0
    assert b"36" in done.stdout
    assert done.stderr == b""


def test_wrong_input_as_a_program(tiny):
    for arguments in (("generate", "hi", "-m", "nothing"), ("generate", "hi", "-m", tiny, "-t", "-1"), ("nothing",)):
        done = program(*arguments)
        assert done.returncode == 2
        assert done.stdout == b""
        assert one_line(done.stderr.decode())


def test_a_reader_that_leaves_is_no_error(tiny):
    process = writing(tiny)
    process.stdout.read(10)
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) in (0, 141)
    assert errors == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["inspect", "--json"], ["generate", "a", "--json"]])
def test_a_full_disk_is_exit_code_1(arguments):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-m", "pynanochat", *arguments], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert one_line(done.stderr.decode())


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error(closed):
    line = f'"{sys.executable}" -m pynanochat chat -p hi --greedy --max-tokens 5 {closed}'
    done = subprocess.run(line, shell=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_text_encoding_that_lacks_characters_is_no_error(tiny):
    done = program("generate", "hi", "-m", tiny, "--seed", "1", "--max-tokens", "30", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.fixture
def terminal():
    pytest.importorskip("termios")
    opened = []

    def start(*arguments):
        opened.append(Terminal(*arguments))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_a_terminal_chat(terminal, tmp_path):
    chat = terminal("chat", "--greedy", "--max-tokens", "400")
    assert "G4 (nanochat since 2026-03-14), 6.16 M parameters" in chat.until("Ctrl-D leaves")
    chat.until("›")
    chat.type("Tell me a bedtime story about Ben and a lost kite.\r")
    chat.until("Ben the boy")
    chat.process.send_signal(signal.SIGINT)
    chat.until("(stopped)")
    chat.until("›")
    assert chat.process.poll() is None
    chat.type("\x03")
    chat.until("/quit leaves")
    chat.until("›")
    chat.type("/foo\r")
    chat.until("unknown command /foo")
    chat.until("›")
    chat.type("What is 12 times 3?\r")
    chat.until("36.")
    chat.until("›")
    chat.type("/stats\r")
    chat.until("conversation  2 turns")
    chat.until("›")
    chat.type("\x04")
    assert chat.process.wait(20) == 0
    assert "+What is 12 times 3?" in (tmp_path / "state" / "nanochat" / "history").read_text(encoding="utf-8")


def test_several_lines_in_a_terminal(terminal, tmp_path):
    chat = terminal()
    chat.until("›")
    chat.type("What is 12\x1b\rtimes 3?\r")
    chat.until(".\r\n")
    chat.until("›")
    chat.type("/quit\r")
    assert chat.process.wait(20) == 0
    assert "+What is 12\n+times 3?\n" in (tmp_path / "state" / "nanochat" / "history").read_text(encoding="utf-8")


def test_ctrl_c_outside_a_chat_is_130(tiny):
    process = writing(tiny)
    process.stdout.read(5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, b"")


def test_history_needs_no_writable_home(monkeypatch, tmp_path):
    from pynanochat.cli.line_input import history_file

    assert history_file() == tmp_path / "state" / "nanochat" / "history"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert history_file() is None

"""The command as a program: pipes, signals, encodings, and a person at a terminal."""

import os
import signal
import subprocess
import sys

import pytest
from command_line import PATIENCE, command, one_line, program, writing
from fixture_files import STORY5M

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
    assert process.wait(PATIENCE) in (0, 141)
    assert errors == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["inspect", "--json"], ["generate", "a", "--json"]])
def test_a_full_disk_is_exit_code_1(arguments):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command(*arguments), stdout=full, stderr=subprocess.PIPE)
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


def test_a_terminal_chat(terminal, tmp_path):
    chat = terminal("chat", STORY5M, "--greedy", "--max-tokens", "400")
    assert "G4 (nanochat since 2026-03-14), 6.16 M parameters" in chat.until("Ctrl-D leaves")
    chat.until("›")
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
    chat.until("conversation  1 turn,")
    chat.until("›")
    chat.type("\x04")
    assert chat.process.wait(PATIENCE) == 0
    assert "+What is 12 times 3?" in (tmp_path / "state" / "nanochat" / "history").read_text(encoding="utf-8")


def test_ctrl_c_stops_an_answer_and_the_chat_goes_on(terminal):
    chat = terminal("chat", STORY5M, "--greedy", "--max-tokens", "400", pause=0.2)  # half a minute for the whole story
    chat.until("›")
    chat.type("Tell me a bedtime story about Ben and a lost kite.\r")
    chat.until("Ben the boy")
    chat.process.send_signal(signal.SIGINT)
    chat.until("(stopped)")
    chat.until("›")
    chat.type("/stats\r")
    chat.until("conversation  1 turn,")
    chat.until("›")
    chat.type("/quit\r")
    assert chat.process.wait(PATIENCE) == 0


def test_a_program_whose_parent_ignores_ctrl_c_can_be_interrupted_all_the_same(tiny):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = writing(tiny)
    finally:
        signal.signal(signal.SIGINT, before)
    process.stdout.read(5)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130


def test_ctrl_c_outside_a_chat_is_130(tiny):
    process = writing(tiny)
    process.stdout.read(5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (130, b"")

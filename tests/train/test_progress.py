"""The live view and its plain lines: everything comes from records, and the terminal is left as it was."""

import io
import os
import re
import subprocess
import sys

import pytest
from training_runs import records

from pynanochat.train.progress import Progress
from pynanochat.train.standing import Standing

SAMPLE = {"kind": "sample", "step": 40, "time": 20.0, "prompt": "Once upon",
          "text": " a time\n\x1b[31mthere was " + "x " * 200}
SAVE = {"kind": "event", "step": 40, "time": 20.0, "event": "save", "text": "saved step 40"}


class Screen(io.StringIO):
    """A terminal: its rows as text, and what it was told of the cursor."""

    def isatty(self):
        return True

    @property
    def rows(self):
        rows, row, column = [[]], 0, 0
        for part in re.finditer(r"\x1b\[([?0-9;]*)([A-Za-z])|(.)", self.getvalue(), re.DOTALL):
            number, command, character = part.groups()
            if character == "\n":
                row, column = row + 1, 0
                rows += [[]] * (row == len(rows))
            elif character == "\r":
                column = 0
            elif character is not None:
                assert character.isprintable(), repr(character)
                rows[row] = [*rows[row], *" " * (column - len(rows[row]))]
                rows[row][column:column + 1] = [character]
                column += 1
            elif command == "A":
                row -= int(number or 1)
                assert row >= 0
            elif command == "K":
                rows[row] = []
            else:
                assert command in "mhl"
        return ["".join(row).rstrip() for row in rows]

    @property
    def cursor_is_shown(self):
        return self.getvalue().rfind("\x1b[?25h") > self.getvalue().rfind("\x1b[?25l")


@pytest.fixture
def screen(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    return Screen()


def ticking(seconds=1.0):
    now = [0.0]

    def clock():
        now[0] += seconds
        return now[0]

    return clock


def test_a_view_in_80_columns(screen):
    with Progress("tiny · pretrain", 100, screen, ticking()) as progress:
        for record in [*records(40), SAVE, SAMPLE]:
            progress.write(record)
        assert not screen.cursor_is_shown
    assert screen.cursor_is_shown
    rows = screen.rows
    assert max(map(len, rows)) <= 80
    assert rows[:5] == ["step 0  begun", *(f"step {step}  val {bits} bits/byte, the best so far" for step, bits in (
        (10, "0.847"), (20, "0.691"), (30, "0.670"), (40, "0.667")))]
    assert rows[5] == f"tiny · pretrain{'step 40 of 100  40 %':>65}"
    assert rows[6] == "━" * 32 + "─" * 48
    assert [re.split(r"  +", row) for row in rows[7:10]] == [
        ["loss 2.059", "val 0.667 bits/byte 2,000 tokens/s", "30 s left"],
        ["rate ×1.000", "best 0.667 at 40", "25% of peak", "20 s so far"],
        ["gradient 0.500", "saved at 40", "40.0 k tokens", "epoch 1.00"]]
    assert rows[10] == "loss so far"
    assert rows[14].endswith("▁")
    assert set("".join(rows[11:15])) <= set(" ▁▂▃▄▅▆▇█")
    assert rows[15:17] == ["sample at step 40", "Once upon a time �[31mthere was " + "x " * 23 + "x"]
    assert rows[18].endswith("…")
    assert rows[19:] == [""]


@pytest.mark.parametrize(("columns", "lines"), [(40, 24), (60, 10), (200, 50), (20, 5)])
def test_other_terminals(screen, monkeypatch, columns, lines):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", str(lines))
    with Progress("a rather long name of a run " * 3, 100, screen, ticking()) as progress:
        for record in [*records(40), SAVE, SAMPLE]:
            progress.write(record)
    assert max(map(len, screen.rows)) <= columns
    assert ("loss so far" in screen.rows) == (lines >= 18)
    assert screen.cursor_is_shown


def test_fast_steps_are_not_all_drawn(screen):
    with Progress("tiny", 3000, screen, ticking(0.001)) as progress:
        for record in records(3000, every=5000):
            progress.write(record)
    assert screen.getvalue().count("tiny") < 50
    assert any("step 3,000 of 3,000  100 %" in row for row in screen.rows)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_cursor_comes_back_after_an_error(screen, error):
    progress = Progress("tiny", 100, screen)

    def train():
        with progress:
            progress.write(records(1)[1])
            assert not screen.cursor_is_shown
            raise error

    before = sys.stdout, sys.stderr
    with pytest.raises(error):
        train()
    assert screen.cursor_is_shown
    assert (sys.stdout, sys.stderr) == before
    length = len(screen.getvalue())
    progress.close()
    progress.write(records(1)[1])
    assert len(screen.getvalue()) == length


def test_closed_before_the_first_record(screen):
    Progress("tiny", 100, screen).close()
    assert screen.getvalue() == ""


def test_without_colours(screen, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    with Progress("tiny", 100, screen, ticking()) as progress:
        for record in records(40):
            progress.write(record)
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", screen.getvalue())


@pytest.mark.parametrize("dumb", [False, True])
def test_plain_lines(screen, monkeypatch, dumb):
    stream = screen if dumb else io.StringIO()
    monkeypatch.setenv("TERM", "dumb" if dumb else "xterm")
    with Progress("tiny", 100, stream) as progress:
        for record in [*records(40, every=40), SAVE, SAMPLE, *records(100, every=200)[41:]]:
            progress.write(record)
    text = stream.getvalue()
    assert "\x1b" not in text
    lines = text.splitlines()
    assert lines[0] == "step 0  begun"
    assert lines[1] == "step 1 of 100  1 %  loss 5.275  2,000 tokens/s  25% of peak  rate ×1.000  50 s left"
    assert [line for line in lines if "of 100" not in line][1:3] == [
        "step 40  val 0.667 bits/byte, the best so far", "step 40  saved step 40"]
    assert [int(line.split()[1]) for line in lines if "of 100" in line] == [1, 21, 41, 61, 81, 100]
    assert next(line for line in lines if "sample" in line).startswith("step 40  sample: Once upon a time �[31mthere")


def test_bad_numbers_are_shown_as_nothing(screen):
    with Progress("tiny", None, screen, ticking()) as progress:
        progress.write({"kind": "step", "step": 1, "time": 1.0, "loss": float("nan"), "lr": None})
        progress.write({"kind": "eval", "step": 1, "time": 1.0, "loss": None, "bpb": None})
        progress.write({"kind": "event", "step": 1, "time": 1.0, "event": "skip", "text": "step 1 is skipped: nan"})
    assert "step 1  step 1 is skipped: nan" in screen.rows
    assert any("1 skipped" in row for row in screen.rows)
    assert "nan" not in "".join(screen.rows).replace("skipped: nan", "")


def test_a_resumed_run_goes_on_from_its_records():
    now = Standing(100)
    for record in records(40):
        now.take(record, earlier=True)
    assert (now.step, len(now.curve), now.speed, now.seconds_left) == (40, 40, None, None)
    for step in range(41, 44):
        now.take({"kind": "step", "step": step, "time": 20.0 + 2 * (step - 40), "loss": 2.0, "tokens_per_second": 500})
    assert (now.speed, now.seconds_left) == (500, 114)
    assert now.best[1] == 40


def test_the_smoothed_loss_and_its_curve():
    now = Standing()
    smooth = 0.0
    for step in range(1, 5001):
        loss = 2.0 + (step % 2)
        now.take({"kind": "step", "step": step, "time": float(step), "loss": loss})
        smooth = 0.9 * smooth + 0.1 * loss
        assert now.loss == pytest.approx(smooth / (1 - 0.9 ** step))
    assert 512 <= len(now.curve) <= 1024
    assert now.curve[:500] == pytest.approx(2.5)


_PROGRAM = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from training_runs import records
from pynanochat.train.progress import Progress
progress = Progress("tiny", 100)
for record in records(100):
    progress.write(record)
    if record["step"] == 30:
        print("from elsewhere")
    if record["step"] == 50:
        {end}
"""


@pytest.mark.parametrize("end", ["raise ValueError('broken')", "os.kill(os.getpid(), signal.SIGINT)", "sys.exit(3)"])
def test_a_program_that_ends_without_closing(end):
    """Leaves the cursor on, and what it printed in the meantime above the view."""
    pytest.importorskip("termios")
    master, slave = os.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24",
                                "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", _PROGRAM.format(end=end)], stdin=slave, stdout=slave,
                               stderr=slave, env=environment, start_new_session=True)
    os.close(slave)
    screen = Screen(newline="")
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:
            data = b""
        if not data:
            break
        screen.write(data.decode("utf-8", "replace"))
    os.close(master)
    assert process.wait() != 0
    assert screen.cursor_is_shown
    assert "from elsewhere" in screen.rows
    assert any("step 50 of 100  50 %" in row for row in screen.rows)

"""The metrics file: one JSON line a record, whole after a kill, cut back when a run resumes."""

import json
import math
import os
import signal
import subprocess
import sys

import pytest
from training_runs import records

from pynanochat.errors import DataError
from pynanochat.train import metrics
from pynanochat.train.metrics import MetricsFile


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


def step(number, **more):
    return {"kind": "step", "step": number, "time": number / 2, "loss": 3.0} | more


def test_what_is_written_is_read(path):
    said = {"kind": "sample", "step": 1, "time": 0.5, "prompt": "Grüße\n", "text": "\x1b[31m 🙂 \u2028"}
    file = MetricsFile(path)
    for record in (step(1), said):
        file.write(record)
        assert metrics.read(path)[-1] == record  # at once
    file.close()
    file.close()
    assert metrics.read(path) == [step(1), said]
    assert path.read_bytes().count(b"\n") == 2


def test_numbers_that_json_lacks(path):
    file = MetricsFile(path)
    file.write(step(1, loss=math.nan, gradient_norm=math.inf, lr=1.0))
    file.close()
    text = path.read_text()
    assert json.loads(text, parse_constant=pytest.fail) == step(1, loss=None, gradient_norm=None, lr=1.0, bad=True)
    assert metrics.read(path)[0]["loss"] is None


def test_half_a_character_is_written_all_the_same(path):
    file = MetricsFile(path)
    file.write({"kind": "event", "step": 1, "time": 0.0, "event": "start", "text": "\ud83d"})
    file.close()
    assert metrics.read(path)[0]["text"] == "?"


@pytest.mark.parametrize("torn", [b"{", b'{"kind":"step","st', b"\0\0\0\0", json.dumps(step(3)).encode()])
def test_a_torn_last_line_is_dropped(path, torn):
    file = MetricsFile(path)
    file.write(step(1))
    file.write(step(2))
    file.close()
    path.write_bytes(path.read_bytes() + torn)
    assert metrics.read(path) == [step(1), step(2)]
    file = MetricsFile(path)
    file.write(step(3, loss=1.0))
    file.close()
    assert metrics.read(path) == [step(1), step(2), step(3, loss=1.0)]


def test_keep_until(path):
    file = MetricsFile(path)
    whole = records(40)
    for record in whole:
        file.write(record)
    file.keep_until(25)
    file.write(step(26, loss=9.0))
    file.close()
    assert metrics.read(path) == [record for record in whole if record["step"] <= 25] + [step(26, loss=9.0)]
    again = MetricsFile(path)
    inode = os.stat(path).st_ino
    again.keep_until(26)  # nothing to drop, nothing is written
    assert os.stat(path).st_ino == inode
    again.keep_until(-1)
    again.close()
    assert metrics.read(path) == []
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_new_file_is_empty(path):
    file = MetricsFile(path)
    file.keep_until(0)
    file.close()
    assert metrics.read(path) == []


@pytest.mark.parametrize("text", [
    "nonsense\n", "[]\n", "3\n", '{"kind": "step"}\n', '{"kind": 1, "step": 1, "time": 1}\n', "\n",
    '{"kind": "step", "step": -1, "time": 1}\n', '{"kind": "step", "step": true, "time": 1}\n',
    '{"kind": "step", "step": 1, "time": NaN}\n', '{"kind": "step", "step": 1, "time": "1"}\n', "[" * 100_000 + "\n",
    '{"kind": "step", "step": 1, "time": 1' + "0" * 400 + "}\n", b"\xff\xfe\n"])
def test_garbage_is_refused(path, text):
    path.write_bytes(json.dumps(step(1)).encode() + b"\n" + (text if isinstance(text, bytes) else text.encode()))
    with pytest.raises(DataError, match="line 2"):
        metrics.read(path)
    file = MetricsFile(path)
    with pytest.raises(DataError):
        file.keep_until(1)
    file.close()


def test_no_file(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        metrics.read(tmp_path / "nothing.jsonl")
    with pytest.raises(DataError):
        metrics.read(tmp_path)


def test_a_number():
    record = {"a": 1, "b": 2.5, "c": None, "d": "3", "e": True, "f": math.nan, "g": 10 ** 400}
    assert [metrics.number(record, name) for name in "abcdefgh"] == [1.0, 2.5, None, None, None, None, None, None]


def test_a_full_disk_leaves_whole_lines(path):
    """The system writes as much of a line as there is room for."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    file = MetricsFile(path)
    file.write(step(1))
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(path) + 20, before[1]))
        with pytest.raises(OSError, match=r"large|space"):
            file.write(step(2))
        with pytest.raises(OSError, match=r"large|space"):
            file.write(step(3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes().endswith(b"}\n")
    file.write(step(4))
    file.close()
    assert metrics.read(path) == [step(1), step(4)]


def test_a_kill_loses_no_record_that_was_written(path):
    code = ("import sys; from pathlib import Path; from pynanochat.train.metrics import MetricsFile\n"
            "file = MetricsFile(Path(sys.argv[1])); number = 0\n"
            "while True:\n"
            "    number += 1\n"
            "    file.write({'kind': 'step', 'step': number, 'time': 0.0, 'text': 'x' * 5000})\n"
            "    print(number, flush=True)\n")
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(50):
        said = int(process.stdout.readline())
    process.kill()
    said = int((process.stdout.read().split("\n")[:-1] or [str(said)])[-1])
    process.wait()
    process.stdout.close()
    found = [record["step"] for record in metrics.read(path)]
    assert found == list(range(1, len(found) + 1))
    assert said <= len(found) <= said + 1

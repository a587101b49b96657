"""How the training command ends: a second signal while it saves, a reader that leaves, streams that are closed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("torch")

import small_training
from fixture_files import parity
from small_training import losses
from stopped_scripts import PATIENCE, stopped

from pynanochat.checkpoint import run_folder
from pynanochat.train.run import read_saved

TRAINS = """
    import os, signal, sys
    from pynanochat.cli import main
    from pynanochat.train import recipes, run
    from small_training import config

    recipes.tiny = lambda *, vocab_size: config(steps={steps}, eval_every=0, save_every=1)
    original, signals = run._write_training, {signals}

    def write(folder, *rest):  # in the middle of a save
        original(folder, *rest)
        if signals:
            os.kill(os.getpid(), signals.pop(0))

    run._write_training = write
    sys.exit(main(["train", "pretrain", "--recipe", "tiny", "--data", "{data}", "--out", "{out}", "--threads", "1"]))
"""

MAKES = """
    import sys, time
    from pathlib import Path
    import pynanochat.cores
    from pynanochat.cli import main
    from pynanochat.tokenizer import Tokenizer
    from pynanochat.train import bundled

    def write(folder, documents, *_, **__):
        next(documents)
        print("ready", flush=True)
        time.sleep(100)

    pynanochat.cores.cores = lambda: 2
    bundled.shards.write = write
    Tokenizer.load("{tokenizer}").save(Path("{out}", "tokenizer"))
    sys.exit(main(["train", "bundled", "--out", "{out}", "--threads", "1"]))
"""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and pipes are POSIX's")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_training.data(tmp_path_factory.mktemp("texts") / "shards")


def command(texts: Path, out: Path, steps: int = 3, signals: tuple[int, ...] = ()) -> list[str]:
    words = {"data": texts, "out": out, "steps": steps, "signals": list(map(int, signals))}
    return [sys.executable, "-c", textwrap.dedent(TRAINS).format(**words)]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}


def ran(line: list[str], **streams: object) -> subprocess.CompletedProcess[str]:
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    return subprocess.run(line, text=True, timeout=PATIENCE, env=environment(), check=False, **given)


@pytest.mark.parametrize(("second", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_a_second_signal_while_it_saves_leaves_the_older_checkpoint(
    texts: Path, tmp_path: Path, second: signal.Signals, code: int
) -> None:
    out = tmp_path / "run"
    ended = ran(command(texts, out, signals=(signal.SIGTERM, second)))
    assert ended.returncode == code
    assert ended.stdout == ""
    assert all(line.startswith("step ") for line in ended.stderr.splitlines())
    assert run_folder.steps(out) == [1]
    assert read_saved(run_folder.folder_of(out, 1)).position.step == 1
    again = ran(command(texts, out))
    assert (again.returncode, again.stdout) == (0, f"{out}\n")
    assert run_folder.steps(out) == [2, 3]
    assert sorted(losses(out)) == [1, 2, 3]
    assert not list((out / run_folder.CHECKPOINTS).glob(".*"))


def test_ctrl_c_while_texts_are_made_is_one_line(tmp_path: Path) -> None:
    code, said = stopped(MAKES, signal.SIGINT, tokenizer=parity("tokenizer_512"), out=tmp_path / "made")
    making, *rest = said.splitlines()
    assert making.startswith(f"making {tmp_path / 'made' / 'data'}: ")
    assert (code, rest) == (130, ["stopped; the same command goes on with what is done"])
    assert [entry.name for entry in (tmp_path / "made").iterdir()] == ["tokenizer"]


def test_a_reader_that_leaves_costs_no_step(texts: Path, tmp_path: Path) -> None:
    receive, send = os.pipe()
    os.close(receive)
    try:
        for name in ("stdout", "stderr"):
            ended = ran(command(texts, tmp_path / name), **{name: send})
            assert ended.returncode in (120, 141)  # 120: Python's own word for a stream that cannot be emptied
            assert "Error" not in (ended.stderr or "") + (ended.stdout or "")
            assert run_folder.steps(tmp_path / name) == [2, 3]
    finally:
        os.close(send)


def test_closed_streams_are_no_error(texts: Path, tmp_path: Path) -> None:
    line = ["sh", "-c", 'exec "$0" "$@" >&- 2>&-', *command(texts, tmp_path / "run")]
    assert ran(line).returncode == 0
    assert run_folder.steps(tmp_path / "run") == [2, 3]

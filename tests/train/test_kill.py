"""kill -9 at any moment, also while a checkpoint is written: the run goes on and repeats itself to the bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch")

import small_training
from small_training import losses, weights

STEPS = 40
PATIENCE = 120.0  # seconds for a process to do something; importing torch alone takes several on a busy machine


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_training.data(tmp_path_factory.mktemp("texts") / "shards")


def started(texts: Path, out: Path) -> subprocess.Popen[bytes]:
    """The run in a process of its own, which saves after every second step."""
    network = out.parent / "network.json"
    arguments = ["--data", texts, "--out", out, "--settings", network]
    network.write_text(json.dumps(small_training.config(steps=STEPS, save_every=2, eval_every=0).to_dict()))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen([sys.executable, Path(__file__).with_name("run_of_a_second.py"), *arguments],
                            env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def kill_during(texts: Path, out: Path, choose: random.Random) -> bool:
    """Start the run, let it come a little further, kill it; whether it was alive."""
    process = started(texts, out)
    assert process.stdout is not None
    try:
        process.stdout.readline()  # it trains
        time.sleep(choose.uniform(0.0, 0.25))
        alive = process.poll() is None
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait(PATIENCE)
        process.stdout.close()
    return alive


def finish(texts: Path, out: Path) -> None:
    process = started(texts, out)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


def check(texts: Path, folder: Path, kills: int, seed: int) -> None:
    whole = folder / "whole" / "run"
    whole.parent.mkdir(parents=True)
    finish(texts, whole)
    choose, done, number = random.Random(seed), 0, 0
    while done < kills:
        number += 1
        out = folder / f"killed-{number}" / "run"
        out.parent.mkdir()
        for _ in range(min(kills - done, 4)):
            done += 1
            if not kill_during(texts, out, choose):
                break
        finish(texts, out)
        assert losses(out) == losses(whole)
        assert weights(out, STEPS) == weights(whole, STEPS)
        assert sorted(path.name for path in (out / "checkpoints").iterdir()) == [f"step_{STEPS - 2:06d}",
                                                                                f"step_{STEPS:06d}"]


def test_kill(texts: Path, tmp_path: Path) -> None:
    check(texts, tmp_path, kills=3, seed=0)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 2])  # 200 kills, by two processes where there are two cores
def test_100_kills(texts: Path, tmp_path: Path, seed: int) -> None:
    check(texts, tmp_path, kills=100, seed=seed)

"""Several processes train the same network as one, and a run may go on with another number of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import several_processes
import small_training
from small_training import config, losses, weights

from pynanochat.train import stages


def train(processes: Any, settings: dict[str, Any], data: str, out: str) -> int:
    return stages.pretrain(config(**settings), data=data, out=out, processes=processes).step


def near(left: Path, right: Path, steps: range, noise: float) -> bool:
    """Whether the losses of two runs are the same but for the noise of sums in another order."""
    own, other = losses(left), losses(right)
    return all(float.fromhex(own[step]) == pytest.approx(float.fromhex(other[step]), rel=noise) for step in steps)


def test_two_processes_have_the_losses_of_one(tmp_path: Path) -> None:
    texts = small_training.data(tmp_path / "shards")
    settings = {"steps": 6, "rows": 4}
    alone = stages.pretrain(config(**settings), data=texts, out=tmp_path / "alone").run
    two = tmp_path / "two"
    assert several_processes.run(train, 2, tmp_path, settings, str(texts), str(two)) == [6, 6]
    assert near(alone, two, range(1, 2), 1e-6)
    assert near(alone, two, range(2, 7), 1e-4)
    assert several_processes.run(train, 2, tmp_path, settings, str(texts), str(tmp_path / "again")) == [6, 6]
    assert losses(tmp_path / "again") == losses(two)
    assert weights(tmp_path / "again", 6) == weights(two, 6)


def test_a_run_of_one_goes_on_with_two(tmp_path: Path) -> None:
    texts = small_training.data(tmp_path / "shards")
    whole = stages.pretrain(config(steps=6), data=texts, out=tmp_path / "whole").run

    class Stops:
        def write(self, record: dict[str, Any]) -> None:
            if record["kind"] == "step" and record["step"] == 3:
                import os
                import signal

                os.kill(os.getpid(), signal.SIGTERM)

        def close(self) -> None:
            pass

    out = tmp_path / "alone first"
    stages.pretrain(config(steps=6), data=texts, out=out, sinks=[Stops()])
    several_processes.run(train, 2, tmp_path, {"steps": 6}, str(texts), str(out))
    assert near(whole, out, range(1, 7), 1e-4)
    assert list(losses(out)) == list(range(1, 7))

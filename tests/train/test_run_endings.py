"""A run that goes on after damage, after a bad step, after its last step: what stays, and what is said."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import small_training
from small_training import config
from training_runs import damage

from pynanochat.checkpoint import run_folder
from pynanochat.errors import TrainingError
from pynanochat.train import stages
from pynanochat.train.trainer import Trainer


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_training.data(tmp_path_factory.mktemp("texts") / "shards")


class StopsAt:
    """A sink that sends SIGTERM to its own process when a step, or what follows it, is told."""

    def __init__(self, step: int, kind: str = "step") -> None:
        self._step, self._kind = step, kind

    def write(self, record: dict[str, Any]) -> None:
        if record["kind"] == self._kind and record["step"] == self._step:
            os.kill(os.getpid(), signal.SIGTERM)

    def close(self) -> None:
        pass


def events(run: Path) -> list[tuple[str, str]]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [(line["event"], line["text"]) for line in lines if line["kind"] == "event"]


@pytest.mark.parametrize("keep_best", [True, False])
def test_what_is_saved_after_damage_stays(texts: Path, tmp_path: Path, keep_best: bool) -> None:
    out, settings = tmp_path / "run", config(steps=4, eval_every=1, save_every=1, keep_last=3, keep_best=keep_best)
    stages.pretrain(settings, data=texts, out=out)
    assert {2, 3, 4} <= set(run_folder.steps(out))
    for step in (3, 4):
        damage(run_folder.folder_of(out, step))
    shutil.copytree(run_folder.folder_of(out, 4), run_folder.folder_of(out, 9))  # of a life with more steps
    shorter = config(steps=4, eval_every=1, save_every=1, keep_last=1, keep_best=keep_best)
    outcome = stages.pretrain(shorter, data=texts, out=out, sinks=[StopsAt(3)])
    assert (outcome.step, outcome.finished) == (3, False)
    position = json.loads((run_folder.folder_of(out, 3) / "training.json").read_bytes()[:-65])["position"]
    best = {position["best_step"]} if keep_best else set()
    assert set(run_folder.steps(out)) == {3} | best
    assert stages.pretrain(shorter, data=texts, out=out).finished


def test_rows_are_free_without_dropout_alone(texts: Path, tmp_path: Path) -> None:
    for dropout in (0.0, 0.1):
        out = tmp_path / str(dropout)
        stages.pretrain(config(steps=1, eval_every=0, dropout=dropout), data=texts, out=out)
        again = config(steps=1, eval_every=0, dropout=dropout, rows=8)
        if dropout:
            with pytest.raises(TrainingError, match=r"another rows \(4 there, 8 now, which changes what dropout"):
                stages.pretrain(again, data=texts, out=out)
        else:
            assert stages.pretrain(again, data=texts, out=out).finished


def test_advice_after_a_bad_step_can_be_followed(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, bad = Trainer._gradients, {2}
    monkeypatch.setattr(Trainer, "_gradients", lambda self: original(self) * (math.nan if self.step in bad else 1))
    out, settings = tmp_path / "run", {"steps": 12, "eval_every": 0, "save_every": 1}
    with pytest.raises(TrainingError, match=r"step 3: the loss is nan; nothing of this step was kept. Give "
                       r"--on-bad-step skip .* --start RUN --out NEW --start-lr-frac 0.5$"):
        stages.pretrain(config(**settings), data=texts, out=out)
    bad |= set(range(12))
    with pytest.raises(TrainingError, match=r"step 12: the loss is nan; nothing was kept of 10 bad steps in a row, and "
                       r"to skip more will not help\. Begin a new run") as caught:
        stages.pretrain(config(on_bad_step="skip", **settings), data=texts, out=out)
    assert "--on-bad-step" not in str(caught.value)
    bad.clear()
    lower = config(start_lr_frac=0.5, **settings)
    assert stages.pretrain(lower, data=texts, out=tmp_path / "new", start=out).finished


@pytest.mark.parametrize("kind", ["step", "eval"])
def test_a_signal_in_the_last_step_leaves_a_run_that_is_done(texts: Path, tmp_path: Path, kind: str) -> None:
    out, settings = tmp_path / "run", config(steps=2, eval_every=0)
    outcome = stages.pretrain(settings, data=texts, out=out, sinks=[StopsAt(2, kind)])
    assert (outcome.step, outcome.finished, outcome.exit_code) == (2, True, 143)
    assert outcome.checkpoint == run_folder.folder_of(out, 2)
    event, text = events(out)[-1]
    assert (event, text.partition(",")[0]) == ("end", "done at step 2 of 2")
    assert "goes on" not in text

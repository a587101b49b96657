"""A run's checkpoint in upstream's format: weights, meta and optimizer, from which a run goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

import small_training
import torch
from small_training import config, losses

from pynanochat.cli import main
from pynanochat.errors import TrainingError
from pynanochat.train import stages
from pynanochat.train.export import write_optimizer


def test_converted_with_its_optimizer(tmp_path: Path) -> None:
    texts = small_training.data(tmp_path / "shards")
    settings = config(network=small_training.UPSTREAMS, keep_last=9)
    run = stages.pretrain(settings, data=texts, out=tmp_path / "run").run
    assert main(["convert", str(run / "checkpoints/step_000006"), str(tmp_path / "up"), "--format", "nanochat"]) == 0
    names = sorted(path.name for path in (tmp_path / "up").iterdir())
    assert "optim_000006_rank0.pt" in names
    state = torch.load(tmp_path / "up" / "optim_000006_rank0.pt", weights_only=True)
    assert {group["kind"] for group in state["param_groups"]} == {"adamw", "muon"}
    gone_on = stages.pretrain(settings, data=texts, out=tmp_path / "on", start=tmp_path / "up").run
    first, whole = losses(gone_on), losses(run)
    assert list(first) == list(range(7, 13))
    # The rows are those of the first steps, which a converted model does not tell; the level is that of a trained one.
    assert float.fromhex(first[7]) < 0.7 * float.fromhex(whole[1])
    assert main(["convert", str(run / "checkpoints/step_000009"), str(tmp_path / "up"), "--format", "nanochat"]) == 2


def test_a_checkpoint_outside_its_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="lies in no run's folder"):
        write_optimizer(tmp_path / "checkpoints" / "step_000001", tmp_path)

"""A run as a whole: it learns, goes on where it was left to the bit, and never harms what it has saved."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import small_training  # noqa: E402
from small_training import config, losses, weights  # noqa: E402
from training_runs import damage  # noqa: E402

import pynanochat as nc  # noqa: E402
from pynanochat.distributed.processes import Processes  # noqa: E402
from pynanochat.errors import CheckpointError, DamagedFileError, DataError, TrainingError  # noqa: E402
from pynanochat.train import stages  # noqa: E402
from pynanochat.train.run import Run  # noqa: E402
from pynanochat.train.trainer import Trainer  # noqa: E402


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_training.data(tmp_path_factory.mktemp("texts") / "shards")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, texts: Path) -> Path:
    """A run that nothing interrupted."""
    outcome = stages.pretrain(config(), data=texts, out=tmp_path_factory.mktemp("whole") / "run")
    assert outcome.finished
    assert outcome.exit_code == 0
    return outcome.run


class StopsAt:
    """A sink that sends a signal to its own process when a step is told."""

    def __init__(self, step: int, number: int) -> None:
        self._step, self._number = step, number

    def write(self, record: dict) -> None:
        if record["kind"] == "step" and record["step"] == self._step:
            os.kill(os.getpid(), self._number)

    def close(self) -> None:
        pass


def records(run: Path, kind: str) -> list[dict]:
    return [record for record in map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
            if record["kind"] == kind]


def test_it_learns_and_keeps_the_best_and_the_last(whole: Path) -> None:
    found = [float.fromhex(loss) for loss in losses(whole).values()]
    assert len(found) == 12
    assert found[-1] < 0.8 * found[0]
    assert abs(found[0] - math.log(265)) < 0.1  # a head near zero says nothing yet
    values = {record["step"]: record["bpb"] for record in records(whole, "eval")}
    best = min(values, key=lambda step: values[step])
    kept = {int(folder.name[5:]) for folder in (whole / "checkpoints").iterdir()}
    assert kept == {9, 12, best}
    assert nc.load(whole).logits([1, 2]).shape == (2, 265)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [4, 6])
def test_a_signal_saves_and_the_run_goes_on_to_the_bit(
    whole: Path, texts: Path, tmp_path: Path, number: signal.Signals, step: int
) -> None:
    out = tmp_path / "run"
    outcome = stages.pretrain(config(), data=texts, out=out, sinks=[StopsAt(step, number)])
    assert (outcome.step, outcome.finished, outcome.exit_code) == (step, False, 128 + number)
    assert (out / "checkpoints" / f"step_{step:06d}").is_dir()
    assert signal.getsignal(number) is not None
    assert stages.pretrain(config(), data=texts, out=out).finished
    assert losses(out) == losses(whole)
    assert weights(out, 12) == weights(whole, 12)


def test_a_finished_run_is_left_as_it_is(whole: Path, texts: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "run"))
    before = weights(out, 12)
    assert stages.pretrain(config(), data=texts, out=out).finished
    assert weights(out, 12) == before


def test_a_damaged_checkpoint_is_passed_over(
    whole: Path, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("model.safetensors", "optimizer.safetensors", "training.json", "config.json"):
        out = Path(shutil.copytree(whole, tmp_path / name))
        damage(out / "checkpoints" / "step_000012", name)
        assert stages.pretrain(config(), data=texts, out=out).finished
        assert "step 12 is passed over" in capsys.readouterr().err
        assert losses(out) == losses(whole)
        assert weights(out, 12) == weights(whole, 12)


def test_a_run_without_a_whole_checkpoint_does_not_begin_anew(whole: Path, texts: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "run"))
    for folder in (out / "checkpoints").iterdir():
        damage(folder)
    with pytest.raises(DamagedFileError, match="no checkpoint that is whole"):
        stages.pretrain(config(), data=texts, out=out)


def test_a_run_with_other_settings_is_refused(whole: Path, texts: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "run"))
    with pytest.raises(TrainingError, match=r"another matrix_lr \(0.02 there, 0.1 now\)"):
        stages.pretrain(config(matrix_lr=0.1), data=texts, out=out)
    other = small_training.data(tmp_path / "other", seed=1)
    with pytest.raises(DataError, match="other shards"):
        stages.pretrain(config(), data=other, out=out)
    with pytest.raises(TrainingError, match="another stage"):
        stages.sft(config(), start=out, data=texts, out=out)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    with pytest.raises(TrainingError, match="is no run"):
        stages.pretrain(config(), data=texts, out=tmp_path / "full")


def test_two_trainings_in_one_folder_are_refused(whole: Path, texts: Path) -> None:
    pytest.importorskip("fcntl")
    run = Run(whole, config(), {"stage": "base"}, print, Processes.alone())
    with run.held(), pytest.raises(TrainingError, match="is being trained by another process"):
        stages.pretrain(config(), data=texts, out=whole)


def test_the_size_of_a_micro_batch_changes_float_noise_alone(whole: Path, texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    stages.pretrain(config(rows=8), data=texts, out=out)
    other, own = losses(out), losses(whole)
    for step, noise in ((1, 1e-6), (2, 1e-4), (3, 1e-4)):  # AdamW's first steps follow the sign of vanishing gradients
        assert float.fromhex(other[step]) == pytest.approx(float.fromhex(own[step]), rel=noise)


def test_dropout_depends_on_the_step_alone(texts: Path, tmp_path: Path) -> None:
    settings = config(dropout=0.2, steps=6)
    stages.pretrain(settings, data=texts, out=tmp_path / "one")
    stages.pretrain(settings, data=texts, out=tmp_path / "two", sinks=[StopsAt(4, signal.SIGTERM)])
    torch.rand(100)
    stages.pretrain(settings, data=texts, out=tmp_path / "two")
    assert losses(tmp_path / "one") == losses(tmp_path / "two")


@pytest.fixture
def broken_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fifth step's loss is no number."""
    original = Trainer._gradients
    monkeypatch.setattr(Trainer, "_gradients",
                        lambda self: original(self) * (math.nan if self.step == 4 else 1.0))


@pytest.mark.usefixtures("broken_step")
def test_a_bad_step_stops_the_run_with_everything_as_it_was(texts: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="step 5: the loss is nan; nothing of this step was kept"):
        stages.pretrain(config(), data=texts, out=tmp_path / "run")
    assert "the loss is nan" in records(tmp_path / "run", "event")[-1]["text"]
    assert [folder.name for folder in (tmp_path / "run" / "checkpoints").iterdir()] == ["step_000003"]


@pytest.mark.usefixtures("broken_step")
def test_a_bad_step_is_skipped_where_that_is_asked(texts: Path, tmp_path: Path) -> None:
    assert stages.pretrain(config(on_bad_step="skip"), data=texts, out=tmp_path / "run").finished
    (event,) = [record for record in records(tmp_path / "run", "event") if record["event"] == "skip"]
    assert event["text"] == "step 5 was skipped: the loss is nan"
    assert all(np.isfinite(record["loss"]) for record in records(tmp_path / "run", "eval"))


def test_a_full_disk_costs_a_checkpoint_and_not_the_run(
    whole: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pynanochat.train import run as run_module

    original, calls = run_module.safetensors_file.write, []

    def write(*arguments: object, **more: object) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        original(*arguments, **more)

    monkeypatch.setattr(run_module.safetensors_file, "write", write)
    assert stages.pretrain(config(), data=texts, out=tmp_path / "run").finished
    (event,) = [record for record in records(tmp_path / "run", "event") if "was not saved" in record["text"]]
    assert "the disk is full" in event["text"]
    assert losses(tmp_path / "run") == losses(whole)
    assert not list((tmp_path / "run" / "checkpoints").glob(".*"))


def test_a_last_checkpoint_that_cannot_be_written_is_an_error(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    from pynanochat.train import run as run_module

    monkeypatch.setattr(run_module.safetensors_file, "write", write)
    with pytest.raises(CheckpointError, match="the disk is full"):
        stages.pretrain(config(), data=texts, out=tmp_path / "run")


def test_sft_learns_answers_alone(whole: Path, tmp_path: Path) -> None:
    talk = small_training.data(tmp_path / "talk", conversations=True)
    settings = replace(config(), sample_prompts=("Which cat 3?",))
    outcome = stages.sft(settings, start=whole, data=talk, out=tmp_path / "sft")
    assert outcome.finished
    found = [float.fromhex(loss) for loss in losses(outcome.run).values()]
    assert found[-1] < found[0]
    assert json.loads((outcome.run / "run.json").read_text())["stage"] == "sft"
    assert records(outcome.run, "sample")


def test_a_start_of_another_network_is_refused(whole: Path, texts: Path, tmp_path: Path) -> None:
    other = replace(config(), network=replace(small_training.NETWORK, n_embd=64))
    with pytest.raises(TrainingError, match="another n_embd"):
        stages.sft(other, start=whole, data=texts, out=tmp_path / "run")
    with pytest.raises(TrainingError, match="stands at step 12, the run ends at 12"):
        stages.pretrain(config(), start=whole, data=texts, out=tmp_path / "run2")


def test_data_of_another_vocabulary_is_refused(texts: Path, tmp_path: Path) -> None:
    other = replace(config(), network=replace(small_training.NETWORK, vocab_size=300))
    with pytest.raises(DataError, match="265 tokens, the model 300"):
        stages.pretrain(other, data=texts, out=tmp_path / "run")

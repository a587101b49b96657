"""A training run's folder as a model: its newest checkpoint that is whole, or the one of a step."""

import json
import shutil

import pytest
from training_runs import CONFIG, add_checkpoint, damage, make_run

import pynanochat as nc
from pynanochat import checkpoint
from pynanochat.checkpoint import native, run_folder
from pynanochat.cli import main
from pynanochat.errors import CheckpointError, DamagedFileError, NotFoundError
from pynanochat.initialize import random_tensors


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "tiny", 10, 20, 30)


@pytest.fixture
def run(made, tmp_path):
    return shutil.copytree(made, tmp_path / "tiny")


def folder(run, step):
    return run_folder.folder_of(run, step)


def test_what_is_a_run(run, tmp_path):
    assert run_folder.is_run(run)
    assert not run_folder.is_run(folder(run, 10))
    assert not run_folder.is_run(tmp_path / "nowhere")
    for text in ("{}", "nonsense", '{"format": "other"}', "[]"):
        (tmp_path / "run.json").write_text(text)
        assert not run_folder.is_run(tmp_path)


def test_steps_are_the_finished_checkpoints(run):
    (run / "checkpoints" / ".step_000040.new-01234567").mkdir()
    (run / "checkpoints" / "step_000050").write_text("a file")
    (run / "checkpoints" / "step_60").mkdir()
    (run / "checkpoints" / "best").mkdir()
    assert run_folder.steps(run) == [10, 20, 30]
    assert run_folder.step_of(folder(run, 1234567)) == 1234567
    assert run_folder.title(folder(run, 1500)) == "tiny, step 1,500"
    assert run_folder.title(run) == "tiny"


def test_the_newest_is_the_model(run):
    assert run_folder.newest_good(run) == folder(run, 30)
    opened = checkpoint.open(checkpoint.resolve(run))
    assert (opened.path, opened.notes) == (folder(run, 30), ())


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_damaged_ones_are_passed_over(run, name):
    damage(folder(run, 30), name)
    (folder(run, 20) / name).unlink()
    notes = []
    assert run_folder.newest_good(run, notes.append) == folder(run, 10)
    opened = checkpoint.open(run)
    assert opened.path == folder(run, 10)
    assert len(opened.notes) == len(notes) == 2
    assert opened.notes[0].startswith("step 30 is passed over: ")
    damage(folder(run, 10), name)
    with pytest.raises(DamagedFileError, match="no checkpoint that is whole"):
        run_folder.newest_good(run)
    with pytest.raises(DamagedFileError):
        nc.load(run)


def test_a_truncated_one_is_passed_over_without_verifying_too(run):
    file = folder(run, 30) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    assert checkpoint.open(run, verify=False).path == folder(run, 20)


def test_one_step(run):
    assert checkpoint.resolve(run, step=20) == folder(run, 20)
    assert checkpoint.open(run, step=20).path == folder(run, 20)
    assert nc.load(run, step=20).checkpoint.meta["step"] == 20
    for look in (checkpoint.resolve, checkpoint.open):
        with pytest.raises(NotFoundError, match=r"no checkpoint of step 15; there are 10, 20, 30"):
            look(run, step=15)
    damage(folder(run, 20))
    with pytest.raises(DamagedFileError):  # who names a step wants no other
        checkpoint.open(run, step=20)


def test_before_the_first_checkpoint(tmp_path):
    run = make_run(tmp_path / "new")
    for look in (nc.load, nc.inspect, run_folder.newest_good):
        with pytest.raises(NotFoundError, match="saved no checkpoint yet"):
            look(run)
    (run / "checkpoints").rmdir()
    with pytest.raises(NotFoundError, match="no checkpoint is saved yet"):
        checkpoint.resolve(run, step=3)


def test_nothing_is_verified_twice(run, monkeypatch):
    seen = []
    monkeypatch.setattr(native, "sha256", lambda path, real=native.sha256: (seen.append(path), real(path))[1])
    nc.load(run)
    assert sorted(path.name for path in seen) == ["model.safetensors", "tokenizer.json"]


def test_a_checkpoint_that_vanishes_while_it_is_read(run):
    """Training goes on meanwhile, saves the next one and removes those that are read."""
    looked = []

    def read(place):
        looked.append(place)
        if len(looked) == 1:
            for step in (10, 20, 30):
                shutil.rmtree(folder(run, step))
            add_checkpoint(run, 40)
        return run_folder.read_whole(place)

    opened, notes = run_folder.newest(run, read)
    assert (opened.path, notes) == (folder(run, 40), ())


def test_a_checkpoint_with_the_trainers_files_is_not_replaced(run):
    place = folder(run, 30)
    (place / "optimizer.safetensors").write_bytes(b"state")
    with pytest.raises(CheckpointError, match=r"optimizer\.safetensors.* would be lost"):
        checkpoint.save(place, config=CONFIG, tensors=random_tensors(CONFIG, 1))
    assert (place / "optimizer.safetensors").read_bytes() == b"state"


def test_commands_take_a_run(run, tmp_path, capsys):
    assert main(["inspect", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["meta"]["step"] == 30
    assert main(["convert", str(run), str(tmp_path / "out"), "--step", "10"]) == 0
    assert checkpoint.open(tmp_path / "out").meta["step"] == 10
    damage(folder(run, 30))
    assert main(["generate", "hi", "-m", str(run), "--max-tokens", "2", "--json"]) == 0
    said = capsys.readouterr()
    assert "note: step 30 is passed over" in said.err
    assert main(["generate", "hi", "-m", str(run), "--step", "5"]) == 2
    assert "there are 10, 20, 30" in capsys.readouterr().err

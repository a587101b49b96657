"""What training is given and cannot use costs one clear line; what only people look at never costs the run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import small_training  # noqa: E402
from small_training import config  # noqa: E402

from pynanochat.checkpoint import staging  # noqa: E402
from pynanochat.cli import train_options  # noqa: E402
from pynanochat.errors import DataError, NanochatError, TrainingError  # noqa: E402
from pynanochat.tokenizer import Tokenizer  # noqa: E402
from pynanochat.train import session, shards, stages  # noqa: E402
from pynanochat.train.config import TrainConfig  # noqa: E402
from pynanochat.train.texts import Document, files  # noqa: E402
from pynanochat.train.tokenization import encode_all  # noqa: E402


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_training.data(tmp_path_factory.mktemp("texts") / "shards")


def warnings(run: Path) -> list[str]:
    records = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [record["text"] for record in records if record.get("event") == "warn"]


def test_a_sample_that_fails_is_told_and_the_run_goes_on(tmp_path: Path, texts: Path) -> None:
    prompts = "word " * 5000, "Once"
    outcome = stages.pretrain(config(steps=2, save_every=1, sample_prompts=prompts), data=texts, out=tmp_path / "run")
    assert outcome.finished
    assert all("no sample" in text for text in warnings(outcome.run))


def test_held__out_rows__without_text_cost_no_checkpoint(
        tmp_path: Path, texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: object) -> None:
        raise DataError("the held-out rows hold no text")

    monkeypatch.setattr(session, "evaluate", nothing)
    outcome = stages.pretrain(config(steps=1), data=texts, out=tmp_path / "run")
    assert outcome.finished
    assert outcome.bpb is None
    assert warnings(outcome.run) == ["not evaluated: the held-out rows hold no text"]


def test_run_that_is_done_still_names_its_checkpoint(tmp_path: Path, texts: Path) -> None:
    first = stages.pretrain(config(steps=1), data=texts, out=tmp_path / "run")
    assert stages.pretrain(config(steps=1), data=texts, out=tmp_path / "run").checkpoint == first.checkpoint


def test_shards_of_another_tokenizer_of_the_same_size_are_refused(tmp_path: Path, texts: Path) -> None:
    base = stages.pretrain(config(steps=1), data=texts, out=tmp_path / "base").run
    own = shards.open(texts).tokenizer
    ranks = sorted(own.ranks, key=own.ranks.__getitem__)
    ranks[0], ranks[1] = ranks[1], ranks[0]
    other = Tokenizer({token: rank for rank, token in enumerate(ranks)}, own.special_tokens, pattern=own.pattern)
    shards.write(tmp_path / "other", [Document(text=f"text {number}") for number in range(99)], other)
    with pytest.raises(DataError, match="another tokenizer"):
        stages.sft(config(steps=1), start=base, data=tmp_path / "other", out=tmp_path / "sft")


@pytest.mark.parametrize("name", ["meta", "gpu", "cuda:x", "cpu --", "cpu:1234"])
def test_device_that_is_none(tmp_path: Path, texts: Path, name: str) -> None:
    with pytest.raises(TrainingError, match="expected cpu, cuda or mps"):
        stages.pretrain(config(steps=1), data=texts, out=tmp_path / "run", device=name)


def test_home_of_nobody_is_no_traceback(texts: Path) -> None:
    nobody = "~nobody-of-that-name/x"
    with pytest.raises(NanochatError, match="no home folder"):
        files(nobody)
    with pytest.raises(NanochatError, match="no home folder"):
        shards.open(nobody)
    with pytest.raises(NanochatError, match="no home folder"):
        shards.write(nobody, [], shards.open(texts).tokenizer)
    with pytest.raises(NanochatError, match="no home folder"):
        stages.pretrain(config(steps=1), data=texts, out=nobody)


@pytest.mark.skipif(os.name == "nt", reason="links are POSIX's")
def test_link_to_shards_stays_one(tmp_path: Path, texts: Path) -> None:
    own, link = shards.open(texts).tokenizer, tmp_path / "link"
    some = [Document(text=f"text {number}") for number in range(9)]
    shards.write(tmp_path / "real", some, own)
    link.symlink_to("real")
    shards.write(link, some[:5], own)
    assert link.is_symlink()
    assert sum(split.documents for split in shards.open(tmp_path / "real").splits.values()) == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


@pytest.mark.skipif(os.name == "nt", reason="drives have other roots")
@pytest.mark.parametrize("place", ["/", "."])
def test_place_that_is_not_ours_to_replace(tmp_path: Path, texts: Path, place: str,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").touch()
    with pytest.raises(DataError, match="would be lost"):
        shards.write(place, [Document(text="a text")], shards.open(texts).tokenizer)


def test_interrupt_between_two_names_loses_no_shards(tmp_path: Path, texts: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    own, real = shards.open(texts).tokenizer, os.rename
    some = [Document(text=f"text {number}") for number in range(9)]
    shards.write(tmp_path / "shards", some, own)

    def interrupted(left: Path, right: Path) -> None:
        if ".new-" in Path(left).name:
            raise KeyboardInterrupt
        real(left, right)

    monkeypatch.setattr(os, "rename", interrupted)
    monkeypatch.setattr(staging, "_exchange", lambda *_: False)  # as where the system cannot swap two names
    with pytest.raises(KeyboardInterrupt):
        shards.write(tmp_path / "shards", some[:5], own)
    assert sum(split.documents for split in shards.open(tmp_path / "shards").splits.values()) == 9
    assert [path.name for path in tmp_path.iterdir()] == ["shards"]


@pytest.mark.parametrize("count", [0, -1, True, 2000])
def test_number_of_processes_that_cannot_be(texts: Path, count: int) -> None:
    with pytest.raises(TrainingError, match="processes is"):
        list(encode_all([], shards.open(texts).tokenizer, count))


@pytest.mark.parametrize(("name", "value"), [
    ("network", None), ("network", {}), ("spike", float("inf")), ("sample_prompts", "abc"), ("sample_prompts", (1,))])
def test_setting_of_the_wrong_kind(name: str, value: object) -> None:
    with pytest.raises(TrainingError, match=name):
        TrainConfig(**{"network": config().network, "steps": 1, name: value})


@pytest.mark.parametrize("values", [[], {"network": [], "steps": 1}, {}])
def test_run_whose_settings_are_damaged(values: object) -> None:
    with pytest.raises(NanochatError):
        TrainConfig.from_dict(values)


def test_only_the_first_of_torchruns_processes_speaks(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = session.Outcome(tmp_path, None, 1, True, 0, None)
    running = train_options.TrainRunning()
    monkeypatch.setenv("RANK", "1")
    assert train_options.ended(outcome, json=True) == 0
    assert train_options.sinks(running, tmp_path, config()) == []
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("RANK", "0")
    assert train_options.ended(outcome, json=True) == 0
    assert json.loads(capsys.readouterr().out)["finished"] is True

"""How a run begins: its shards are those that were written, and its data goes on where that of its start stood."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

import small_training
from small_training import config, losses

from pynanochat.errors import DataError
from pynanochat.train import stages

EVEN = config(steps=6, eval_every=0, warmup_steps=0, warmdown_ratio=0.0, weight_decay=0.0)  # whatever the last step


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_training.data(tmp_path_factory.mktemp("texts") / "shards")


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory, texts: Path) -> Path:
    """The first three of six steps."""
    out = tmp_path_factory.mktemp("half") / "run"
    assert stages.pretrain(replace(EVEN, steps=3), data=texts, out=out).finished
    return out


def told(run: Path) -> str:
    """The line that a run began with."""
    return next(record["text"] for record in map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
                if record["kind"] == "event" and record["event"] == "start")


def test_a_run_that_starts_from_another_sees_what_that_would_have_seen(
    half: Path, texts: Path, tmp_path: Path
) -> None:
    whole, rest = tmp_path / "whole", tmp_path / "rest"
    stages.pretrain(EVEN, data=texts, out=whole)
    stages.pretrain(EVEN, data=texts, out=rest, start=half)
    assert losses(rest)[4] == losses(whole)[4]
    assert told(rest).endswith(" on")
    assert "data from epoch 0." in told(rest)


def test_other_data_or_another_order_begins_anew_and_says_so(half: Path, texts: Path, tmp_path: Path) -> None:
    settings = config(steps=4, eval_every=0, save_every=0)
    other = small_training.data(tmp_path / "other", seed=1)
    stages.pretrain(settings, data=other, out=tmp_path / "a", start=half)
    assert told(tmp_path / "a").endswith("data from its beginning: the saved position in the data is one of other "
                                         "shards or another mixture")
    stages.pretrain(replace(settings, seed=5), data=texts, out=tmp_path / "b", start=half)
    assert told(tmp_path / "b").endswith("is one of seed 0, not 5")
    assert list(losses(tmp_path / "b")) == [4]


def test_a_run_of_its_own_says_nothing_of_it(half: Path) -> None:
    assert "data from" not in told(half)


def test_shards_are_verified_where_a_run_begins_and_only_there(texts: Path, tmp_path: Path) -> None:
    folder = small_training.data(tmp_path / "shards")
    stages.pretrain(config(steps=1, eval_every=0), data=folder, out=tmp_path / "run")
    path = folder / "train_000000.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # of a letter
    path.write_bytes(data)
    with pytest.raises(DataError, match="has changed since it was written: its SHA-256 is another"):
        stages.pretrain(config(steps=1), data=folder, out=tmp_path / "new")
    assert stages.pretrain(config(steps=1, eval_every=0), data=folder, out=tmp_path / "run").finished

"""A run or its data may lie elsewhere when it goes on: what they hold decides, not where they are."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

pytest.importorskip("torch")

import small_training
from small_training import config, losses, weights

from pynanochat.errors import DataError
from pynanochat.train import stages


class Stops:
    """A sink that asks its own process to stop after the second step."""

    def write(self, record: dict) -> None:
        if record["kind"] == "step" and record["step"] == 2:
            signal.raise_signal(signal.SIGTERM)

    def close(self) -> None:
        pass


def test_a_run_goes_on_wherever_it_and_its_data_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, texts = config(steps=4), small_training.data(tmp_path / "texts")
    stages.pretrain(settings, data=texts, out=tmp_path / "whole")
    stages.pretrain(settings, data=texts, out=tmp_path / "first", sinks=[Stops()])
    (tmp_path / "elsewhere").mkdir()
    for old, new in (("texts", "elsewhere/data"), ("first", "elsewhere/run")):
        (tmp_path / old).rename(tmp_path / new)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert stages.pretrain(settings, data="data", out="run").finished
    assert losses(Path("run")) == losses(tmp_path / "whole")
    assert weights(Path("run"), 4) == weights(tmp_path / "whole", 4)
    stages.sft(settings, start="run", data="data", out="tuned", sinks=[Stops()])
    Path("run").rename("gone")
    assert stages.sft(settings, start="run", data="data", out="tuned").finished


def test_data_that_are_gone_or_others_are_told(tmp_path: Path) -> None:
    settings, out = config(steps=4), tmp_path / "run"
    texts = small_training.data(tmp_path / "texts")
    stages.pretrain(settings, data=texts, out=out, sinks=[Stops()])
    before = losses(out)
    texts.rename(tmp_path / "moved")
    with pytest.raises(DataError, match=r"texts holds no index\.json"):
        stages.pretrain(settings, data=texts, out=out)
    small_training.data(texts, seed=1)
    with pytest.raises(DataError, match="one of other shards or another mixture"):
        stages.pretrain(settings, data=texts, out=out)
    with pytest.raises(DataError, match="one of other shards or another mixture"):
        stages.pretrain(settings, data=[(tmp_path / "moved", 2)], out=out)
    assert losses(out) == before
    assert stages.pretrain(settings, data=tmp_path / "moved", out=out).finished

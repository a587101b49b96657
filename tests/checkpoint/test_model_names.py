"""Which folder and which step a name means: upstream's rules, and ours on top."""

import json
import os

import numpy as np
import pytest
from fixture_files import parity

from pynanochat import checkpoint
from pynanochat.checkpoint import directory, hub
from pynanochat.errors import CheckpointError, NotFoundError


def cases(name):
    return json.loads(parity("checkpoint_dir_cases.json").read_text())[name]


def test_find_largest_model(tmp_path):
    for number, case in enumerate(cases("find_largest_model")):
        folder = tmp_path / str(number)
        folder.mkdir()
        for age, name in enumerate(case["dirs_oldest_first"]):
            (folder / name).mkdir()
            os.utime(folder / name, (1000 + age, 1000 + age))
        if "error" in case:
            with pytest.raises(FileNotFoundError):
                checkpoint.find_largest_model(folder)
        else:
            assert checkpoint.find_largest_model(folder) == case["result"]


def test_find_last_step(tmp_path):
    for number, case in enumerate(cases("find_last_step")):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name in case["files"]:
            (folder / name).touch()
        if "error" in case:
            with pytest.raises(FileNotFoundError):
                checkpoint.find_last_step(folder)
        else:
            assert checkpoint.find_last_step(folder) == case["result"]
    with pytest.raises(NotFoundError):
        checkpoint.find_last_step(tmp_path / "nowhere")


@pytest.fixture
def base(tmp_path, monkeypatch):
    """A base folder with d12 as base and sft, d20 as base, r1 as rl."""
    monkeypatch.setenv("NANOCHAT_BASE_DIR", str(tmp_path / "base"))
    for place in ("base_checkpoints/d12", "chatsft_checkpoints/d12", "base_checkpoints/d20", "chatrl_checkpoints/r1"):
        folder = tmp_path / "base" / place
        folder.mkdir(parents=True)
        for step in (100, 650):
            (folder / f"model_{step:06d}.pt").touch()
    return tmp_path / "base"


def test_tags(base):
    resolve = checkpoint.resolve
    assert resolve("d20") == base / "base_checkpoints" / "d20"
    assert resolve("d12") == base / "chatsft_checkpoints" / "d12"  # the newest stage wins
    assert resolve("d12", source="base") == resolve("base/d12") == base / "base_checkpoints" / "d12"
    assert resolve("r1") == base / "chatrl_checkpoints" / "r1"
    assert resolve(None, source="base") == base / "base_checkpoints" / "d20"
    assert resolve("d20@100") == resolve("d20", step=100) == base / "base_checkpoints" / "d20" / "model_000100.pt"
    assert resolve("base/d12@650") == base / "base_checkpoints" / "d12" / "model_000650.pt"
    assert resolve(base / "base_checkpoints" / "d20", step=650).name == "model_000650.pt"
    assert resolve(str(base / "base_checkpoints" / "d20")) == base / "base_checkpoints" / "d20"


def test_a_path_wins_over_a_tag(base, tmp_path, monkeypatch):
    (tmp_path / "cwd" / "d20").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "cwd")
    assert checkpoint.resolve("d20").resolve() == tmp_path / "cwd" / "d20"


@pytest.mark.parametrize("name", ["d21", "sft/d20", "../d20", "base/../x", "d20@7x", "", "a/b/c", "d20@", "x" * 5000,
                                  "\0", "rl/nothing", "~nosuchuser/x", "\ud800", "some/model@../../x",
                                  "some/model@a..b", "some/model@/etc"])
def test_unknown_names_say_what_there_is(name, base, monkeypatch):
    monkeypatch.setattr(hub, "download", lambda *_, **__: pytest.fail("asked the hub"))
    with pytest.raises(NotFoundError, match=r"base/d12, base/d20|sft/d12") as caught:
        checkpoint.resolve(name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 2500


def test_refused_arguments(base):
    with pytest.raises(CheckpointError, match="expected one of base, mid, sft, rl"):
        checkpoint.resolve("d20", source="chat")
    with pytest.raises(NotFoundError, match=r"model_000007\.pt; it has model_000100\.pt"):
        checkpoint.resolve("d20@7")
    with pytest.raises(NotFoundError, match="mid_checkpoints"):
        checkpoint.resolve(None, source="mid")


def test_hub_ids_are_downloaded(base, monkeypatch):
    asked = []

    def download(repo, **options):
        asked.append((repo, options))
        return base

    monkeypatch.setattr(hub, "download", download)
    checkpoint.resolve("karpathy/nanochat-d32")
    checkpoint.resolve("karpathy/nanochat-d32@refs/pr/1", step=3, offline=True)
    assert asked == [
        ("karpathy/nanochat-d32", {"revision": None, "step": None, "offline": False}),
        ("karpathy/nanochat-d32", {"revision": "refs/pr/1", "step": 3, "offline": True})]


def test_the_bundled_model(monkeypatch, tmp_path):
    monkeypatch.setattr(directory, "_ASSETS", tmp_path)
    with pytest.raises(NotFoundError, match="bundled model nano8m"):
        checkpoint.resolve(None)
    (tmp_path / "nano8m").mkdir()
    assert checkpoint.resolve(None) == checkpoint.resolve("nano8m") == tmp_path / "nano8m"


def test_an_unfinished_save_is_no_model(base):
    place = base / "base_checkpoints"
    for tag in ("d12", "d20"):
        (place / tag).rename(place / f"my{tag}")
    (place / ".mymodel.new-0123abcd").mkdir()
    (place / ".mymodel.new-0123abcd" / "model_000001.pt").touch()
    os.utime(place / "myd12", (3000, 3000))
    os.utime(place / "myd20", (2000, 2000))
    assert checkpoint.find_largest_model(place) == "myd12"
    with pytest.raises(NotFoundError) as caught:
        checkpoint.resolve("nothing")
    assert "base/myd12" in str(caught.value)
    assert ".new-" not in str(caught.value)
    with pytest.raises(NotFoundError, match="in it that do: myd12, myd20") as caught:
        checkpoint.open(place)
    assert ".new-" not in str(caught.value)


@pytest.mark.parametrize("name", [5, b"x", [], {}, 1.5])
def test_names_are_text(name, base):
    with pytest.raises(CheckpointError, match="expected text"):
        checkpoint.resolve(name)
    with pytest.raises(CheckpointError, match="expected a path"):
        checkpoint.open(name)


@pytest.mark.parametrize("step", [-1, "3", True, 1.5, [], 10**12, "\n",
                                  pytest.param(10**5000, id="large"), pytest.param(-(10**5000), id="small")])
def test_steps_are_whole_numbers(step, base):
    for call in (checkpoint.resolve, checkpoint.open):
        with pytest.raises(CheckpointError, match=r"step is .*; expected a whole number") as caught:
            call(base / "base_checkpoints" / "d20", step=step)
        assert len(str(caught.value)) < 200
    assert checkpoint.resolve("d20", step=np.int64(100)).name == "model_000100.pt"


def test_homes_that_are_not_there(base, tmp_path, monkeypatch):
    for path in ("~nosuchuser/x", "a\0b", "\ud800"):
        with pytest.raises(CheckpointError, match="the model's path is"):
            checkpoint.open(path)
    for wrong in ("~nosuchuser/x", "a\0b", 5, [], b"x"):
        with pytest.raises(CheckpointError, match="tokenizer is"):
            checkpoint.open(tmp_path, tokenizer=wrong)
    with pytest.raises(CheckpointError, match="File name too long"):
        checkpoint.open(tmp_path, tokenizer="x" * 5000)
    with pytest.raises(CheckpointError, match="expected one of base"):
        checkpoint.resolve("d20", source=[])
    monkeypatch.setenv("NANOCHAT_BASE_DIR", "~nosuchuser/x")
    with pytest.raises(CheckpointError, match="NANOCHAT_BASE_DIR is '~nosuchuser/x'; there is no home folder"):
        checkpoint.resolve("d20")

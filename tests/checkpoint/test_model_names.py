"""Which folder and which step a name means: upstream's rules, and ours on top."""

import json
import os

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
                                  "\0", "rl/nothing"])
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
    with pytest.raises(NotFoundError, match="bundled model story5m"):
        checkpoint.resolve(None)
    (tmp_path / "story5m").mkdir()
    assert checkpoint.resolve(None) == checkpoint.resolve("story5m") == tmp_path / "story5m"

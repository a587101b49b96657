"""A trained model: its seven conversations token for token, from every format that can hold it, by every way in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fixture_files import STORY5M
from models import BACKENDS, TOLERANCE, story5m_checkpoint

import pynanochat as nc
from pynanochat.cli import main

CHATS = json.loads((STORY5M / "expected_chat.json").read_text())


@pytest.fixture(scope="module", params=["own", "upstream", "native", "nanochat"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as our trainer wrote it, in upstream's layout, and in copies that our own writers made."""
    if request.param == "own":
        return STORY5M
    if request.param == "upstream":
        path = story5m_checkpoint()
        return path / "chatsft_checkpoints/d6" if path else pytest.skip("NANOCHAT_PARITY does not reach story5m")
    target = tmp_path_factory.mktemp("copies") / request.param
    nc.save(nc.load(STORY5M), target, format=request.param)
    return target


@pytest.mark.parametrize("backend", BACKENDS)
def test_conversations(place: Path, backend: str) -> None:
    if backend == "torch":
        pytest.importorskip("torch")
    llm = nc.load(place, backend=backend)
    requests = [llm.request(case["prompt"], 220, nc.SamplingPolicy.greedy()) for case in CHATS]
    together = llm.run(requests).drain()
    for case, output in zip(CHATS, together, strict=True):
        end = [] if output.end_token is None else [output.end_token]
        assert [*output.tokens, *end] == case["tokens"]
        assert [*(int(not forced) for forced in output.forced), *(1 for _ in end)] == case["mask"]
        assert llm.need_tokenizer().decode([*output.tokens, *end]) == case["text"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_logits(place: Path, backend: str) -> None:
    if backend == "torch":
        pytest.importorskip("torch")
    llm = nc.load(place, backend=backend)
    with np.load(STORY5M / "expected.npz") as wanted:
        logits = llm.logits(wanted["idx"][0])
        assert np.array_equal(logits.argmax(-1), wanted["argmax"].reshape(-1))
        assert np.abs(logits[-1] - wanted["logits_last"].reshape(-1)).max() <= TOLERANCE
        sums = wanted["logits_sum"].reshape(-1)
        assert np.abs(logits.sum(-1) - sums).max() <= TOLERANCE * logits.shape[-1]


@pytest.mark.parametrize("case", CHATS, ids=[case["question"][:30] for case in CHATS])
def test_conversations_through_the_command(case: dict, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["generate", case["question"], "--model", str(STORY5M), "--chat", "--greedy", "--max-tokens", "220",
                 "--json", "--backend", "reference"])
    sample = json.loads(capsys.readouterr().out)["samples"][0]
    end = [] if sample["end_token"] is None else [sample["end_token"]]
    assert code == 0
    assert [*sample["tokens"], *end] == case["tokens"]
    assert [*(int(not forced) for forced in sample["forced"]), *(1 for _ in end)] == case["mask"]


def test_formats_that_cannot_hold_it_refuse(tmp_path: Path) -> None:
    llm = nc.load(STORY5M)
    for format_ in ("huggingface", "burn"):
        with pytest.raises(nc.UnsupportedError, match='save it as native'):
            nc.save(llm, tmp_path / format_, format=format_)
        assert not (tmp_path / format_).exists()


def test_a_copy_is_bitwise_the_same(tmp_path: Path) -> None:
    llm = nc.load(STORY5M)
    nc.save(llm, tmp_path / "a")
    nc.save(nc.load(tmp_path / "a"), tmp_path / "b", format="nanochat")
    again = nc.load(tmp_path / "b")
    for name, tensor in llm.checkpoint.tensors.items():
        copy = again.checkpoint.tensors[name]
        assert tensor.dtype == copy.dtype
        assert np.array_equal(tensor.data, copy.data)
    assert again.config == llm.config

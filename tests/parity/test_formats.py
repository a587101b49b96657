"""Hugging Face folders, nanochat-rs records and upstream's training run, against what the originals computed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fixture_files import PARITY, parity
from models import BACKENDS, TOLERANCE, block_outputs
from test_generations import difference, token_losses

import pynanochat as nc
from pynanochat.ops import reference

HF = sorted(path.name for path in (PARITY / "hf").iterdir() if (path / "config.json").exists())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("folder", HF)
def test_hugging_face(folder: str, backend: str) -> None:
    if backend == "torch":
        pytest.importorskip("torch")
    path = parity(f"hf/{folder}")
    llm = nc.load(path, backend=backend, context=640)
    with np.load(path / "expected.npz") as arrays:
        wanted = dict(arrays)
    losses = []
    for idx, logits in zip(wanted["idx"], wanted["logits"], strict=True):
        found = llm.logits(idx)
        assert difference(found, logits) <= TOLERANCE
        losses.append(token_losses(found[:-1], idx[1:]))
    assert abs(np.mean(losses) - wanted["loss_shifted_mean"]) <= 1e-5
    eos = json.loads((path / "generation_config.json").read_text())["eos_token_id"]
    for case in json.loads((path / "greedy.json").read_text())["greedy"]:
        output = llm.generate(case["prompt"], len(case["tokens_no_eos_stop"]), temperature=0)
        assert output.tokens == case["tokens_no_eos_stop"]
        stopped = llm.generate(case["prompt"], len(case["tokens_no_eos_stop"]), temperature=0, stop_tokens=[eos])
        end = [] if stopped.end_token is None else [stopped.end_token]
        assert [*stopped.tokens, *end] == case["tokens_default_generate"]


@pytest.mark.parametrize("folder", HF)
def test_hidden_states_of_hugging_face(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream after each block; Hugging Face's last one is after the final norm."""
    llm = nc.load(parity(f"hf/{folder}"), backend="reference")
    with np.load(parity(f"hf/{folder}") / "expected.npz") as wanted:
        for place, idx in enumerate(wanted["idx"].tolist()):
            *found, last = block_outputs(llm, idx, monkeypatch)
            found.append(reference.rms_norm(last, llm.config.norm_eps))
            for state, expected in zip(found, wanted["hidden_states"][1:, place], strict=True):
                assert difference(state, expected) <= 2e-5 * np.abs(expected).max()


@pytest.mark.parametrize(("backend", "dtype", "limit"), [
    ("reference", "float64", 1e-6), ("reference", "float32", TOLERANCE), ("cpu", "float32", TOLERANCE),
    ("torch", "float32", TOLERANCE)])
def test_nanochat_rs(backend: str, dtype: str, limit: float) -> None:
    """The Rust port's own network, as its full forward computes it (float64 equations)."""
    if backend == "torch":
        pytest.importorskip("torch")
    path = parity("burn_mpk")
    llm = nc.load(path, backend=backend, dtype=dtype)
    assert llm.checkpoint.generation == "nanochat-rs"
    with np.load(path / "expected.npz") as wanted:
        for idx, logits in zip(wanted["idx"], wanted["logits_nanochat_rs_full_forward"], strict=True):
            assert difference(llm.logits(idx).astype(np.float64), logits) <= limit


@pytest.mark.parametrize("backend", BACKENDS)
def test_losses_of_a_training_run(backend: str) -> None:
    """The first step of upstream's training run, from the checkpoint that it started with."""
    if backend == "torch":
        pytest.importorskip("torch")
    llm = nc.load(parity("train_g4_head"), step=0, backend=backend)
    with np.load(parity("train_g4_head") / "train.npz") as run:
        for tokens, targets, loss in zip(run["tokens"][0], run["targets"][0], run["losses"][0], strict=True):
            found = [token_losses(llm.logits(row), wanted) for row, wanted in zip(tokens, targets, strict=True)]
            assert abs(np.sum(found) / (targets >= 0).sum() - loss) <= 1e-4

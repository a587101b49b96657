"""Every generation of nanochat, against what its own code computed."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fixture_files import parity
from models import BACKENDS, FOLDERS, LOSS_TOLERANCE, TOLERANCE, Lanes, block_outputs, expected, greedy, load, run_split

import pynanochat as nc
from pynanochat.rope import rope_tables

pytestmark = pytest.mark.parametrize("folder", FOLDERS)
each_backend = pytest.mark.parametrize("backend", BACKENDS)


@pytest.fixture(autouse=True)
def _torch_or_skip(request: pytest.FixtureRequest) -> None:
    if "backend" in request.fixturenames and request.getfixturevalue("backend") == "torch":
        pytest.importorskip("torch")


def difference(found: np.ndarray, wanted: np.ndarray) -> float:
    assert found.shape == wanted.shape
    return float(np.abs(found - wanted).max())


def token_losses(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(T,) cross entropy in float64; 0 where the target is -1."""
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    log_sums = np.log(np.exp(shifted).sum(-1))
    picked = np.take_along_axis(shifted, np.maximum(targets, 0)[:, None], 1)[:, 0]
    return np.where(targets < 0, 0, log_sums - picked)


def test_the_generation_is_recognised(folder: str) -> None:
    llm = load(folder)
    info = parity(f"models/{folder}/info.json").read_text()
    assert f'"generation": "{llm.checkpoint.generation}"' in info
    wanted = nc.inspect(parity(f"models/{folder}"), **({"softcap": 20.0} if folder.startswith("g2b") else {}))
    assert wanted.config == llm.config


@each_backend
def test_logits(folder: str, backend: str) -> None:
    llm, wanted = load(folder, backend), expected(folder)
    for idx, logits in zip(wanted["idx"], wanted["logits"], strict=True):
        assert difference(llm.logits(idx), logits) <= TOLERANCE


def test_logits_in_float64(folder: str) -> None:
    llm, wanted = load(folder, dtype="float64"), expected(folder)
    assert difference(llm.logits(wanted["idx"][0]), wanted["logits"][0]) <= TOLERANCE


@each_backend
def test_losses(folder: str, backend: str) -> None:
    llm, wanted = load(folder, backend), expected(folder)
    losses = np.stack([token_losses(llm.logits(idx), targets)
                       for idx, targets in zip(wanted["idx"], wanted["targets"], strict=True)])
    counted = (wanted["targets"] >= 0).sum()
    assert difference(losses, wanted["loss_none"]) <= LOSS_TOLERANCE * 10
    assert abs(losses.sum() / counted - wanted["loss_mean"]) <= LOSS_TOLERANCE
    assert abs(losses.sum() - wanted["loss_sum"]) <= LOSS_TOLERANCE * counted


@each_backend
def test_contexts_beyond_windows_and_sequence_len(folder: str, backend: str) -> None:
    llm, wanted = load(folder, backend), expected(folder)
    tokens = wanted["idx_long"][0]
    assert "stress" in folder or len(tokens) > llm.config.sequence_len
    assert difference(llm.logits(tokens)[wanted["long_positions"]], wanted["logits_long"]) <= TOLERANCE


@each_backend
def test_cached_decode(folder: str, backend: str) -> None:
    llm, wanted = load(folder, backend), expected(folder)
    for place, idx in enumerate(wanted["idx"].tolist()):
        first = int(wanted["prefill_len"]) if "prefill_len" in wanted else 7
        cached = run_split(llm, idx, [first] + [1] * (len(idx) - first))
        assert difference(cached, wanted["logits"][place]) <= TOLERANCE
        if "logits_cached" in wanted:
            assert difference(cached, wanted["logits_cached"][place]) <= TOLERANCE


@each_backend
def test_prefill_in_two_chunks_at_every_split(folder: str, backend: str) -> None:
    llm = load(folder, backend)
    tokens = expected(folder)["idx"][0].tolist()
    whole = run_split(llm, tokens, [len(tokens)])
    for first in range(1, len(tokens)):
        parts = run_split(llm, tokens, [first, len(tokens) - first])
        if backend != "torch":
            assert np.array_equal(parts, whole)
        else:
            assert difference(parts, whole) <= TOLERANCE


@pytest.mark.parametrize(("backend", "options"), [
    ("reference", {"dtype": "float32"}), ("reference", {"dtype": "float64"}),
    ("cpu", {}), ("cpu", {"dtype": "bfloat16"}), ("cpu", {"quantize": "q8"}), ("cpu", {"quantize": "q4"}),
    ("cpu", {"quantize": "q8", "cache_dtype": "bfloat16"})], ids=str)
def test_bitwise_the_same_in_any_company(folder: str, backend: str, options: dict[str, str]) -> None:
    """Alone; batched with others, in any order, at other steps; one by one beyond the windows."""
    llm, wanted = load(folder, backend, **options), expected(folder)
    a, b = wanted["idx"].tolist()
    c = wanted["idx_long"][0].tolist()
    alone = [run_split(llm, tokens, [len(tokens)]) for tokens in (a, b, c)]
    together = Lanes(llm, [a, b, c]).step([len(a), len(b), len(c)])
    assert all(map(np.array_equal, alone, together))
    uneven = Lanes(llm, [c, a, b], first_page=3)
    parts: list[list[np.ndarray]] = [[], [], []]
    for counts in ([1, 5, 0], [17, 1, 9], [len(c) - 20, 10, 1], [1, 1, 1], [1, 7, 13]):
        for place, logits in enumerate(uneven.step(counts)):
            parts[place].append(logits)
    assert all(map(np.array_equal, [alone[2], alone[0], alone[1]], map(np.concatenate, parts)))
    token_by_token = run_split(llm, c, [1] * len(c))
    assert np.array_equal(token_by_token, alone[2])


@each_backend
def test_greedy_runs(folder: str, backend: str) -> None:
    """Token for token, through the engine, the calculator's forced tokens included; together and alone."""
    llm, cases = load(folder, backend), greedy(folder)["greedy"]
    policy = nc.SamplingPolicy.greedy()
    together = llm.run([llm.request(case["prompt"], case["max_tokens"], policy) for case in cases]).drain()
    alone = [llm.generate(case["prompt"], case["max_tokens"], policy=policy) for case in cases]
    for case, output in zip(cases + cases, together + alone, strict=True):
        end = [] if output.end_token is None else [output.end_token]
        assert [*output.tokens, *end] == case["tokens"]
        assert [*(int(not forced) for forced in output.forced), *(1 for _ in end)] == case["mask"]
        assert (output.finish_reason == "stop") == case["stops_early"]


@each_backend
def test_generate_batch(folder: str, backend: str) -> None:
    llm = load(folder, backend)
    for case in _batches(greedy(folder).get("generate_batch", [])):
        output = llm.generate(case.prompt, max_tokens=case.max_tokens, temperature=0, n=case.num_samples)
        for sample, result, mask in zip(output.samples, case.results, case.masks, strict=True):
            assert [*case.prompt, *sample.tokens] == result
            assert [*(0 for _ in case.prompt), *(int(not forced) for forced in sample.forced)] == mask


def _batches(found: Any) -> Iterator[SimpleNamespace]:
    for case in found if isinstance(found, list) else [found]:
        yield SimpleNamespace(**({"num_samples": len(case["results"])} | case))


def test_every_block(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The residual stream after each block."""
    llm, wanted = load(folder), expected(folder)
    for place, idx in enumerate(wanted["idx"].tolist()):
        found = np.stack(block_outputs(llm, idx, monkeypatch))
        scale = np.abs(wanted["block_out"][:, place]).max()
        assert difference(found, wanted["block_out"][:, place]) <= 2e-5 * scale


def test_rotary_tables(folder: str) -> None:
    llm, wanted = load(folder), expected(folder)
    cos, sin = rope_tables(llm.config, len(wanted["rope_cos"]))
    exact = 0 if llm.config.rope_table_dtype == "bfloat16" else 6e-8  # one unit in the last place of cos
    assert difference(cos, wanted["rope_cos"]) <= exact
    assert difference(sin, wanted["rope_sin"]) <= exact


def test_rotary_tables_as_asked(folder: str) -> None:
    wanted = expected(folder)
    if "logits_rope_fp32" not in wanted:
        pytest.skip("the reference rounds no tables in this generation")
    llm = load(folder, rope_table_dtype="float32")
    assert difference(llm.logits(wanted["idx"][0]), wanted["logits_rope_fp32"][0]) <= TOLERANCE
    long = llm.logits(wanted["idx_long"][0])[wanted["long_positions"]]
    assert difference(long, wanted["logits_long_rope_fp32"]) <= TOLERANCE

"""What fine-tuning starts from where a model comes without the run that made it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from fixture_files import parity

from pynanochat.config import GPTConfig
from pynanochat.errors import TrainingError
from pynanochat.train import recipes
from pynanochat.train.depth import depth_config

NETWORK = depth_config(12).network
RATES = {"embedding_lr": 0.2, "unembedding_lr": 0.004, "matrix_lr": 0.03, "scalar_lr": 0.4}
MANY = 10**9  # tokens


def rates(config: Any) -> dict[str, float]:
    return {name: getattr(config, name) for name in RATES}


def test_upstreams_rates_and_batch_are_taken() -> None:
    config = recipes.of_model(NETWORK, {"user_config": RATES, "total_batch_size": 1 << 18}, tokens=MANY)
    assert rates(config) == RATES
    assert (config.network, config.batch_tokens, config.steps) == (NETWORK, 1 << 18, -(-MANY // (1 << 18)))
    older = recipes.of_model(NETWORK, {"user_config": RATES | {"total_batch_size": 1 << 17}}, tokens=MANY)
    assert older.batch_tokens == 1 << 17


@pytest.mark.parametrize("meta", [
    {}, {"user_config": "none", "total_batch_size": "auto"},
    {"user_config": dict.fromkeys(RATES, None) | {"total_batch_size": -1}, "total_batch_size": 1 << 60}])
@pytest.mark.parametrize("layers", [4, 12])
def test_without_them_the_depth_says(meta: dict[str, Any], layers: int) -> None:
    dial = depth_config(layers)
    config = recipes.of_model(dial.network, meta, tokens=MANY)
    assert config.batch_tokens == dial.batch_tokens
    assert rates(config) == pytest.approx(rates(dial), rel=1e-12)


@pytest.mark.parametrize("tokens", [1, 90_000, 200_000, 3_000_000, 25_000_000])
def test_an_epoch_has_fifty_steps_or_steps_of_a_row(tokens: int) -> None:
    config = recipes.of_model(NETWORK, {"user_config": RATES}, tokens=tokens)
    assert config.steps >= 50 or config.step_rows == 1
    assert config.steps < 100 or config.step_rows == 1
    assert config.step_rows.bit_count() == 1
    lower = math.sqrt(config.batch_tokens / 524_288)
    assert rates(config) == pytest.approx({name: rate * lower for name, rate in RATES.items()})


def test_rows_and_batch_that_are_asked_for() -> None:
    config = recipes.of_model(NETWORK, {}, tokens=3_000_000, row_tokens=512)
    assert (config.row_tokens, config.batch_tokens) == (512, 512 * 64)
    config = recipes.of_model(NETWORK, {}, tokens=3_000_000, batch_tokens=1 << 17)
    assert config.batch_tokens == 1 << 17
    assert config.matrix_lr == pytest.approx(0.02 / 2)
    for wrong in ({"batch_tokens": 0}, {"batch_tokens": 100}, {"row_tokens": -1}, {"row_tokens": 1 << 20}):
        with pytest.raises(TrainingError, match="_tokens"):
            recipes.of_model(NETWORK, {}, tokens=3_000_000, **wrong)


def test_a_small_network_of_odd_rows() -> None:
    network = GPTConfig(sequence_len=100, vocab_size=265, n_layer=1, n_head=2, n_kv_head=1, n_embd=32)
    config = recipes.of_model(network, {}, tokens=100_000)
    assert config.batch_tokens == 1600


def test_upstreams_own_file() -> None:
    meta = json.loads((parity("models/g0b_2025-12_padded_bf16wte") / "meta_000650.json").read_text())
    sizes = {name: meta["model_config"][name] for name in ("sequence_len", "vocab_size", "n_layer", "n_head",
                                                           "n_kv_head", "n_embd")}
    config = recipes.of_model(GPTConfig(**sizes), meta, tokens=MANY)
    assert (config.embedding_lr, config.matrix_lr, config.batch_tokens) == (0.2, 0.02, 524_288)
    tuned = recipes.sft(config, steps=config.steps)
    assert (tuned.weight_decay, tuned.start_lr_frac, tuned.matrix_lr) == (0.0, 0.8, 0.02)

"""The schedule: upstream's own ten steps exactly, and its shape over a long run."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import pytest
from fixture_files import parity

from pynanochat.config import GPTConfig
from pynanochat.train.config import TrainConfig
from pynanochat.train.schedule import Schedule


def config(**numbers: float) -> TrainConfig:
    return TrainConfig(network=GPTConfig(), **numbers)  # type: ignore[arg-type]


def test_upstreams_ten_steps_exactly() -> None:
    wanted = json.loads((parity("train_g4_head") / "train.json").read_text())["schedule"]
    schedule = Schedule(config(steps=10, warmup_steps=4, warmdown_ratio=0.0))
    assert [schedule.at(step)._asdict() for step in range(10)] == wanted


def test_a_long_run() -> None:
    schedule = Schedule(config(steps=1000, warmup_steps=40, warmdown_ratio=0.65, final_lr_frac=0.05))
    rates = [schedule.at(step).lr_multiplier for step in range(1001)]
    assert rates[0] == 1 / 40
    assert rates[39:351] == [1.0] * 312
    assert rates[350 + 325] == pytest.approx((1 + 0.05) / 2)
    assert rates[1000] == pytest.approx(0.05)
    assert all(a >= b for a, b in pairwise(rates[350:]))

    momenta = [schedule.at(step).muon_momentum for step in range(1001)]
    assert momenta[0] == 0.85
    assert momenta[399] == pytest.approx(0.97, abs=1e-3)
    assert momenta[400] == pytest.approx(0.97 - 0.07 * 50 / 650)  # the rates fall since step 350
    assert momenta[1000] == pytest.approx(0.90)

    decays = [schedule.at(step).muon_weight_decay for step in (0, 500, 1000)]
    assert decays == pytest.approx([0.28, 0.14, 0.0])


def test_momentum_stays_full_until_the_rates_fall() -> None:
    schedule = Schedule(config(steps=2000, warmdown_ratio=0.5))
    assert {schedule.at(step).muon_momentum for step in range(400, 1000)} == {0.97}
    assert schedule.at(1500).muon_momentum == pytest.approx(0.935)


@pytest.mark.parametrize("numbers", [{"warmdown_ratio": 0.0}, {"warmup_steps": 0}, {"steps": 1},
                                     {"warmdown_ratio": 1.0}, {"warmup_steps": 5000}, {"final_lr_frac": 0.0}])
def test_no_settings_leave_their_ranges(numbers: dict[str, float]) -> None:
    long = config(**{"steps": 600, **numbers})
    for step in range(long.steps + 3):
        rate, momentum, decay = Schedule(long).at(step)
        assert 0 <= rate <= 1
        assert 0.85 <= momentum <= 0.97 + 1e-12
        assert 0 <= decay <= long.weight_decay
        assert math.isfinite(rate + momentum + decay)

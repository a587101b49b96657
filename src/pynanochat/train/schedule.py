"""Schedule: what the rates, Muon's momentum and the weight decay are multiplied with or set to at each step."""

from __future__ import annotations

import math
from typing import NamedTuple

from pynanochat.train.config import TrainConfig

_MOMENTUM_STEPS = 400  # until Muon's momentum is full
_MOMENTUM_FIRST, _MOMENTUM_FULL, _MOMENTUM_LAST = 0.85, 0.97, 0.90


class Settings(NamedTuple):
    """What `MuonAdamW.step` takes for one step."""

    lr_multiplier: float  # of every rate
    muon_momentum: float
    muon_weight_decay: float


class Schedule:
    """The settings of each step of a run.

    Rates rise linearly, stay, and fall linearly to `final_lr_frac`; Muon's momentum goes from 0.85 to 0.97 over 400
    steps and to 0.90 while the rates fall; weight decay follows a cosine to 0.
    Source: karpathy/nanochat scripts/base_train.py, 92d63d4.
    """

    def __init__(self, config: TrainConfig) -> None:
        self._config = config
        self._falling = round(config.warmdown_ratio * config.steps)  # steps, the last ones

    def at(self, step: int) -> Settings:
        """The settings of the step after `step` steps, 0 or more; from the last on they stay."""
        step = min(step, self._config.steps)
        return Settings(self._lr_multiplier(step), self._momentum(step), self._weight_decay(step))

    def _lr_multiplier(self, step: int) -> float:
        config = self._config
        if step < config.warmup_steps:
            return (step + 1) / config.warmup_steps
        if step <= config.steps - self._falling:
            return 1.0
        left = (config.steps - step) / self._falling
        return left + (1 - left) * config.final_lr_frac

    def _momentum(self, step: int) -> float:
        start = self._config.steps - self._falling
        if step < _MOMENTUM_STEPS:
            share = step / _MOMENTUM_STEPS
            return (1 - share) * _MOMENTUM_FIRST + share * _MOMENTUM_FULL
        if step >= start and self._falling:
            share = (step - start) / self._falling
            return _MOMENTUM_FULL * (1 - share) + _MOMENTUM_LAST * share
        return _MOMENTUM_FULL

    def _weight_decay(self, step: int) -> float:
        return self._config.weight_decay * 0.5 * (1 + math.cos(math.pi * step / self._config.steps))

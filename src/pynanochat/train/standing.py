"""Standing: where a run stands, from nothing but its records."""

from __future__ import annotations

import statistics
from collections import deque

import numpy as np
from numpy.typing import NDArray

from pynanochat.train.metrics import Record, number

_DECAY = 0.9  # of the smoothed loss. Source: karpathy/nanochat scripts/base_train.py, ema_beta
_RECENT = 20  # steps whose median speed is shown
_PACE = 200  # steps from whose times the rest is reckoned, evaluations and saves among them
_MOST_POINTS = 1024  # of the kept loss curve


class Standing:
    """Numbers to show, None where they are not known; `steps` is how many the run will have."""

    def __init__(self, steps: int | None = None) -> None:
        self.steps = steps
        self.step = 0
        self.seconds = 0.0
        self.loss: float | None = None  # smoothed, nats per token
        self.rate: float | None = None  # of the learning, as a multiple
        self.gradient: float | None = None
        self.epoch: float | None = None
        self.tokens: float | None = None
        self.bits: tuple[float, int] | None = None  # per byte, of the last evaluation, and its step
        self.best: tuple[float, int] | None = None
        self.sample: tuple[str, str, int] | None = None  # prompt, text, step
        self.saved: int | None = None
        self.bad = 0  # steps that were skipped
        self._weight = 0.0
        self._sum = 0.0
        self._curve: list[float] = []
        self._stride = 1
        self._bucket: list[float] = []
        self._paces: deque[tuple[int, float]] = deque(maxlen=_PACE)
        self._speeds: deque[float] = deque(maxlen=_RECENT)
        self._peaks: deque[float] = deque(maxlen=_RECENT)

    def take(self, record: Record, *, earlier: bool = False) -> None:
        """Take a record into account; one of an `earlier` session tells nothing of the speed of this one."""
        self.step, self.seconds = record["step"], number(record, "time") or 0.0
        kind = record["kind"]
        if kind == "step":
            self._take_step(record)
        elif kind == "eval" and (bits := number(record, "bpb")) is not None:
            self.bits = bits, self.step
            self.best = min(self.best or self.bits, self.bits)
        elif kind == "sample":
            self.sample = str(record.get("prompt", "")), str(record.get("text", "")), self.step
        elif kind == "event":
            self.saved = self.step if record.get("event") == "save" else self.saved
            self.bad += record.get("event") == "skip"
        if not earlier:
            self._paces.append((self.step, self.seconds))
            for name, values in (("tokens_per_second", self._speeds), ("mfu", self._peaks)):
                if (value := number(record, name)) is not None:
                    values.append(value)

    @property
    def speed(self) -> float | None:
        """Tokens per second of training."""
        return statistics.median(self._speeds) if self._speeds else None

    @property
    def peak_share(self) -> float | None:
        """Share of what the device could compute at most."""
        return statistics.median(self._peaks) if self._peaks else None

    @property
    def seconds_left(self) -> float | None:
        """Until the last step, at the pace of the last ones."""
        if self.steps is None or len(self._paces) < 2:
            return None
        (first, start), (last, end) = self._paces[0], self._paces[-1]
        return (self.steps - last) * (end - start) / (last - first) if last > first else None

    @property
    def curve(self) -> NDArray[np.float64]:
        """(n,) the losses of all steps, means of as many neighbours as keep n small."""
        rest = [statistics.fmean(self._bucket)] if self._bucket else []
        return np.array(self._curve + rest)

    def _take_step(self, record: Record) -> None:
        for own, name in (("rate", "lr"), ("gradient", "gradient_norm"), ("epoch", "epoch"), ("tokens", "tokens")):
            setattr(self, own, number(record, name))
        loss = number(record, "loss")
        if loss is None:
            return
        self._sum = _DECAY * self._sum + (1 - _DECAY) * loss
        self._weight = _DECAY * self._weight + (1 - _DECAY)
        self.loss = self._sum / self._weight
        self._bucket.append(loss)
        if len(self._bucket) == self._stride:
            self._curve.append(statistics.fmean(self._bucket))
            self._bucket.clear()
        if len(self._curve) == _MOST_POINTS:
            self._curve = [(one + two) / 2 for one, two in zip(self._curve[::2], self._curve[1::2], strict=True)]
            self._stride *= 2

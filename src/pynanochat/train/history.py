"""History: the records of a run as curves over steps, tokens or time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pynanochat.errors import DataError
from pynanochat.train import metrics
from pynanochat.train.chart import Line

Axis: TypeAlias = Literal["step", "tokens", "time"]


@dataclass(frozen=True)
class History:
    """What was seen of one run."""

    name: str
    records: list[dict[str, Any]]

    @classmethod
    def of(cls, place: Path) -> History:
        """That of a run's folder or of its metrics file; `DataError` where there is none."""
        file = place / metrics.NAME if place.is_dir() else place
        if not file.is_file():
            raise DataError(f"{place} holds no {metrics.NAME}; give the folder of a training run, such as runs/tiny")
        return cls(file.absolute().parent.name, metrics.read(file))

    def loss(self, axis: Axis = "step", smooth: int | None = None) -> Line | None:
        """Nats per token of the training steps, each the mean of `smooth` (None: a hundredth of them) around it."""
        x, y = self._points("step", "loss", axis)
        window = max(len(y) // 100, 1) if smooth is None else max(smooth, 1)
        return Line(self.name, x, _mean_around(y, window)) if len(y) else None

    def bits(self, axis: Axis = "step") -> Line | None:
        """Bits per byte of the evaluations."""
        x, y = self._points("eval", "bpb", axis)
        return Line(self.name, x, y) if len(y) else None

    def summary(self) -> dict[str, Any]:
        """Where the run stands, as plain JSON values: None for what was never recorded."""
        evaluations = [(value, record["step"]) for record in self._of("eval")
                       if (value := metrics.number(record, "bpb")) is not None]
        best = min(evaluations, default=(None, None))
        last = self.records[-1] if self.records else {"step": 0, "time": 0.0}
        return {
            "name": self.name, "step": last["step"], "seconds": last["time"], "loss": self._last("step", "loss"),
            "tokens": self._last("step", "tokens"), "tokens_per_second": self._median("tokens_per_second"),
            "mfu": self._median("mfu"), "bpb": evaluations[-1][0] if evaluations else None,
            "best_bpb": best[0], "best_step": best[1]}

    def _of(self, kind: str) -> list[dict[str, Any]]:
        return [record for record in self.records if record["kind"] == kind]

    def _last(self, kind: str, name: str) -> float | None:
        values = (metrics.number(record, name) for record in reversed(self._of(kind)))
        return next((value for value in values if value is not None), None)

    def _median(self, name: str) -> float | None:
        values = [value for record in self._of("step") if (value := metrics.number(record, name)) is not None]
        return float(np.median(values)) if values else None

    def _points(self, kind: str, name: str, axis: Axis) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        counted = "step" if axis == "tokens" else axis
        pairs = [(record[counted], value) for record in self._of(kind)
                 if (value := metrics.number(record, name)) is not None]
        x, y = np.array(pairs, np.float64).reshape(-1, 2).T
        if axis == "tokens":  # which steps have and evaluations lack
            known = [(record["step"], tokens) for record in self._of("step")
                     if (tokens := metrics.number(record, "tokens")) is not None]
            if not known:
                return x[:0], y[:0]
            x = np.interp(x, *np.array(sorted(known), np.float64).T)
        order = np.argsort(x, kind="stable")
        return x[order], y[order]


def _mean_around(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """For each value the mean of `window` values around it; fewer at the ends, the first alone."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    reach = np.minimum(places, window // 2)
    first, last = places - reach, np.minimum(places + reach, len(values) - 1)
    return np.asarray((sums[last + 1] - sums[first]) / (last + 1 - first))

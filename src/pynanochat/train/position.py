"""Position: where a run stands between two steps, besides its weights and optimizer; plain data for training.json."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from pynanochat.errors import DamagedFileError


@dataclass(frozen=True, kw_only=True)
class Position:
    """All that the next steps depend on apart from tensors: a run that goes on from here repeats itself to the bit."""

    step: int = 0  # steps done
    tokens: int = 0  # trained on so far
    seconds: float = 0.0  # spent training, over all its processes' lives
    loader: dict[str, Any] = field(default_factory=dict)  # of the next row
    loss_mean: float | None = None  # running; `guard` compares with it
    good_steps: int = 0
    bad_in_a_row: int = 0
    bpb: float | None = None  # of the last evaluation
    best_bpb: float | None = None
    best_step: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: object, where: str) -> Position:
        """The position of `to_dict`; `DamagedFileError` where it is none."""
        if not isinstance(values, dict) or set(values) != {f.name for f in fields(cls)}:
            raise DamagedFileError(f"{where}: expected the position of a run")
        whole = ("step", "tokens", "good_steps", "bad_in_a_row")
        numbers = ("seconds", "loss_mean", "bpb", "best_bpb", "best_step")
        sound = (all(type(values[name]) is int and values[name] >= 0 for name in whole)
                 and all(_is_number(values[name]) for name in numbers) and isinstance(values["loader"], dict)
                 and values["seconds"] is not None)
        if not sound:
            raise DamagedFileError(f"{where}: a value of the run's position is of the wrong kind")
        return cls(**values)


def _is_number(value: object) -> bool:
    return value is None or (type(value) in (int, float) and math.isfinite(value))  # type: ignore[arg-type]

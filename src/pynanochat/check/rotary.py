"""M5, M6: what rotary embeddings do, on the reference operation in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynanochat.check.demo import CONFIG, Demo, difference
from pynanochat.check.result import Check, Measure, at_most
from pynanochat.ops import reference
from pynanochat.rope import rope_tables

_ROWS = 64
_LIMIT = 1e-5  # the tables are float32


def lengths(demo: Demo) -> Measure:
    """Turning keeps the length of a head."""
    x = _heads(demo, 0)
    turned = _turn(x, np.arange(_ROWS))
    change = np.abs(np.linalg.norm(turned, axis=-1) / np.linalg.norm(x, axis=-1) - 1)
    return at_most(float(change.max()), _LIMIT, "relative change, positions 0 to 63")


def distance(demo: Demo) -> Measure:
    """Scores depend on how far apart two tokens are, not on where they are; and they do depend on that."""
    q, k = _heads(demo, 0), _heads(demo, 1)
    near, there = np.arange(_ROWS), np.arange(_ROWS)[::-1]
    scores = (_turn(q, near) * _turn(k, there)).sum(-1)
    moved = (_turn(q, near + 7) * _turn(k, there + 7)).sum(-1)
    apart = (_turn(q, near + 7) * _turn(k, there)).sum(-1)
    worst, other = difference(scores, moved), difference(scores, apart)
    return Measure(worst, f"<= {10 * _LIMIT:g}, but not without the shift", worst <= 10 * _LIMIT < other,
                   f"both 7 later; one alone changes scores by {other:.2g}")


def origin(demo: Demo) -> Measure:
    """Position 0 is not turned."""
    x = _heads(demo, 0)
    return at_most(difference(_turn(x, np.zeros(_ROWS, int)), x), 0.0)


def commutes(demo: Demo) -> Measure:
    """Norm and rotation may be taken in either order."""
    x, places = _heads(demo, 0), np.arange(_ROWS)
    left = reference.rms_norm(_turn(x, places), CONFIG.norm_eps)
    return at_most(difference(left, _turn(reference.rms_norm(x, CONFIG.norm_eps), places)), _LIMIT)


def _heads(demo: Demo, stream: int) -> NDArray[np.float64]:
    return np.random.default_rng([demo.seed, stream]).standard_normal((_ROWS, CONFIG.n_head, CONFIG.head_dim))


def _turn(x: NDArray[np.float64], positions: NDArray[Any]) -> NDArray[np.float64]:
    cos, sin = (table.astype(np.float64) for table in rope_tables(CONFIG, 2 * _ROWS))
    return reference.rope(x, positions.astype(np.int32), cos, sin)


CHECKS = (
    Check("M5", "rotation keeps lengths", lengths),
    Check("M5", "scores depend on distance", distance),
    Check("M5", "position 0 stays", origin),
    Check("M6", "norm and rotation commute", commutes),
)

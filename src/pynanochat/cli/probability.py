"""The colour of a token's probability, the same wherever the command shows one."""

from __future__ import annotations

import math

_STEPS = ((0.75, "green"), (0.25, "yellow"), (0.0, "red"))  # from this probability on


def style_of(logprob: float) -> str:
    """The style for a token of this log-probability: green is likely, red is not."""
    return next(style for least, style in _STEPS if math.exp(min(logprob, 0.0)) >= least)

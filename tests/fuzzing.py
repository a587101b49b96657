"""How many cases a random test draws: a quick number, and `NANOCHAT_SOAK` times as many in `make soak`."""

import os

FACTOR = int(os.environ.get("NANOCHAT_SOAK") or 1)


def examples(quick: int) -> int:
    """How many examples to draw where a quick run draws `quick`."""
    return quick * FACTOR

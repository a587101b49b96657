"""Guard: tells a step that would harm the network from a good one, before anything was changed."""

from __future__ import annotations

import math

_BETA = 0.98  # of the running mean of the loss: the last fifty steps
_SETTLED = 50  # steps before a loss counts as a spike
_PATIENCE = 10  # bad steps in a row that are skipped before the run stops all the same


class Guard:
    """Watches loss and gradient; `mean` is the running mean of the loss, which a resumed run goes on with."""

    def __init__(self, spike: float | None, *, mean: float | None = None, steps: int = 0) -> None:
        self._spike = spike
        self.mean = mean
        self.steps = steps
        self.bad_in_a_row = 0

    @property
    def lost(self) -> bool:
        """Whether so many steps in a row were bad that skipping does not help."""
        return self.bad_in_a_row >= _PATIENCE

    def fault(self, loss: float, gradient_norm: float) -> str | None:
        """What is wrong with a step of this loss and gradient, or None; a good one counts into the mean."""
        problem = None
        if not math.isfinite(loss):
            problem = f"the loss is {loss}"
        elif not math.isfinite(gradient_norm):
            problem = f"the gradient's norm is {gradient_norm}"
        elif self._spike and self.mean is not None and self.steps >= _SETTLED and loss > self._spike * self.mean:
            problem = f"the loss is {loss:.3f}, more than {self._spike:g} times the mean of {self.mean:.3f}"
        if problem is None:
            self.mean = loss if self.mean is None else _BETA * self.mean + (1 - _BETA) * loss
            self.steps += 1
            self.bad_in_a_row = 0
        else:
            self.bad_in_a_row += 1
        return problem

"""Effort: how much is measured, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pynanochat.errors import RequestError

LEAST_CONTEXT = 16


@dataclass(frozen=True)
class Effort:
    """The plan of a benchmark; its numbers are cut to what a model's context holds."""

    steps: int = 64  # of decode, alone
    sweep_steps: int = 16  # of decode at each point of a sweep
    repeats: int = 3
    prompt: int = 256  # tokens of prefill
    start: int = 64  # tokens that decode finds in the cache, alone and in the batch sweep
    batches: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    contexts: tuple[int, ...] = (128, 512, 1024, 2048)
    bandwidth_repeats: int = 9

    @classmethod
    def quick(cls) -> Effort:
        """A rough look, in a fraction of the time."""
        return cls(steps=24, sweep_steps=6, repeats=1, batches=(1, 4, 16), contexts=(128, 512), bandwidth_repeats=3)

    def within(self, context: int) -> Effort:
        """The same for a model of so many tokens of context."""
        if context < LEAST_CONTEXT:
            raise RequestError(f"the model has a context of {context} tokens; expected {LEAST_CONTEXT} or more to "
                               "measure it")
        room = min(context, self.contexts[-1])
        start = min(self.start, room // 2)
        return replace(
            self,
            steps=min(self.steps, room - start),
            sweep_steps=min(self.sweep_steps, room - start),
            prompt=min(self.prompt, room // 2),
            start=start,
            contexts=(*(tokens for tokens in self.contexts if tokens < room), room),
        )


def batch_sizes(wanted: Sequence[int]) -> tuple[int, ...]:
    """The sizes of a batch sweep, ascending; `RequestError` for one that no engine runs."""
    if not wanted or min(wanted) < 1 or max(wanted) > 256:
        shown = ", ".join(map(str, wanted)) or "none"
        raise RequestError(f"the batch sizes are {shown}; expected numbers from 1 to 256")
    return tuple(sorted(set(wanted)))

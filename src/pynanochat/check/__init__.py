"""The honest feature check: every feature is measured on this machine, against the limit that is printed beside it.

Milestones M2 to M10 are those of nanochat-rs' check_features, and so is the small network: V=256, L=4, H=4, G=2, C=128.
"""

from __future__ import annotations

from collections.abc import Iterator

from pynanochat.check import cache, formats, network, rotary, samplers, speech, text
from pynanochat.check.demo import Demo
from pynanochat.check.result import Check, Result, measured

__all__ = ["CHECKS", "Check", "Demo", "Result", "run"]

CHECKS: tuple[Check, ...] = (
    *samplers.CHECKS, *network.CHECKS, *cache.CHECKS, *rotary.CHECKS, *formats.CHECKS, *text.CHECKS, *speech.CHECKS)


def run(demo: Demo) -> Iterator[Result]:
    """The result of every check, in the order of the milestones; one that breaks has failed."""
    for check in sorted(CHECKS, key=lambda check: int(check.milestone[1:])):
        yield measured(check, demo)

"""A sandbox for programs that a model wrote: an own process that can read Python's files, compute and print.

It can open no other file, write none, reach no network, see or signal no other process and start none; time, memory
and output are bounded. (It may learn that a path exists.) Linux only: Landlock keeps it from files, seccomp from the
rest of the kernel, neither needs root. Where either is missing nothing is run.
"""

from __future__ import annotations

from pynanochat.eval.sandbox.limits import Limits
from pynanochat.eval.sandbox.process import Result, run
from pynanochat.eval.sandbox.support import refusal, require

__all__ = ["Limits", "Result", "refusal", "require", "run"]

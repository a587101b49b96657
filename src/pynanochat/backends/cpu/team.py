"""Team: the threads that replay steps together. The caller's thread leads, the others join and sleep between steps."""

from __future__ import annotations

import threading
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynanochat.backends.cpu import call as c
from pynanochat.backends.cpu import replay
from pynanochat.backends.cpu.amx import configuration
from pynanochat.backends.cpu.packed import address_of, memory
from pynanochat.backends.cpu.processor import Setting
from pynanochat.backends.cpu.program import Program

MOST_THREADS = 62  # bits of the answer of `open_step`


class Team:
    """A compiled loop for a program, `threads` of them; one caller at a time."""

    def __init__(self, loop: Any, settings: tuple[Setting, ...], program: Program, scratch_bytes: int, threads: int,
                 groups: int) -> None:
        self.threads = threads
        self.program = program
        self.inputs = np.zeros(c.GROUPS + 3 * groups, np.int64)  # addresses; see `call.py`
        self.counts = np.zeros(5, np.int64)  # N, M, blocks of rows, first wave, end of the waves
        self._shared = memory(replay.ASLEEP + replay.LINE * self.threads)
        self._counters = memory(len(program.waves) * replay.COUNTERS)
        room = -(-scratch_bytes // 64) * 64 + replay.CONFIGURATION_BYTES
        self._scratch = memory(room * self.threads).reshape(self.threads, room)
        self._scratch[:, : replay.CONFIGURATION_BYTES] = configuration()
        self._arguments = [
            (*settings, program.calls, program.waves, self.counts, self.inputs, address_of(self._shared),
             address_of(self._counters), address_of(self._scratch[thread]), self.threads, thread)
            for thread in range(self.threads)]
        self._opening = (*self._arguments[0][:-1], replay.OPEN)
        self._loop = loop
        self._beds = [threading.Lock() for _ in range(self.threads)]
        for thread in range(1, self.threads):
            self._beds[thread].acquire()
            threading.Thread(target=_work, args=(loop, self._arguments[thread], self._beds[thread], self._shared),
                             name=f"nanochat-cpu-{thread}", daemon=True).start()
        self._finalizer = weakref.finalize(self, _dismiss, self._shared, self._beds)

    def run(self, first: int, end: int) -> None:
        """Run the waves from `first` up to `end` with the counts and inputs that are set."""
        self.counts[3], self.counts[4] = first, end
        try:
            asleep = self._loop(*self._opening)
            while asleep:
                thread = asleep.bit_length() - 1
                if self._beds[thread].locked():  # else it has been woken and is not yet up
                    self._beds[thread].release()
                asleep ^= 1 << thread
        finally:  # an interrupt in these lines leaves no step open
            self.finish()

    def finish(self) -> None:
        """Complete the step that is open, if one is: nobody works on its memory afterwards."""
        self._loop(*self._arguments[0])

    def close(self) -> None:
        """Send the workers home."""
        self._finalizer()


def _work(loop: Any, arguments: tuple[Any, ...], bed: threading.Lock, shared: NDArray[np.uint8]) -> None:
    """A worker's life: steps while they come, then sleep until the next one."""
    stop = shared[replay.STOP : replay.STOP + 8].view(np.int64)
    while not stop[0]:
        loop(*arguments)
        bed.acquire()


def _dismiss(shared: NDArray[np.uint8], beds: list[threading.Lock]) -> None:
    shared[replay.STOP : replay.STOP + 8].view(np.int64)[0] = 1
    for bed in beds[1:]:
        if bed.locked():
            bed.release()

"""Interruption: SIGINT and SIGTERM end a run at its next whole step, so that it can be saved."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Interruption:
    """While it is open, the first signal is remembered as `signal`; the second one does what it always did."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python takes no handlers
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    @property
    def exit_code(self) -> int:
        """What a shell calls a process that this signal ended: 130 or 143; 0 without one."""
        return 128 + self.signal if self.signal is not None else 0

    def _remember(self, number: int, _: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # what signal.signal gave
        self._before.clear()

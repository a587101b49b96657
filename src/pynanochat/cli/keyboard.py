"""SilentKeyboard: while the command draws on a terminal, keys that are pressed do not show between."""

from __future__ import annotations

import os
import sys
from typing import Any


class SilentKeyboard:
    """Inside its `with` block the terminal shows no keys; what was typed is read afterwards, and Ctrl-C works."""

    def __init__(self) -> None:
        self._before: list[Any] | None = None

    def __enter__(self) -> SilentKeyboard:
        try:
            import termios
        except ImportError:  # such terminals show no keys by themselves
            return self
        try:
            before = termios.tcgetattr(sys.stdin.fileno())
            if not _in_background(sys.stdin.fileno()):
                silent = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, silent)
                self._before = before
        except (termios.error, OSError, ValueError):  # stdin is no terminal
            pass
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            import termios

            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._before)


def _in_background(terminal: int) -> bool:
    """Whether the terminal would stop us for a change of its settings."""
    try:
        return os.tcgetpgrp(terminal) != os.getpgrp()
    except OSError:  # it controls other processes
        return False

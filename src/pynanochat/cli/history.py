"""The history of what was typed into a chat, in a file that only its owner can read."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

from prompt_toolkit.history import FileHistory, History, InMemoryHistory


class PrivateHistory(FileHistory):
    """A history whose file may vanish or fill up: then it lasts as long as the chat."""

    def load_history_strings(self) -> Iterable[str]:
        """What the file holds, the latest first."""
        try:
            return list(super().load_history_strings())
        except OSError:
            return []

    def store_string(self, string: str) -> None:
        """Append to the file, which is made for its owner alone."""
        try:
            os.close(os.open(self.filename, os.O_CREAT | os.O_WRONLY, 0o600))
            super().store_string(string)
        except (OSError, UnicodeError):
            pass


def open_history() -> History:
    """The history in `history_file`, or one in memory."""
    path = history_file()
    return InMemoryHistory() if path is None else PrivateHistory(str(path))


def history_file() -> Path | None:
    """NANOCHAT_HISTORY, or a file in the user's folder for such state; None for none, or where it cannot be written."""
    wanted = os.environ.get("NANOCHAT_HISTORY")
    if wanted in ("", "none"):
        return None
    try:
        path = Path(wanted).expanduser() if wanted else _state_folder() / "nanochat" / "history"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        if stat.S_ISREG(path.stat().st_mode):
            path.chmod(0o600)
    except (OSError, RuntimeError, ValueError):  # a home or a name that there cannot be
        return None
    return path if path.is_file() and os.access(path, os.R_OK | os.W_OK) else None


def _state_folder() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / "Library" / "Application Support")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")

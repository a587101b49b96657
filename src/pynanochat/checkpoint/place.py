"""Where a user says that something is: a path as text or path-like, ~ for a home folder."""

from __future__ import annotations

import os
from pathlib import Path

from pynanochat.errors import CheckpointError


def place_of(value: object, what: str) -> Path:
    """The path, its ~ expanded; `CheckpointError` where no file could have it."""
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else value
    if not isinstance(text, str):
        raise CheckpointError(f"{what} is a {type(value).__name__}; expected a path, as text or as pathlib.Path")
    try:
        if b"\0" in os.fsencode(text):
            raise CheckpointError(f"{what} is {text[:200]!r}; a path holds no NUL")
        return Path(text).expanduser()
    except UnicodeEncodeError:
        raise CheckpointError(f"{what} is {text[:200]!r}; a path holds no half characters") from None
    except RuntimeError:
        raise CheckpointError(f"{what} is {text[:200]!r}; there is no home folder of that name, write the path in full"
                              ) from None

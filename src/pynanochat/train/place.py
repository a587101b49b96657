"""Place: where data lie, as a path that can be; `DataError` where none can."""

from __future__ import annotations

from pathlib import Path

from pynanochat.checkpoint import place as checkpoint_place
from pynanochat.errors import CheckpointError, DataError


def place_of(value: object, what: str) -> Path:
    """The path, its ~ expanded; `DataError` where no file could have it."""
    try:
        return checkpoint_place.place_of(value, what)
    except CheckpointError as error:
        raise DataError(str(error)) from None

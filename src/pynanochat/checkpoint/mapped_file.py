"""Read-only views of whole files: memory-mapped, so that opening costs no memory whatever the size."""

from __future__ import annotations

import mmap
import os
import stat
from pathlib import Path

from pynanochat.errors import CheckpointError, DamagedFileError, NotFoundError


def map_file(path: Path) -> memoryview:
    """The bytes of a regular file; the mapping lives as long as a view of it does."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise CheckpointError(f"{path} is no regular file; expected a file with data")
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise DamagedFileError(f"{path} is empty; get an intact copy")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except FileNotFoundError:
        raise NotFoundError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def read_small(path: Path, limit: int) -> bytes:
    """The content of a file of at most `limit` bytes."""
    view = map_file(path)
    if len(view) > limit:
        raise DamagedFileError(f"{path} has {len(view):,} bytes; expected at most {limit:,} in a file of this kind")
    return view.tobytes()

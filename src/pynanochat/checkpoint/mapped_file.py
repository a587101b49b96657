"""Read-only views of whole files: memory-mapped, so that opening costs no memory whatever the size."""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def sha256(path: Path) -> str:
    """The hexadecimal SHA-256 of a regular file, read bit by bit: a mapping would count as the process's memory."""
    map_file(path).release()  # says what is wrong with it
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def release(array: NDArray[Any]) -> None:
    """Let go of the memory of a view of a mapped file; what is used later is read again."""
    if array.flags.writeable or array.nbytes == 0:
        return  # no file
    base: Any = array
    while base is not None and not isinstance(base, mmap.mmap):
        base = base.obj if isinstance(base, memoryview) else getattr(base, "base", None)
    if base is None or not hasattr(mmap, "MADV_DONTNEED"):
        return
    start = array.__array_interface__["data"][0] - np.frombuffer(base, np.uint8).__array_interface__["data"][0]
    first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
    end = (start + array.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if end > first:
        base.madvise(mmap.MADV_DONTNEED, first, end - first)

"""The compiled replay loop for a kind of processor, weights and pages, kept on disk from one process to the next.

Numba's own cache looks at the one file that holds a function; this one at every file whose code goes into it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import types
from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile, _CacheLocator
from numba.core.runtime import rtsys

from pynanochat import __version__
from pynanochat.backends.cpu.call import CALL, WAVE
from pynanochat.backends.cpu.processor import Tag
from pynanochat.backends.cpu.replay import replay
from pynanochat.errors import BackendError

VARIABLE = "NUMBA_CACHE_DIR"
_PACKAGE = Path(__file__).parents[2]
_SOURCES = ("backends/cpu/*.py", "quantize/*.py", "batch.py", "tensor.py")


def loop(level: str, weights: str, pages: str, say: Callable[[str], None] | None = None) -> Any:
    """The function that replays a plan; `say` is told when it has to be compiled first, which takes seconds."""
    records = [types.Array(numba.from_dtype(dtype), 1, "C") for dtype in (CALL, WAVE)]
    numbers = types.Array(types.int64, 1, "C")
    if not hasattr(replay, "overloads"):
        raise BackendError("NUMBA_DISABLE_JIT is set, and the cpu backend is compiled code; unset it, or use "
                           "--backend reference")
    signature = (Tag(level), Tag(weights), Tag(pages), *records, numbers, numbers,
                 types.int64, types.int64, types.int64, types.int64, types.int64)
    if signature not in replay.overloads:
        disk = _kept_on_disk()
        kept = (f"they are kept in {cache_folder()}" if disk
                else f"they cannot be kept, as {cache_folder()} cannot be written")

        def missing() -> None:
            if say is not None:
                say(f"compiling the kernels for {weights} weights and {level}, about ten seconds; {kept}")

        if disk:
            disk.missing = missing
        else:
            missing()
        replay.compile(signature)
    return replay.overloads[signature].entry_point


def cache_folder() -> Path:
    """Where compiled kernels are kept: NUMBA_CACHE_DIR, or the user's cache folder of the system."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    if sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "pynanochat" / "kernels"


@cache
def _stamp() -> str:
    """A hash of every source whose code goes into the kernels, and of who compiles them."""
    digest = hashlib.sha256(f"{numba.__version__} {__version__}".encode())
    for pattern in _SOURCES:
        for path in sorted(_PACKAGE.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()


class _Locator(_CacheLocator):
    def get_cache_path(self) -> str:
        return str(cache_folder())

    def get_source_stamp(self) -> str:
        return _stamp()

    def get_disambiguator(self) -> str:
        return _stamp()[:16]

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> _Locator | None:
        locator = cls()
        try:
            locator.ensure_cache_path()
        except OSError:  # nothing can be written there: they are compiled every time
            return None
        return locator


class _CacheImpl(CompileResultCacheImpl):
    _locator_classes = (_Locator,)


class _SealedFiles(IndexDataCacheFile):
    """Numba's files, each with its SHA-256 beside it: what was damaged is compiled again, never run."""

    def load(self, key: Any) -> Any:
        """What was saved under a key; two processes that saved at once may have left another's."""
        found = super().load(key)
        return found[1] if found is not None and found[0] == key else None

    def save(self, key: Any, data: Any) -> None:
        """Keep it; a full disk costs the next start its time, and nothing else."""
        with contextlib.suppress(OSError):
            super().save(key, (key, data))

    def _load_index(self) -> Any:
        return super()._load_index() if _sealed(self._index_path) else {}

    def _save_index(self, overloads: Any) -> None:
        super()._save_index(overloads)
        _seal(self._index_path)

    def _load_data(self, name: str) -> Any:
        if not _sealed(self._data_path(name)):
            raise OSError(f"{name} is damaged")  # which Numba takes for a missing file
        return super()._load_data(name)

    def _save_data(self, name: str, data: Any) -> None:
        super()._save_data(name, data)
        _seal(self._data_path(name))


def _seal(path: str) -> None:
    """Write a file's SHA-256 beside it."""
    Path(f"{path}.sha256").write_text(hashlib.sha256(Path(path).read_bytes()).hexdigest())


def _sealed(path: str) -> bool:
    """Whether a file is whole, as it was written."""
    try:
        return Path(f"{path}.sha256").read_text() == hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except (OSError, UnicodeDecodeError):
        return False


class _Cache(FunctionCache):
    _impl_class = _CacheImpl
    missing: Callable[[], None]  # called before something is compiled that was not there

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        self._cache_file = _SealedFiles(cache_path=self._cache_path, filename_base=self._impl.filename_base,
                                        source_stamp=self._impl.locator.get_source_stamp())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """As Numba's, without setting up its compiler first, which machine code that is there does not need."""
        rtsys.initialize(target_context)
        found = None
        with self._guard_against_spurious_io_errors():
            found = self._load_overload(sig, target_context)
        if found is None:
            self.missing()
        return found


def _kept_on_disk() -> _Cache | None:
    """The cache of the replay loop; None where there is no place for it."""
    if not isinstance(replay._cache, _Cache):
        with contextlib.suppress(RuntimeError):
            replay._cache = _Cache(replay.py_func)
    return replay._cache if isinstance(replay._cache, _Cache) else None

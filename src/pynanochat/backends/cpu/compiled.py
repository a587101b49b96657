"""The compiled replay loop for a kind of processor, weights and pages, kept on disk from one process to the next.

Numba's own cache looks at the one file that holds a function; this one at every file whose code goes into it.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import types
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.runtime import rtsys

from pynanochat.backends.cpu.call import CALL, WAVE
from pynanochat.backends.cpu.processor import Tag
from pynanochat.backends.cpu.replay import replay

VARIABLE = "NUMBA_CACHE_DIR"
_FOLDERS = (Path(__file__).parent, Path(__file__).parents[2] / "quantize")


def loop(level: str, weights: str, pages: str, say: Callable[[str], None] | None = None) -> Any:
    """The function that replays a plan; `say` is told when it has to be compiled first, which takes seconds."""
    records = [types.Array(numba.from_dtype(dtype), 1, "C") for dtype in (CALL, WAVE)]
    numbers = types.Array(types.int64, 1, "C")
    signature = (Tag(level), Tag(weights), Tag(pages), *records, numbers, numbers,
                 types.int64, types.int64, types.int64, types.int64, types.int64)
    if signature not in replay.overloads:
        _keep_on_disk()
        if say is not None and not _on_disk(signature):
            say(f"compiling the {weights} kernels for this processor ({level}); they are kept for the next start")
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


class _Locator(_CacheLocator):
    def get_cache_path(self) -> str:
        return str(cache_folder())

    def get_source_stamp(self) -> str:
        digest = hashlib.sha256(numba.__version__.encode())
        for folder in _FOLDERS:
            for path in sorted(folder.glob("*.py")):
                digest.update(path.read_bytes())
        return digest.hexdigest()

    def get_disambiguator(self) -> str:
        return self.get_source_stamp()[:16]

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


class _Cache(FunctionCache):
    _impl_class = _CacheImpl

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """As Numba's, without setting up its compiler first, which machine code that is there does not need."""
        rtsys.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)


def _keep_on_disk() -> None:
    if isinstance(replay._cache, _Cache):
        return
    try:
        replay._cache = _Cache(replay.py_func)
    except RuntimeError:  # no place for it
        return


def _on_disk(signature: tuple[Any, ...]) -> bool:
    cache = replay._cache
    if not isinstance(cache, _Cache):
        return False
    try:
        key = cache._index_key(signature, replay.targetctx.codegen())
        return key in cache._cache_file._load_index()
    except OSError:
        return False

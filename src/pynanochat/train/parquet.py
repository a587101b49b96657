"""Rows of parquet files, a row group at a time; needs the extra data (pyarrow)."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from pynanochat.errors import DataError

_ROWS = 256  # taken out of a row group together


def rows(file: Path, key: str | None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row's number from 1 and its one column that is read: `key`, else text, else messages."""
    try:
        arrow: Any = import_module("pyarrow")
        parquet: Any = import_module("pyarrow.parquet")
    except ImportError:
        raise DataError(f"{file}: parquet files need pyarrow; install it: pip install 'pynanochat[data]'") from None
    number = 0
    try:
        with parquet.ParquetFile(file) as opened:
            names = list(opened.schema_arrow.names)
            column = next((name for name in ((key,) if key else ("text", "messages")) if name in names), None)
            if column is None:
                raise DataError(f"{file}: the columns {', '.join(names):.100}; expected {key or 'text or messages'}"
                                f"{'' if key else ', or name the key of the text'}")
            for batch in opened.iter_batches(batch_size=_ROWS, columns=[column]):
                for value in batch.column(0).to_pylist():
                    number += 1
                    if value is not None:
                        yield number, {column: value}
    except DataError:
        raise
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{file}, after row {number}: no parquet that can be read: {error!s:.120}") from None

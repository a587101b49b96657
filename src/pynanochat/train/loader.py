"""Loader: rows of tokens and targets for training; R rows a step over all processes, T tokens a row.

A step's rows depend on the data, the seed and the step alone, not on the number of processes: each packs the same plan
and reads the tokens of its own rows only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pynanochat.errors import DataError
from pynanochat.train.packing import Piece
from pynanochat.train.plan import Mixture, Plan, Window

__all__ = ["Loader", "Rows", "evaluation"]

Loss = Literal["assistant", "all"]
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Rows:
    """`tokens` (r, T) and `targets` (r, T), int64; a target of -1 is not trained on."""

    tokens: NDArray[np.int64]
    targets: NDArray[np.int64]


class Loader:
    """The steps of process `processes_rank` of `processes_size`, epoch after epoch.

    `shards` may be several, alone or as (shards, repeats): how often its documents come in an epoch of the whole. Of
    conversations `loss="assistant"` trains on what the assistant says, "all" on every token; of texts all count.
    Raises `DataError` for an empty split, shards of different tokenizers and numbers out of range.
    """

    def __init__(
        self, shards: Mixture, *, row_tokens: int, step_rows: int, split: str = "train", seed: int = 0,
        loss: Loss = "assistant", processes_rank: int = 0, processes_size: int = 1,
    ) -> None:
        self._plan, self._split, self._loss = Plan(shards, split, row_tokens, seed), split, loss
        self._share = _share(step_rows, processes_rank, processes_size)
        self._step_rows = step_rows
        if loss not in ("assistant", "all"):
            raise DataError(f"loss is {loss!r:.40}; expected assistant or all")
        self._epoch, self._row, self._window = 0, 0, self._plan.window(0, 0)

    @property
    def epoch(self) -> float:
        """How often all documents have been seen."""
        done = self._row / len(self._window.rows)
        place = self._window.start + done * (self._window.end - self._window.start)
        return self._epoch + place / len(self._plan.order(self._epoch))

    def next(self) -> Rows:
        """This process's rows of the next step."""
        rows: list[list[Piece]] = []
        while len(rows) < self._step_rows:
            taken = self._window.rows[self._row : self._row + self._step_rows - len(rows)]
            rows += taken
            self._row += len(taken)
            if self._row == len(self._window.rows):
                self._advance()
        return _read(self._plan, rows[self._share], self._loss)

    def state(self) -> dict[str, Any]:
        """Where the next step begins, as plain JSON values."""
        return {"version": _VERSION, "data": self._plan.data, "split": self._split, "seed": self._plan.seed,
                "row_tokens": self._plan.places - 1, "epoch": self._epoch, "document": self._window.start,
                "row": self._row}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was told; `DataError` where it is of other data, another seed or other rows.

        The number of rows of a step and of processes may have changed.
        """
        for name, own in self.state().items():
            found = state.get(name) if isinstance(state, Mapping) else None
            if name in ("epoch", "document", "row"):
                if type(found) is not int or not 0 <= found < 1 << 48:
                    raise DataError(f"the saved position in the data has {name} {found!r:.40}; it is damaged")
            elif found != own:
                what = "other shards or another mixture" if name == "data" else f"{name} {found!r:.40}, not {own!r:.40}"
                raise DataError(f"the saved position in the data is one of {what}; go on with what the run began with")
        epoch, start, row = state["epoch"], state["document"], state["row"]
        if start >= len(self._plan.order(epoch)):
            raise DataError("the saved position lies behind the end of the data; it is damaged")
        window = self._plan.window(epoch, start)
        if row >= len(window.rows):
            raise DataError("the saved position lies behind the end of the data; it is damaged")
        self._epoch, self._row, self._window = epoch, row, window

    def _advance(self) -> None:
        start = self._window.end
        if start == len(self._plan.order(self._epoch)):
            self._epoch, start = self._epoch + 1, 0
        self._row, self._window = 0, self._plan.window(self._epoch, start)


def evaluation(
    shards: Mixture, *, row_tokens: int, step_rows: int, max_tokens: int | None = None, split: str = "val",
    loss: Loss = "assistant", processes_rank: int = 0, processes_size: int = 1,
) -> Iterator[Rows]:
    """The same rows each time, a step of them after the other: all of a split once, or of its shuffled documents the
    first `max_tokens` places, in whole steps; rows that fill the last step have only targets of -1.

    Raises as `Loader`.
    """
    plan, share = Plan(shards, split, row_tokens, 0), _share(step_rows, processes_rank, processes_size)
    most = None if max_tokens is None else max(1, max_tokens // (step_rows * row_tokens))
    return _steps(plan, share, step_rows, most, loss)


def _steps(plan: Plan, share: slice, step_rows: int, most: int | None, loss: Loss) -> Iterator[Rows]:
    rows: list[list[Piece]] = []
    window, done = Window(0, 0, []), 0
    while done != most:
        while len(rows) < step_rows and window.end < len(plan.order(0)):
            window = plan.window(0, window.end)
            rows += window.rows
        if not rows:
            return
        step, rows = rows[:step_rows], rows[step_rows:]
        step += [[]] * (step_rows - len(step))
        yield _read(plan, step[share], loss)
        done += 1


def _share(step_rows: int, rank: int, size: int) -> slice:
    """The rows of a step that a process has."""
    if type(step_rows) is not int or type(size) is not int or not 1 <= size <= step_rows or step_rows % size:
        raise DataError(f"a step of {step_rows!r} rows cannot be shared evenly by {size!r} processes; expected a "
                        "multiple")
    if type(rank) is not int or not 0 <= rank < size:
        raise DataError(f"processes_rank is {rank!r}; expected 0 to {size - 1}")
    own = step_rows // size
    return slice(rank * own, (rank + 1) * own)


def _read(plan: Plan, rows: list[list[Piece]], loss: Loss) -> Rows:
    """The tokens and targets of rows; free places hold <|bos|> and are no target."""
    bos = plan.index.bos
    tokens = np.full((len(rows), plan.places), bos, np.int64)
    taught = np.zeros((len(rows), plan.places), np.bool_)
    for place, row in enumerate(rows):
        end = 0
        for document, offset, places in row:
            begin, end = end, end + places
            found, mask = plan.tokens(document)
            skipped = begin + (offset > 0)  # <|bos|> is there already
            until = offset + end - skipped
            tokens[place, skipped:end] = found[offset:until]
            if mask is None or loss == "all":
                taught[place, begin:end] = True
            else:
                taught[place, skipped:end] = mask[offset:until]
    if len(rows) and tokens.max() >= plan.index.vocab_size:
        raise DataError(f"the shards hold tokens outside the vocabulary of {plan.index.vocab_size:,}: a file has "
                        "changed since it was written; write the shards again")
    targets = tokens[:, 1:].copy()
    targets[~taught[:, 1:]] = -1
    return Rows(np.ascontiguousarray(tokens[:, :-1]), targets)

"""CpuRunner: a network on the processor, as the engine sees it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynanochat.backends.cpu import call as c
from pynanochat.backends.cpu import processor
from pynanochat.backends.cpu.amx import TILE_BYTES
from pynanochat.backends.cpu.attention import rows_together, scratch_bytes
from pynanochat.backends.cpu.compiled import loop
from pynanochat.backends.cpu.packed import address_of, as_floats, float_weight, pack_all
from pynanochat.backends.cpu.pages import Pages
from pynanochat.backends.cpu.program import Program
from pynanochat.backends.cpu.team import MOST_THREADS, Team
from pynanochat.batch import Batch
from pynanochat.config import GPTConfig
from pynanochat.cores import cores
from pynanochat.errors import BackendError
from pynanochat.ops.plan import Plan
from pynanochat.ops.record import plan_of
from pynanochat.quantize import formats
from pynanochat.quantize.formats import groups
from pynanochat.quantize.quantizer import matrices
from pynanochat.rope import rope_tables
from pynanochat.runner import Facts, HostLogits
from pynanochat.weights import LM_HEAD, tensor_shapes

_log = logging.getLogger("pynanochat")


class CpuRunner:
    """A plan of compiled kernels; weights in float32, bfloat16, q8 or q4, activations and sums in float32."""

    def __init__(
        self,
        cfg: GPTConfig,
        tensor: Callable[[str], Any],
        *,
        context: int,
        pages: tuple[int, ...],
        dtype: str = "float32",
        cache_dtype: str | None = None,
        threads: int | None = None,
        reason: str = "",
    ) -> None:
        self._cfg, self.context = cfg, context
        self.level = processor.choose_level()
        count = threads or min(cores(), MOST_THREADS)
        if count > MOST_THREADS:
            raise BackendError(f"threads is {count}; expected at most {MOST_THREADS}")
        large = matrices(cfg)
        shapes = {name: (cfg.vocab_size if name == LM_HEAD else shape[0], shape[1])
                  for name, shape in tensor_shapes(cfg).items() if name in large}
        names = list(shapes)
        first = tensor(names[0]).dtype
        quantised = first in formats.FORMATS
        if quantised:
            self.weights = first
            self._matrices = pack_all(names, tensor, first, shapes, count)
        else:
            # As stored where that is exact, in bfloat16 where it was asked for.
            stored = {tensor(name).dtype for name in names}
            self.weights = "bfloat16" if dtype == "bfloat16" or stored == {"bfloat16"} else "float32"
            self._matrices = {name: float_weight(tensor(name), self.weights, shapes[name][0]) for name in names}
        self._tensor, self._arrays = tensor, {}  # type: ignore[var-annotated]
        cos, sin = rope_tables(cfg, context)
        self._arrays |= {"cos": cos, "sin": sin}
        kept = cache_dtype or formats.cache_dtype(self.weights)
        self.pages = Pages(cfg, pages, kept)
        self.plan: Plan = plan_of(cfg, names if quantised else ())
        self._loop = loop(self.level, self.weights, kept, _log.warning)
        self._settings = tuple(processor.Setting(text) for text in (self.level, self.weights, kept))
        self._threads = count
        self._together = rows_together(cfg.n_head, cfg.n_kv_head)
        self._team = self._gather(16)
        weight_bytes = sum(weight.array.nbytes for weight in self._matrices.values()) + sum(
            array.nbytes for array in self._arrays.values())
        self.facts = Facts(
            "cpu", f"{count} thread{'s' * (count > 1)} ({self.level})", self.weights, pages,
            self.pages.nbytes, weight_bytes, reason)

    def forward(self, batch: Batch) -> HostLogits:
        """Run one step."""
        team, logits = self.prepare(batch)
        team.run(0, len(self.plan.waves))
        return HostLogits(logits)

    def prepare(self, batch: Batch) -> tuple[Team, NDArray[np.float32]]:
        """The team with a step's inputs set, and where its logits will be."""
        rows, sampled = len(batch.tokens), len(batch.sample_rows)
        self._team.finish()  # where an interrupt left a step open
        if max(rows, sampled) > self._team.program.capacity:
            try:
                larger = self._gather(max(rows, sampled))
            except MemoryError:
                raise BackendError(f"a step of {max(rows, sampled)} rows does not fit the memory; ask for less at a "
                                   "time") from None
            self._team.close()
            self._team = larger
        team = self._team
        logits = np.empty((sampled, self._cfg.vocab_size), np.float32)
        team.program.send_logits_to(logits)
        blocks = self._blocks(batch)
        arrays = [batch.tokens, batch.prev_tokens, batch.positions, batch.row_sequences, batch.sample_rows, blocks]
        inputs = team.inputs
        inputs[: c.GROUPS] = [address_of(array) for array in arrays]
        tables = [np.ascontiguousarray(table) for table in batch.page_tables]
        for group, (slots, table) in enumerate(zip(batch.slots, tables, strict=True)):
            inputs[c.GROUPS + 3 * group :][:3] = address_of(slots), address_of(table), table.shape[1]
        self._kept = (arrays, tables, batch.slots, logits)  # alive while the step runs
        team.counts[:3] = rows, sampled, len(blocks)
        return team, logits

    def copy_page(self, group: int, source: int, target: int) -> None:
        """Copy a page in every layer of a group."""
        self.pages.copy_page(group, source, target)

    def read(self, buffer: int, rows: int) -> NDArray[Any]:
        """(rows, width) what a buffer of the plan holds now; the whole numbers of a rounded one."""
        return self._team.program.read(buffer, rows)

    def read_rounded(self, buffer: int, rows: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """The whole numbers (rows, S * 64) and scales (rows, S) of a rounded buffer."""
        return self._team.program.read_rounded(buffer, rows)

    def _blocks(self, batch: Batch) -> NDArray[np.int32]:
        """(blocks, 2) first row and count of rows that attend together: neighbours in a sequence."""
        rows, starts = len(batch.tokens), batch.seq_start
        if self._together == 1 or rows == len(starts) - 1:
            return np.stack([np.arange(rows, dtype=np.int32), np.ones(rows, np.int32)], 1)
        pairs = [(row, min(self._together, end - row))
                 for start, end in zip(starts.tolist(), starts[1:].tolist(), strict=False)
                 for row in range(start, end, self._together)]
        return np.array(pairs, np.int32).reshape(-1, 2)

    def _gather(self, capacity: int) -> Team:
        """A team with room for steps of so many rows."""
        program = Program(self.plan, capacity, self._matrices, self._array, self.pages,
                          {"q8": 4, "q4": 8}.get(self.weights, 0))
        widest = max(groups(weight.columns) for weight in self._matrices.values())
        room = max(scratch_bytes(self._cfg.head_dim, self.context), TILE_BYTES * (widest + 1))
        return Team(self._loop, self._settings, program, room, self._threads, len(self._cfg.layer_groups()))

    def _array(self, name: str) -> NDArray[Any]:
        """A tensor that is no matrix: tables as they are stored, numbers and gates in float32."""
        if name not in self._arrays:
            tensor = self._tensor(name)
            table = len(tensor.shape) == 2 and "gate" not in name
            kind = "bfloat16" if table and tensor.dtype == "bfloat16" else "float32"
            self._arrays[name] = as_floats(tensor, kind)
        return self._arrays[name]  # type: ignore[no-any-return]

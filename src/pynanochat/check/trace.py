"""Trace: the cpu backend's plan call by call, each result beside what the reference makes of the same inputs.

Each call is judged alone, from the numbers that lay in memory before it, so that the first one that differs is the one
that is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynanochat.backends.cpu.runner import CpuRunner
from pynanochat.batch import NO_TOKEN, PAGE_TOKENS, Batch, Span
from pynanochat.config import GPTConfig
from pynanochat.ops import reference
from pynanochat.ops.plan import Argument, Call, Element, Input, TensorRef, Value, describe_call
from pynanochat.quantize import formats
from pynanochat.quantize.formats import AnyTensor, QuantizedTensor
from pynanochat.rope import rope_tables

Floats = NDArray[Any]
LIMIT = 1e-5  # of the largest number of a float result; whole numbers and copies must be equal
_COPIES = ("embed", "take", "append", "round", "bigram_ids")
PROMPTS = (21, 5)  # tokens of the two sequences that are traced; both then decode one more


@dataclass(frozen=True)
class Traced:
    """One call of one step."""

    step: str
    wave: int
    call: str
    difference: float  # relative to the largest number of the result
    limit: float

    @property
    def right(self) -> bool:
        """Whether kernel and reference agree."""
        return self.difference <= self.limit


def trace(
    cfg: GPTConfig, tensor: Callable[[str], AnyTensor], tokens: Sequence[int], **options: Any
) -> Iterator[Traced]:
    """Every call of a prefill of two sequences and of a step that decodes; `tokens` are enough for both.

    `options` are those of `CpuRunner`. The plan, its kernels and the weights are those that a model runs with.
    """
    first, second = PROMPTS
    per_sequence = first // PAGE_TOKENS + 2
    groups = len(cfg.layer_groups())
    runner = CpuRunner(cfg, tensor, context=per_sequence * PAGE_TOKENS, pages=(2 * per_sequence,) * groups, **options)
    tables = [[list(range(place * per_sequence, (place + 1) * per_sequence))] * groups for place in range(2)]
    a, b = list(tokens[: first + 1]), list(tokens[first + 1 : first + second + 2])
    assert len(b) == second + 1
    yield from _Judge(cfg, runner, tensor, "prefill").step(Batch.of([
        Span(a[:-1], NO_TOKEN, 0, tables[0], 2), Span(b[:-1], NO_TOKEN, 0, tables[1], 1)]))
    yield from _Judge(cfg, runner, tensor, "decode").step(Batch.of([
        Span(b[-1:], b[-2], second, tables[1], 1), Span(a[-1:], a[-2], first, tables[0], 1)]))


class _Judge:
    """The reference of one step."""

    def __init__(self, cfg: GPTConfig, runner: CpuRunner, tensor: Callable[[str], AnyTensor], step: str) -> None:
        self._cfg, self._runner, self._tensor, self._step = cfg, runner, tensor, step
        self._tables = dict(zip(("cos", "sin"), rope_tables(cfg, runner.context), strict=True))

    def step(self, batch: Batch) -> Iterator[Traced]:
        """Run the step wave by wave."""
        self._batch = batch
        team, self._logits = self._runner.prepare(batch)
        for number, wave in enumerate(self._runner.plan.waves):
            team.run(number, number + 1)
            for call in self._runner.plan.calls[wave.first : wave.end]:
                found, wanted = self._found(call), self._wanted(call)
                found, wanted = found.reshape(len(found), -1), wanted.reshape(len(found), -1)
                exact = call.op in _COPIES or (call.op == "linear" and wanted.dtype == np.float32)
                scale = 1.0 if exact else float(np.abs(wanted).max(initial=1e-30))
                worst = float(np.abs(found.astype(np.float64) - wanted).max(initial=0)) / scale
                yield Traced(self._step, number, describe_call(call), worst if worst == worst else float("inf"),
                             0.0 if exact else LIMIT)

    def _rows(self, buffer: int) -> int:
        batch = self._batch
        return len(batch.tokens if self._runner.plan.buffers[buffer].rows == "N" else batch.sample_rows)

    def _read(self, value: Value) -> Floats:
        """A value as the kernels left it, (rows, width), or (rows, heads, D) where it is cut into several."""
        plan = self._runner.plan
        if value.buffer == plan.logits:
            return self._logits
        array = self._runner.read(value.buffer, self._rows(value.buffer))
        return reference.heads(array, value.heads) if value.heads > 1 else array

    def _by_head(self, call: Call) -> Floats:
        """The x of a call as (rows, heads, D), even of one head."""
        x = call.args["x"]
        assert isinstance(x, Value)
        return reference.heads(self._runner.read(x.buffer, self._rows(x.buffer)), x.heads)

    def _found(self, call: Call) -> Floats:
        if call.out is None:
            layer = call.args["layer"]
            assert isinstance(layer, int)
            keys, values = (np.stack(kept) for kept in zip(*(
                self._kept(layer, row, position, position + 1) for row, position in self._places()), strict=True))
            return np.stack([keys[:, 0], values[:, 0]])
        return self._read(call.out)

    def _places(self) -> list[tuple[int, int]]:
        return list(zip(self._batch.row_sequences.tolist(), self._batch.positions.tolist(), strict=True))

    def _kept(self, layer: int, sequence: int, first: int, end: int) -> tuple[Floats, Floats]:
        """Keys and values (T, G, D) of a sequence's positions."""
        table = self._batch.page_tables[self._runner.pages.group[layer]][sequence]
        return self._runner.pages.read(layer, table, first, end)

    def _argument(self, argument: Argument) -> Any:
        match argument:
            case Value():
                return self._read(argument)
            case TensorRef(name, rows):
                return self._tables[name] if name in self._tables else self._tensor(name).numpy(np.float32)[:rows]
            case Element(name, index, negative):
                value = self._tensor(name).numpy(np.float32)[index]
                return -value if negative else value
            case Input(name):
                return getattr(self._batch, name)
        return argument

    def _wanted(self, call: Call) -> Floats:
        args = {name: self._argument(arg) for name, arg in call.args.items()
                if not (call.op == "linear" and name in ("x", "w"))}
        if call.op == "linear":
            return self._linear(call, args)
        if call.op == "round":
            whole = formats.round_activations(args["x"])[0]
            return whole[:, : args["x"].shape[1]]
        if call.op == "append":
            k, v = (self._runner.pages.rounded(args[name].reshape(len(args[name]), self._cfg.n_kv_head, -1))
                    for name in ("k", "v"))
            return np.stack([k, v])
        if call.op == "attend":
            return self._attend(self._by_head(call), args["layer"], args["window"])
        if call.op == "rope":
            args["x"] = self._by_head(call)
        made: Floats = getattr(reference, call.op)(*args.values())
        return made.reshape(len(made), -1) if call.op == "bigram_ids" else made

    def _linear(self, call: Call, args: dict[str, Any]) -> Floats:
        x, ref = call.args["x"], call.args["w"]
        assert isinstance(x, Value)
        assert isinstance(ref, TensorRef)
        weight = self._tensor(ref.tensor)
        if isinstance(weight, QuantizedTensor):
            total = formats.linear_rounded(*self._runner.read_rounded(x.buffer, self._rows(x.buffer)),
                                           weight)[:, : ref.rows]
        else:
            total = reference.linear(self._read(x).astype(np.float64), self._argument(ref).astype(np.float64))
        if "relu2" in args:
            total = reference.relu2(total)
        if "clip" in args:
            total = reference.clip(total, args["clip"])
        if "cap" in args:
            total = reference.softcap(total.astype(np.float64), args["cap"])
        return total + args["add"] if "add" in args else total

    def _attend(self, q: Floats, layer: int, window: int | None) -> Floats:
        out = np.empty(q.shape, np.float64)
        for row, (sequence, position) in enumerate(self._places()):
            first = 0 if window is None else max(0, position - window)
            keys, values = self._kept(layer, sequence, first, position + 1)
            out[row] = reference.attend(*(array.astype(np.float64) for array in (q[row], keys, values)))
        return out

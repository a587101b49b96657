"""Program: a plan bound to weights, pages and memory, as the arrays of records that the compiled loop reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynanochat.backends.cpu import call as c
from pynanochat.backends.cpu.packed import Weight, address_of, memory
from pynanochat.backends.cpu.pages import Pages
from pynanochat.ops.allocate import notes_numbers
from pynanochat.ops.plan import Argument, Call, Element, Input, Plan, TensorRef, Value
from pynanochat.quantize.formats import GROUP, groups

OPS = {
    "embed": c.EMBED, "bigram_ids": c.BIGRAM_IDS, "rms_norm": c.RMS_NORM, "add": c.ADD, "gate": c.GATE,
    "relu2": c.RELU2, "clip": c.CLIP, "softcap": c.SOFTCAP, "rope": c.ROPE, "append": c.APPEND, "take": c.TAKE,
    "round": c.ROUND, "linear": c.LINEAR, "attend": c.ATTEND,
}
INPUTS = {"tokens": c.TOKENS, "prev_tokens": c.PREV_TOKENS, "positions": c.POSITIONS, "sample_rows": c.SAMPLE_ROWS}
CUTS = {"rows": c.ROWS, "outputs": c.OUTPUTS, "heads": c.HEADS}
ROUNDED = ("rounded", "sparse")
NO_LIMIT = np.float32(3e38)


class Program:
    """Calls and waves over an arena with room for `capacity` rows, all of them sampled if need be.

    `line` is how many columns' codes share 64 bytes, where weights are packed.
    """

    def __init__(
        self,
        plan: Plan,
        capacity: int,
        matrices: Mapping[str, Weight],
        others: Callable[[str], NDArray[Any]],
        pages: Pages,
        line: int = 0,
    ) -> None:
        self.plan, self.capacity = plan, -(-capacity // 16) * 16
        self._matrices, self._others, self._pages, self._line = matrices, others, pages, line
        self.arenas = {rows: memory(4 * width * self.capacity) for rows, width in plan.widths.items()}
        self.calls = np.zeros(len(plan.calls), c.CALL)
        for place, call in enumerate(plan.calls):
            self._bind(call, self.calls[place])
        self.waves = np.array([(CUTS[wave.cut], wave.rows == "M", wave.first, wave.end) for wave in plan.waves],
                              c.WAVE)
        self._last = next(place for place, call in enumerate(plan.calls)
                          if call.out is not None and call.out.buffer == plan.logits)

    def send_logits_to(self, logits: NDArray[np.float32]) -> None:
        """Where the next step writes its result, (M, V)."""
        self.calls[self._last]["out"] = address_of(logits)

    def read(self, buffer: int, rows: int) -> NDArray[Any]:
        """(rows, width) a copy of what a buffer in an arena holds now; the whole numbers of a rounded one."""
        kept = self.plan.buffers[buffer]
        dtype = {"float32": np.float32, "int32": np.int32, "rounded": np.int8, "sparse": np.int8}[kept.kind]
        return self._read(kept.rows, *self._place(buffer), rows, kept.width, dtype)

    def read_rounded(self, buffer: int, rows: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """The whole numbers (rows, S * 64) of a rounded buffer, and their scales (rows, S)."""
        kept = self.plan.buffers[buffer]
        sets = groups(kept.width)
        return (self._read(kept.rows, *self._place(buffer), rows, sets * GROUP, np.int8),
                self._read(kept.rows, *self._notes(buffer), rows, sets, np.float32))

    def _read(self, arena: str, address: int, stride: int, rows: int, width: int, dtype: Any) -> NDArray[Any]:
        memory = self.arenas[arena]
        lines = memory[address - address_of(memory) :][: rows * stride].reshape(rows, stride)
        return np.ascontiguousarray(lines[:, : width * np.dtype(dtype).itemsize]).view(dtype)

    def _place(self, buffer: int) -> tuple[int, int]:
        """Address and stride of a buffer; the codes of a rounded one."""
        kept = self.plan.buffers[buffer]
        if buffer == self.plan.logits:
            return 0, 4 * kept.width
        start = address_of(self.arenas[kept.rows]) + 4 * self.plan.places[buffer] * self.capacity
        if kept.kind in ROUNDED:
            return start, groups(kept.width) * GROUP + 64
        return start, -(-kept.width // 16) * 64

    def _notes(self, buffer: int) -> tuple[int, int]:
        """Address and stride of a rounded buffer's notes, which follow its codes."""
        start, stride = self._place(buffer)
        return start + stride * self.capacity, 4 * notes_numbers(self.plan.buffers[buffer])

    def _bind(self, call: Call, record: Any) -> None:
        record["op"] = OPS[call.op]
        record["input"], record["layer_window"], record["heads"] = -1, -1, 1
        if call.out is not None:
            record["out"], record["out_stride"] = self._place(call.out.buffer)
            kept = self.plan.buffers[call.out.buffer]
            record["heads"] = call.out.heads
            record["columns"] = kept.width // call.out.heads
        x = call.args.get("x")
        if isinstance(x, Value):
            record["x"], record["x_stride"] = self._place(x.buffer)
        for value in (call.out, x):  # notes come with what a `round` fills and what a linear reads
            if isinstance(value, Value) and self.plan.buffers[value.buffer].kind in ROUNDED:
                record["gate"], record["gate_stride"] = self._notes(value.buffer)
                record["line"] = self._line if self.plan.buffers[value.buffer].kind == "sparse" else 0
        getattr(self, f"_bind_{call.op}")(call.args, record)

    def _number(self, argument: Argument) -> np.float32:
        if isinstance(argument, Element):
            value = np.float32(self._others(argument.tensor)[argument.index])
            return -value if argument.negative else value
        assert isinstance(argument, int | float)
        return np.float32(argument)

    def _table(self, argument: Argument, record: Any) -> NDArray[Any]:
        assert isinstance(argument, TensorRef)
        array = self._others(argument.tensor)
        record["w"], record["w_stride"] = address_of(array), array.strides[0]
        record["w_bfloat16"] = array.dtype == np.uint16
        return array

    def _bind_embed(self, args: Mapping[str, Argument], record: Any) -> None:
        self._table(args["table"], record)
        ids = args["ids"]
        if isinstance(ids, Input):
            record["input"] = INPUTS[ids.input]
        elif isinstance(ids, Value):
            record["x"], record["x_stride"] = self._place(ids.buffer)

    def _bind_bigram_ids(self, args: Mapping[str, Argument], record: Any) -> None:
        record["outputs"] = args["rows"]

    def _bind_rms_norm(self, args: Mapping[str, Argument], record: Any) -> None:
        record["a"], record["b"] = self._number(args["eps"]), self._number(args["scale"])

    def _bind_add(self, args: Mapping[str, Argument], record: Any) -> None:
        y, b = args["y"], args["b"]
        assert isinstance(y, Value)
        record["y"], record["y_stride"] = self._place(y.buffer)
        record["a"] = self._number(args["a"])
        if isinstance(b, Value):
            record["gate"], record["gate_stride"] = self._place(b.buffer)
        else:
            record["b"] = self._number(b)

    def _bind_gate(self, args: Mapping[str, Argument], record: Any) -> None:
        table = self._table(args["w"], record)
        record["heads"], record["columns"] = table.shape
        record["a"] = self._number(args["gain"])

    def _bind_relu2(self, args: Mapping[str, Argument], record: Any) -> None:
        self._whole_rows(args, record)

    def _bind_clip(self, args: Mapping[str, Argument], record: Any) -> None:
        self._whole_rows(args, record)
        record["a"] = self._number(args["limit"])

    def _bind_softcap(self, args: Mapping[str, Argument], record: Any) -> None:
        self._whole_rows(args, record)
        record["a"] = self._number(args["cap"])

    def _whole_rows(self, args: Mapping[str, Argument], record: Any) -> None:
        record["columns"] = record["columns"] * record["heads"]
        record["heads"] = 1

    def _bind_rope(self, args: Mapping[str, Argument], record: Any) -> None:
        self._table(args["cos"], record)
        sin = args["sin"]
        assert isinstance(sin, TensorRef)
        record["y"] = address_of(self._others(sin.tensor))

    def _bind_take(self, args: Mapping[str, Argument], record: Any) -> None:
        pass

    def _bind_round(self, args: Mapping[str, Argument], record: Any) -> None:
        record["outputs"] = groups(int(record["columns"]))

    def _bind_linear(self, args: Mapping[str, Argument], record: Any) -> None:
        x, w, add = args["x"], args["w"], args.get("add")
        assert isinstance(x, Value)
        assert isinstance(w, TensorRef)
        weight = self._matrices[w.tensor]
        record["w"], record["w_stride"] = weight.address, weight.stride
        record["outputs"], record["columns"], record["heads"] = weight.outputs, weight.columns, 1
        if self.plan.buffers[x.buffer].kind in ROUNDED:
            record["columns"] = groups(weight.columns)
        if isinstance(add, Value):
            record["mode"] = c.ADDED
            record["y"], record["y_stride"] = self._place(add.buffer)
        elif "relu2" in args:
            record["mode"] = c.SQUARED
        elif "cap" in args:
            record["mode"] = c.CAPPED
            record["a"] = self._number(args["cap"])
            record["b"] = self._number(args["clip"]) if "clip" in args else NO_LIMIT
        elif "clip" in args:
            record["mode"] = c.CLIPPED
            record["b"] = self._number(args["clip"])

    def _bind_append(self, args: Mapping[str, Argument], record: Any) -> None:
        k, v = args["k"], args["v"]
        assert isinstance(k, Value)
        assert isinstance(v, Value)
        record["x"], record["x_stride"] = self._place(k.buffer)
        record["y"], record["y_stride"] = self._place(v.buffer)
        record["heads"], record["columns"] = k.heads, self.plan.buffers[k.buffer].width // k.heads
        self._bind_pages(args, record)

    def _bind_attend(self, args: Mapping[str, Argument], record: Any) -> None:
        record["kv_heads"] = args["kv_heads"]
        record["layer_window"] = -1 if args["window"] is None else args["window"]
        self._bind_pages(args, record)

    def _bind_pages(self, args: Mapping[str, Argument], record: Any) -> None:
        layer = args["layer"]
        assert isinstance(layer, int)
        record["group"] = self._pages.group[layer]
        record["keys"], record["values"] = (address_of(memory[layer]) for memory in
                                            (self._pages.keys, self._pages.values))
        record["value_stride"] = self._pages.value_stride
        record["w_bfloat16"] = self._pages.kind == "bfloat16"

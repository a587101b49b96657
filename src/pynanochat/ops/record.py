"""Recorder: stands in for a backend's operations and writes down what `model.forward` asks for."""

from __future__ import annotations

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

from pynanochat import model
from pynanochat.config import GPTConfig
from pynanochat.ops.allocate import allocate
from pynanochat.ops.fuse import fuse
from pynanochat.ops.plan import Buffer, Call, Element, Input, Kind, Plan, Rows, TensorRef, Value
from pynanochat.weights import build, tensor_shapes


def plan_of(cfg: GPTConfig, quantised: Collection[str] = ()) -> Plan:
    """The plan of a network, fused and with memory; linears of `quantised` tensors read rounded activations."""
    recorder = Recorder(cfg, quantised)
    weights = build(cfg, TensorRef, TensorRef("cos"), TensorRef("sin"))
    batch = SimpleNamespace(tokens=Input("tokens"), prev_tokens=Input("prev_tokens"), positions=Input("positions"),
                            sample_rows=Input("sample_rows"))
    logits = model.forward(recorder, cfg, weights, batch, None)
    calls, result = fuse(recorder.calls, logits.buffer)
    return allocate(recorder.buffers, calls, result)


class Recorder:
    """An `Ops` whose arrays are values of a plan."""

    def __init__(self, cfg: GPTConfig, quantised: Collection[str]) -> None:
        self.buffers: list[Buffer] = []
        self.calls: list[Call] = []
        self._widths = {name: shape[-1] for name, shape in tensor_shapes(cfg).items()}
        self._heights = {name: shape[0] for name, shape in tensor_shapes(cfg).items()}
        self._quantised = quantised
        self._rounded: dict[int, Value] = {}
        self._squares: set[int] = set()  # relu2 leaves most numbers of a trained network zero

    def _emit(self, op: str, of: Rows, width: int, kind: Kind = "float32", heads: int = 1, **args: Any) -> Value:
        self.buffers.append(Buffer(of, width, kind))
        out = Value(len(self.buffers) - 1, heads)
        self.calls.append(Call(op, out, args))
        return out

    def _like(self, op: str, x: Value, **args: Any) -> Value:
        """A call whose result has the shape of x."""
        buffer = self.buffers[x.buffer]
        return self._emit(op, buffer.rows, buffer.width, heads=x.heads, x=x, **args)

    def embed(self, table: TensorRef, ids: Any) -> Value:
        """(N, C)."""
        return self._emit("embed", "N", self._widths[table.tensor], table=table, ids=ids)

    def bigram_ids(self, tokens: Input, prev_tokens: Input, rows: int) -> Value:
        """(N, 1)."""
        return self._emit("bigram_ids", "N", 1, "int32", tokens=tokens, prev_tokens=prev_tokens, rows=rows)

    def rms_norm(self, x: Value, eps: float, scale: float = 1.0) -> Value:
        """Of each head."""
        return self._like("rms_norm", x, eps=eps, scale=scale)

    def linear(self, x: Value, w: TensorRef) -> Value:
        """(rows, out); what a quantised weight reads is rounded once for all that read it."""
        if w.tensor in self._quantised:
            if x.buffer not in self._rounded:
                buffer = self.buffers[x.buffer]
                kind: Kind = "sparse" if x.buffer in self._squares else "rounded"
                self._rounded[x.buffer] = self._emit("round", buffer.rows, buffer.width, kind, x=x)
            x = self._rounded[x.buffer]
        outputs = self._heights[w.tensor] if w.rows is None else w.rows
        return self._emit("linear", self.buffers[x.buffer].rows, outputs, x=x, w=w)

    def gate(self, x: Value, w: TensorRef, gain: float | Element) -> Value:
        """(N, rows of w)."""
        return self._emit("gate", self.buffers[x.buffer].rows, self._heights[w.tensor], x=x, w=w, gain=gain)

    def add(self, x: Value, y: Value, a: Any = 1.0, b: Any = 1.0) -> Value:
        """A view takes the heads that are gated."""
        return self._like("add", x, y=y, a=a, b=b)

    def relu2(self, x: Value) -> Value:
        """Each number for itself."""
        squares = self._like("relu2", x)
        self._squares.add(squares.buffer)
        return squares

    def clip(self, x: Value, limit: float) -> Value:
        """Each number for itself."""
        return self._like("clip", x, limit=limit)

    def softcap(self, x: Value, cap: float) -> Value:
        """Each number for itself."""
        return self._like("softcap", x, cap=cap)

    def rope(self, x: Value, positions: Input, cos: TensorRef, sin: TensorRef) -> Value:
        """Of each head."""
        return self._like("rope", x, positions=positions, cos=cos, sin=sin)

    def attention(self, q: Value, k: Value, v: Value, batch: Any, cache: Any, layer: int, window: int | None) -> Value:
        """Two calls: keys and values must all be kept before one of them is read."""
        self.calls.append(Call("append", None, {"k": k, "v": v, "layer": layer}))
        return self._like("attend", q, kv_heads=k.heads, layer=layer, window=window)

    def take(self, x: Value, rows: Input) -> Value:
        """(M, C)."""
        return self._emit("take", "M", self.buffers[x.buffer].width, x=x, rows=rows)

    def heads(self, x: Value, n: int) -> Value:
        """A view."""
        return Value(x.buffer, n)

    def merge(self, x: Value) -> Value:
        """A view."""
        return Value(x.buffer)

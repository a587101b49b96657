"""Plan: the network as a flat list of calls over buffers, for backends that replay it. Plain data, also as JSON.

N rows of a step and M sampled ones are known when it runs. A wave is a run of calls that threads or workgroups may cut
the same way; each wave waits for the one before it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

Rows = Literal["N", "M"]
Kind = Literal["float32", "int32", "rounded", "sparse"]
Cut = Literal["rows", "outputs", "heads"]  # what a wave is cut along


@dataclass(frozen=True, slots=True)
class Buffer:
    """Memory for one value: rows of `width` numbers; rounded ones are bytes with a scale for each group.

    Sparse ones are rounded and have many zeros: a list of what is not zero comes with them.
    """

    rows: Rows
    width: int
    kind: Kind = "float32"


@dataclass(frozen=True, slots=True)
class Value:
    """A buffer as a call sees it, its width cut into `heads`."""

    buffer: int
    heads: int = 1


@dataclass(frozen=True, slots=True)
class TensorRef:
    """A weight by its name, or a rotary table, `cos` or `sin`; `rows` of it, or all."""

    tensor: str
    rows: int | None = None

    def __getitem__(self, index: int | slice) -> Any:
        return TensorRef(self.tensor, index.stop) if isinstance(index, slice) else Element(self.tensor, index)


@dataclass(frozen=True, slots=True)
class Element:
    """One number of a weight."""

    tensor: str
    index: int
    negative: bool = False

    def __neg__(self) -> Element:
        return Element(self.tensor, self.index, not self.negative)


@dataclass(frozen=True, slots=True)
class Input:
    """An array of the step: tokens, prev_tokens, positions or sample_rows."""

    input: str


Argument: TypeAlias = Value | TensorRef | Element | Input | float | int | None


@dataclass(frozen=True, slots=True)
class Call:
    """One operation: what it reads, by the names of `ops.Ops`, and what it fills (None: page memory)."""

    op: str
    out: Value | None
    args: dict[str, Argument] = field(default_factory=dict)

    def reads(self) -> list[int]:
        """The buffers it reads."""
        return [arg.buffer for arg in self.args.values() if isinstance(arg, Value)]


@dataclass(frozen=True, slots=True)
class Wave:
    """Calls from `first` up to `end`."""

    cut: Cut
    rows: Rows
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Buffers, calls in order, waves over them, and where buffers of N or M rows lie: numbers per row before them."""

    buffers: tuple[Buffer, ...]
    calls: tuple[Call, ...]
    waves: tuple[Wave, ...]
    places: dict[int, int]  # of each buffer that lives in the arena of its rows; the logits do not
    widths: dict[str, int]  # numbers per row of the two arenas
    logits: int  # the buffer of the result, (M, V)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {
            "version": 1,
            "buffers": [asdict(buffer) for buffer in self.buffers],
            "calls": [{"op": call.op, "out": call.out and asdict(call.out),
                       "args": {name: _plain(arg) for name, arg in call.args.items()}} for call in self.calls],
            "waves": [asdict(wave) for wave in self.waves],
            "places": {str(buffer): place for buffer, place in self.places.items()},
            "widths": self.widths,
            "logits": self.logits,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Plan:
        """The plan of what `to_dict` gave."""
        return cls(
            buffers=tuple(Buffer(**buffer) for buffer in values["buffers"]),
            calls=tuple(Call(call["op"], call["out"] and Value(**call["out"]),
                             {name: _argument(arg) for name, arg in call["args"].items()})
                        for call in values["calls"]),
            waves=tuple(Wave(**wave) for wave in values["waves"]),
            places={int(buffer): place for buffer, place in values["places"].items()},
            widths=values["widths"], logits=values["logits"])


_KINDS = {"buffer": Value, "index": Element, "tensor": TensorRef, "input": Input}  # told apart by a key; order counts


def _plain(argument: Argument) -> Any:
    return asdict(argument) if isinstance(argument, Value | TensorRef | Element | Input) else argument


def _argument(plain: Any) -> Argument:
    if not isinstance(plain, dict):
        return plain  # type: ignore[no-any-return]
    made: Argument = next(kind for key, kind in _KINDS.items() if key in plain)(**plain)
    return made


def describe(plan: Plan) -> list[str]:
    """A line for each call, indented under its wave."""
    lines = []
    for number, wave in enumerate(plan.waves):
        lines.append(f"wave {number}: {wave.rows} rows, cut along {wave.cut}")
        for call in plan.calls[wave.first : wave.end]:
            lines.append(f"  {describe_call(call)}")
    return lines


def describe_call(call: Call) -> str:
    """A call as a line of text."""
    args = ", ".join(f"{name}={_text(arg)}" for name, arg in call.args.items() if arg is not None)
    target = "pages" if call.out is None else _text(call.out)
    return f"{target:<8} = {call.op}({args})"


def _text(argument: Argument) -> str:
    match argument:
        case Value(buffer, heads):
            return f"b{buffer}" + (f":{heads}" if heads > 1 else "")
        case TensorRef(tensor, rows):
            return tensor + (f"[:{rows}]" if rows else "")
        case Element(tensor, index, negative):
            return f"{'-' if negative else ''}{tensor}[{index}]"
        case Input(name):
            return name
        case float():
            return f"{argument:.9g}"
    return str(argument)

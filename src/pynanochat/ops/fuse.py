"""fuse: a linear takes over what follows it on the same numbers, which then never leave the processor's registers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from pynanochat.ops.plan import Argument, Call, Value


def fuse(calls: list[Call], result: int) -> tuple[list[Call], int]:
    """Calls with relu2, clip, softcap and the residual's add folded into their linears; and the buffer of `result`.

    A linear's arguments then are x, w, and of relu2=1, add=the value that is added to it, clip, cap those that it does.
    """
    readers = Counter(buffer for call in calls for buffer in call.reads())
    linears: dict[int, int] = {}  # the place in `fused` of the linear that fills a buffer
    fused: list[Call] = []
    for call in calls:
        source = _folds(call)
        place = linears.get(source.buffer) if source and readers[source.buffer] == 1 else None
        if place is not None and source is not None:
            extra = _extra(call, fused[place])
            if extra is not None:
                # It runs where the last of its inputs is ready, which is here.
                linear = fused.pop(place)
                linears = {buffer: at - (at > place) for buffer, at in linears.items()}
                fused.append(replace(linear, out=call.out, args=linear.args | extra))
                linears[_filled(call)] = len(fused) - 1
                continue
        fused.append(call)
        if call.op == "linear":
            linears[_filled(call)] = len(fused) - 1
    return fused, result


def _filled(call: Call) -> int:
    assert call.out is not None
    return call.out.buffer


def _folds(call: Call) -> Value | None:
    """The value that a linear would have to fill for this call to be folded into it."""
    argument = call.args.get("y" if call.op == "add" else "x")
    return argument if call.op in ("relu2", "clip", "softcap", "add") and isinstance(argument, Value) else None


def _extra(call: Call, linear: Call) -> dict[str, Argument] | None:
    """What the linear has to do besides, or None if it cannot."""
    done = set(linear.args) - {"x", "w"}
    if call.op == "relu2" and not done:
        return {"relu2": 1}
    if call.op == "clip" and not done:
        return {"clip": call.args["limit"]}
    if call.op == "softcap" and done <= {"clip"}:
        return {"cap": call.args["cap"]}
    if call.op == "add" and not done and call.args["a"] == 1.0 and call.args["b"] == 1.0:
        return {"add": call.args["x"]}
    return None

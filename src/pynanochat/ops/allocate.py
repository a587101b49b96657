"""allocate: waves over the calls of a plan, and memory for its buffers by the waves they live in."""

from __future__ import annotations

from pynanochat.ops.plan import Buffer, Call, Cut, Plan, Rows, Value, Wave
from pynanochat.quantize.formats import GROUP, groups

ALIGN = 16  # numbers: a cache line


def allocate(buffers: list[Buffer], calls: list[Call], logits: int) -> Plan:
    """The plan of these calls; a buffer's memory is free again after the last wave that reads it."""
    waves = _waves(buffers, calls)
    born: dict[int, int] = {}
    last: dict[int, int] = {}
    for number, wave in enumerate(waves):
        for call in calls[wave.first : wave.end]:
            if call.out is not None:
                born.setdefault(call.out.buffer, number)
                last[call.out.buffer] = number
            for buffer in call.reads():
                last[buffer] = number
    born.pop(logits)
    places: dict[int, int] = {}
    widths: dict[str, int] = {"N": 0, "M": 0}
    for number in range(len(waves)):
        for buffer in (b for b, wave in born.items() if wave == number):
            rows, size = buffers[buffer].rows, numbers(buffers[buffer])
            taken = sorted((places[b], places[b] + numbers(buffers[b])) for b in places
                           if buffers[b].rows == rows and last[b] >= number)
            places[buffer] = _gap(taken, size)
            widths[rows] = max(widths[rows], places[buffer] + size)
    return Plan(tuple(buffers), tuple(calls), tuple(waves), places, widths, logits)


def numbers(buffer: Buffer) -> int:
    """Numbers of 4 bytes that a row takes, in whole cache lines.

    A rounded row is its groups in bytes and a line more, so that rows do not fall onto the same lines of the cache;
    then its notes.
    """
    if buffer.kind in ("rounded", "sparse"):
        return (groups(buffer.width) * GROUP + 64) // 4 + notes_numbers(buffer)
    return -(-buffer.width // ALIGN) * ALIGN


def notes_numbers(buffer: Buffer) -> int:
    """Numbers of 4 bytes beside a rounded row: scales, sums, and room for the list of a sparse one."""
    sets = groups(buffer.width)
    count = 2 * sets + (1 + sets + sets * GROUP // 4 if buffer.kind == "sparse" else 0)
    return -(-count // ALIGN) * ALIGN


def _gap(taken: list[tuple[int, int]], size: int) -> int:
    """The first place where `size` numbers are free."""
    place = 0
    for start, end in taken:
        if start - place >= size:
            return place
        place = max(place, end)
    return place


def _waves(buffers: list[Buffer], calls: list[Call]) -> list[Wave]:
    waves: list[Wave] = []
    made: set[int] = set()  # in the current wave
    for number, call in enumerate(calls):
        cut, rows = _cut(call), _rows(buffers, call)
        # A row's calls follow each other in one thread; outputs of a linear are spread over all of them.
        joins = bool(waves) and (waves[-1].cut, waves[-1].rows) == (cut, rows) and (
            cut == "rows" or (cut == "outputs" and not made & set(call.reads())))
        if joins:
            waves[-1] = Wave(cut, rows, waves[-1].first, number + 1)
        else:
            waves.append(Wave(cut, rows, number, number + 1))
            made = set()
        if call.out is not None:
            made.add(call.out.buffer)
    return waves


def _cut(call: Call) -> Cut:
    return "outputs" if call.op == "linear" else "heads" if call.op == "attend" else "rows"


def _rows(buffers: list[Buffer], call: Call) -> Rows:
    value = call.out or call.args["k"]
    assert isinstance(value, Value)
    return buffers[value.buffer].rows

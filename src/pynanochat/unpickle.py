"""A reader of pickles that can only make data: a fixed list of opcodes, none of which calls, imports or evaluates.

Names become `Global`, calls become `Record`; whoever reads the result decides what they mean. Every length is checked
against what is left of the file, so that what a file costs follows its size. Protocols 2 to 5.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Literal

from pynanochat.errors import CheckpointError, DamagedFileError, UnsafeFileError

ORDERED_DICT = "collections.OrderedDict"
_MAX_DEPTH = 64  # containers inside containers
_MAX_NAME = 256  # bytes of a module's or a class' name
_MAX_INT_BYTES = 16
_MAX_NUMBER_KEYS = 1 << 14
_MEMORY = 32 << 20  # bytes that the objects of a file may take beyond its own length
_BYTES_COST, _NUMBER_COST, _CONTAINER_COST, _MEMO_COST, _FAR_MEMO_COST, _STACK_COST = 40, 32, 120, 10, 120, 8
_REFUSED = {  # opcodes that exist and that neither a tokenizer nor a checkpoint needs
    0x30: "POP", 0x31: "POP_MARK", 0x32: "DUP", 0x46: "FLOAT", 0x49: "INT", 0x4C: "LONG", 0x50: "PERSID",
    0x53: "STRING", 0x54: "BINSTRING", 0x55: "SHORT_BINSTRING", 0x56: "UNICODE", 0x64: "DICT", 0x67: "GET",
    0x69: "INST", 0x6C: "LIST", 0x6F: "OBJ", 0x70: "PUT", 0x82: "EXT1", 0x83: "EXT2", 0x84: "EXT4",
    0x8F: "EMPTY_SET", 0x90: "ADDITEMS", 0x91: "FROZENSET", 0x92: "NEWOBJ_EX", 0x96: "BYTEARRAY8",
    0x97: "NEXT_BUFFER", 0x98: "READONLY_BUFFER",
}


@dataclass(frozen=True, slots=True)
class Global:
    """A dotted name that a pickle mentions; nothing is looked up."""

    name: str


@dataclass(slots=True)
class Record:
    """What a pickle wanted made: `name` called or instantiated with `args`, then given `state`."""

    name: str
    args: tuple[Any, ...] = ()
    state: Any = None
    how: Literal["new", "call"] = field(default="new", compare=False)  # NEWOBJ or REDUCE


def load(
    data: bytes | memoryview,
    *,
    where: str,
    allowed: Collection[str],
    max_bytes: int = 64 << 20,
    max_opcodes: int = 1_200_000,
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """The plain data of one pickle: str, bytes, numbers, tuples, lists, dicts, `Global`, `Record`.

    `persistent` gives the value of a persistent id and must not walk it. Containers are nested at most 64 deep, hold
    no cycle, and stay small when shared parts are counted each time, so that the result may be walked recursively.
    Raises `UnsafeFileError` for a name outside `allowed` or an absurd size, `DamagedFileError` for anything else.
    Source: CPython Lib/pickletools.py, the opcodes of protocols 2 to 5.
    """
    view = memoryview(data).cast("B")
    if len(view) > max_bytes:
        raise UnsafeFileError(f"{where}: a pickle of {len(view):,} bytes; expected at most {max_bytes:,}")
    return _Machine(view, where, frozenset(allowed), max_opcodes, persistent).run()


class _Machine:
    """The stack machine of one pickle."""

    def __init__(
        self,
        view: memoryview,
        where: str,
        allowed: frozenset[str],
        max_opcodes: int,
        persistent: Callable[[Any], Any] | None,
    ) -> None:
        self.view = view
        self.at = 0
        self.where = where
        self.allowed = allowed
        self.max_opcodes = max_opcodes
        self.persistent = persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []  # heights of the stack
        self.memo: list[Any] = []
        self.far_memo: dict[int, Any] = {}  # under other numbers than the next one, which no writer uses
        self.room = _MEMORY + len(view)
        self.number_keys = 0

    def run(self) -> Any:
        view, size, left = self.view, len(self.view), self.max_opcodes
        while True:
            if self.at >= size:
                raise self.damaged("the pickle ends early")
            code = view[self.at]
            self.at += 1
            if code == 0x2E:  # STOP
                return self.finish()
            step = _STEPS.get(code)
            if step is None:
                raise self.refused(code)
            step(self)
            left -= 1
            if left < 0:
                raise self.unsafe(f"more than {self.max_opcodes:,} pickle opcodes")
            if self.room < 0:
                raise self.unsafe("a pickle whose objects would take far more memory than the file")

    def finish(self) -> Any:
        if self.at != len(self.view):
            raise self.damaged("bytes after the end of the pickle")
        if len(self.stack) != 1 or self.marks:
            raise self.damaged("the pickle leaves no single value")
        self.measure(self.stack[0], 1, {})
        return self.stack[0]

    def measure(self, value: Any, depth: int, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
        """Size with shared parts counted each time, and height, of a value; refuses cycles by their endless depth."""
        if type(value) not in _CONTAINERS:
            return 1, 0
        if id(value) in known:
            size, height = known[id(value)]
        else:
            if depth > _MAX_DEPTH:
                raise self.unsafe(f"data nested more than {_MAX_DEPTH} deep")
            size, height = 1, 0
            for child in _children(value):
                if type(child) not in _CONTAINERS:
                    size += 1
                    continue
                below, levels = self.measure(child, depth + 1, known)
                size, height = size + below, max(height, levels + 1)
            known[id(value)] = size, height
        if depth + height > _MAX_DEPTH:
            raise self.unsafe(f"data nested more than {_MAX_DEPTH} deep")
        if size > self.max_opcodes:
            raise self.unsafe("shared data that grows without bound when it is written out")
        return size, height

    # errors

    def damaged(self, what: str) -> CheckpointError:
        return DamagedFileError(f"{self.where}: {what} (byte {self.at:,} of {len(self.view):,}); get an intact copy")

    def unsafe(self, what: str) -> CheckpointError:
        return UnsafeFileError(f"{self.where}: {what}; refused, no honest nanochat file does that")

    def refused(self, code: int) -> CheckpointError:
        name = _REFUSED.get(code)
        if name is None:
            return self.damaged(f"no pickle: 0x{code:02x} is no opcode")
        return self.unsafe(f"the pickle uses opcode {name}, which plain data does not need")

    # bytes

    def take(self, count: int) -> bytes:
        start, end = self.at, self.at + count
        if end > len(self.view):
            raise self.damaged(f"a pickle that claims {count:,} more bytes than it may")
        self.at = end
        return self.view[start:end].tobytes()

    def byte(self) -> int:
        at = self.at
        if at >= len(self.view):
            raise self.damaged("the pickle ends early")
        self.at = at + 1
        return self.view[at]

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "little")

    def text(self, count: int) -> str:
        try:
            return str(self.take(count), "utf-8")
        except UnicodeDecodeError:
            raise self.damaged("text that is not UTF-8") from None

    def line(self) -> str:
        window = self.view[self.at : self.at + _MAX_NAME].tobytes()
        length = window.find(b"\n")
        if length < 0:
            raise self.damaged("a name without an end")
        line = self.text(length)
        self.at += 1
        return line

    # stack

    def push(self, value: Any, cost: int) -> None:
        self.stack.append(value)
        self.room -= cost + _STACK_COST

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise self.damaged("the pickle takes a value that is not there")
        return self.stack.pop()

    def top(self, kind: type, what: str) -> Any:
        floor = self.marks[-1] if self.marks else 0
        if len(self.stack) <= floor or type(self.stack[-1]) is not kind:
            raise self.damaged(f"the pickle fills a {what} that is none")
        return self.stack[-1]

    def to_mark(self) -> list[Any]:
        if not self.marks:
            raise self.damaged("the pickle takes a mark that is not there")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        self.room += _STACK_COST * len(values)
        return values

    def args(self) -> tuple[Any, ...]:
        args = self.pop()
        if type(args) is not tuple:
            raise self.damaged("the pickle calls with something else than a tuple")
        return args

    # opcodes: one method for a family, bound to its numbers in _STEPS

    def proto(self) -> None:
        version = self.byte()
        if self.at != 2 or version > 5:
            raise self.damaged(f"no pickle of protocols 2 to 5 (protocol {version})")

    def frame(self) -> None:
        if self.number(8) > len(self.view) - self.at:
            raise self.damaged("a frame that is longer than the file")

    def mark(self) -> None:
        if len(self.marks) >= 2 * _MAX_DEPTH:
            raise self.unsafe(f"data nested more than {_MAX_DEPTH} deep")
        self.marks.append(len(self.stack))

    def long(self, count: int) -> None:
        if count > _MAX_INT_BYTES:
            raise self.unsafe(f"a whole number of {count:,} bytes")
        self.push(int.from_bytes(self.take(count), "little", signed=True), _NUMBER_COST)

    def bytes_(self, count: int) -> None:
        self.push(self.take(count), _BYTES_COST)

    def unicode(self, count: int) -> None:
        self.push(self.text(count), _BYTES_COST + 4 * count)  # as many as a character may take

    def tuple_(self, count: int) -> None:
        values = [self.pop() for _ in range(count)]
        self.push(tuple(reversed(values)), _CONTAINER_COST)

    def extend(self, values: list[Any]) -> None:
        self.top(list, "list").extend(values)

    def set_items(self, values: list[Any]) -> None:
        target = self.top(dict, "dict")
        if len(values) % 2:
            raise self.damaged("a key without a value")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if type(key) is int:
                self.check_number_key(key)
            elif type(key) not in (str, bytes):
                raise self.damaged("a key that is neither text nor bytes nor a whole number")
            if key in target:
                raise self.damaged(f"the key {str(key)[:80]!r} twice")
            target[key] = value
        self.room -= 16 * len(values)

    def check_number_key(self, key: int) -> None:
        # numbers, unlike text, can be chosen so that a dict looks through all of them for each new one
        self.number_keys += 1
        if self.number_keys > _MAX_NUMBER_KEYS or not -(1 << 31) <= key < 1 << 31:
            raise self.unsafe(f"more than {_MAX_NUMBER_KEYS:,} keys that are numbers, or one of more than 32 bits")

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def global_(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str or max(len(module), len(name)) > _MAX_NAME:
            raise self.damaged("the pickle names something that is no name")
        full = f"{module}.{name}"
        if full not in self.allowed:
            raise self.unsafe(f"the pickle asks for {full!r}, which could run code")
        self.push(Global(full), _CONTAINER_COST)

    def stack_global(self) -> None:
        name, module = self.pop(), self.pop()
        self.global_(module, name)

    def make(self, how: Literal["new", "call"]) -> None:
        args, target = self.args(), self.pop()
        if type(target) is not Global:
            raise self.unsafe("the pickle calls something that is no name")
        if target.name == ORDERED_DICT:
            if args:
                raise self.damaged("an ordered dict that is not made empty")
            self.push({}, _CONTAINER_COST)
        else:
            self.push(Record(target.name, args, None, how), _CONTAINER_COST)

    def build(self) -> None:
        state, target = self.pop(), self.pop()
        if type(target) is Record and target.state is None:
            target.state = state
        elif type(target) is not dict or type(state) is not dict or set(state) - {"_metadata"}:
            # a module's state_dict carries `_metadata`, version numbers of its layers; torch ignores them as well
            raise self.damaged("the pickle gives a state to something that takes none")
        self.push(target, 0)

    def get(self, index: int) -> None:
        if index < len(self.memo):
            self.push(self.memo[index], 0)
        elif index in self.far_memo:
            self.push(self.far_memo[index], 0)
        else:
            raise self.damaged("the pickle uses a memory that is empty")

    def put(self, index: int) -> None:
        if not self.stack:
            raise self.damaged("the pickle remembers a value that is not there")
        if index == len(self.memo):
            self.memo.append(self.stack[-1])
            self.room -= _MEMO_COST
        elif index < len(self.memo):
            self.memo[index] = self.stack[-1]
        else:
            self.far_memo[index] = self.stack[-1]
            self.room -= _FAR_MEMO_COST

    def persistent_id(self) -> None:
        value = self.pop()
        if self.persistent is None:
            raise self.unsafe("the pickle asks for an object outside of itself")
        self.push(self.persistent(value), _CONTAINER_COST)


_CONTAINERS = frozenset({tuple, list, dict, Record})


def _children(value: Any) -> Any:
    if type(value) is dict:
        return value.values()
    return (value.args, value.state) if type(value) is Record else value


_STEPS: dict[int, Callable[[_Machine], None]] = {
    0x80: _Machine.proto,
    0x95: _Machine.frame,
    0x28: _Machine.mark,
    0x4E: lambda m: m.push(None, 0),  # NONE
    0x88: lambda m: m.push(True, 0),  # NEWTRUE
    0x89: lambda m: m.push(False, 0),  # NEWFALSE
    0x4B: lambda m: m.push(m.byte(), 0),  # BININT1
    0x4D: lambda m: m.push(m.number(2), _NUMBER_COST),  # BININT2
    0x4A: lambda m: m.long(4),  # BININT
    0x8A: lambda m: m.long(m.byte()),  # LONG1
    0x8B: lambda m: m.long(m.number(4)),  # LONG4
    0x47: lambda m: m.push(struct.unpack(">d", m.take(8))[0], _NUMBER_COST),  # BINFLOAT
    0x43: lambda m: m.bytes_(m.byte()),  # SHORT_BINBYTES
    0x42: lambda m: m.bytes_(m.number(4)),  # BINBYTES
    0x8E: lambda m: m.bytes_(m.number(8)),  # BINBYTES8
    0x8C: lambda m: m.unicode(m.byte()),  # SHORT_BINUNICODE
    0x58: lambda m: m.unicode(m.number(4)),  # BINUNICODE
    0x8D: lambda m: m.unicode(m.number(8)),  # BINUNICODE8
    0x29: lambda m: m.push((), 0),  # EMPTY_TUPLE
    0x85: lambda m: m.tuple_(1),
    0x86: lambda m: m.tuple_(2),
    0x87: lambda m: m.tuple_(3),
    0x74: lambda m: m.push(tuple(m.to_mark()), _CONTAINER_COST),  # TUPLE
    0x5D: lambda m: m.push([], _CONTAINER_COST),  # EMPTY_LIST
    0x61: lambda m: m.extend([m.pop()]),  # APPEND
    0x65: lambda m: m.extend(m.to_mark()),  # APPENDS
    0x7D: lambda m: m.push({}, _CONTAINER_COST),  # EMPTY_DICT
    0x73: _Machine.set_item,  # SETITEM
    0x75: lambda m: m.set_items(m.to_mark()),  # SETITEMS
    0x63: lambda m: m.global_(m.line(), m.line()),  # GLOBAL
    0x93: _Machine.stack_global,
    0x52: lambda m: m.make("call"),  # REDUCE
    0x81: lambda m: m.make("new"),  # NEWOBJ
    0x62: _Machine.build,
    0x68: lambda m: m.get(m.byte()),  # BINGET
    0x6A: lambda m: m.get(m.number(4)),  # LONG_BINGET
    0x71: lambda m: m.put(m.byte()),  # BINPUT
    0x72: lambda m: m.put(m.number(4)),  # LONG_BINPUT
    0x94: lambda m: m.put(len(m.memo) + len(m.far_memo)),  # MEMOIZE
    0x51: _Machine.persistent_id,  # BINPERSID
}

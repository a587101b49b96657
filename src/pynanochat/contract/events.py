"""EventDecoder: server-sent events from bytes, wherever the network cut them.

Source: WHATWG HTML, 9.2.6 Interpreting an event stream.
"""

from __future__ import annotations

from typing import NamedTuple


class Event(NamedTuple):
    """One event: its name ("" where none is given) and its data lines."""

    name: str
    data: str


class EventDecoder:
    """Takes bytes and gives the events that they complete; an event ends with an empty line."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._scanned = 0  # of self._line: holds no line end
        self._after_return = False  # the last byte was \r, so a \n belongs to it
        self._first = True
        self._name = ""
        self._data: list[str] = []

    @property
    def unfinished(self) -> bool:
        """Whether an event has begun that no empty line has ended."""
        return bool(self._line or self._data)

    def push(self, data: bytes) -> list[Event]:
        """The events that end in these bytes."""
        if self._after_return and data:
            data, self._after_return = data.removeprefix(b"\n"), False
        self._line += data
        events = []
        start = 0
        while (end := self._line_end(max(start, self._scanned))) >= 0:
            event = self._take(bytes(self._line[start:end]))
            if event is not None:
                events.append(event)
            start = end + (2 if self._line[end : end + 2] == b"\r\n" else 1)
            self._after_return = start == len(self._line) and self._line[-1:] == b"\r"
        del self._line[:start]
        self._scanned = len(self._line)
        return events

    def _line_end(self, start: int) -> int:
        ends = [end for end in (self._line.find(b"\n", start), self._line.find(b"\r", start)) if end >= 0]
        return min(ends, default=-1)

    def _take(self, line: bytes) -> Event | None:
        text = line.decode("utf-8", "replace")
        if self._first:
            text, self._first = text.removeprefix("\ufeff"), False
        if not text:
            event = Event(self._name, "\n".join(self._data)) if self._data else None
            self._name, self._data = "", []
            return event
        field, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
        return None

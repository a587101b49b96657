"""Many at once: answers that stay apart and stay the same, and room again when a client leaves."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from pynanochat.contract.clients import EVERY_CHAT, LM_EVAL
from pynanochat.contract.problem import NotOfferedError, Problem, quoted, shown
from pynanochat.contract.result import Check
from pynanochat.contract.server import CHAT, Server, Transcript, chat_request
from pynanochat.contract.stream import done_differences

STREAMS = 8
_LONG = 200  # tokens of an answer that nobody waits for
_FREED_SECONDS = 5.0
_RUNNING = re.compile(r"^[\w:]*num_requests_running(?:\{[^}]*\})?\s+([\d.e+]+)", re.MULTILINE)  # vLLM's name
_ANIMALS = ("dog", "cat", "bird", "frog", "bear", "duck", "mouse", "horse")


def apart(server: Server) -> Iterator[Problem]:
    """Each stream is whole, and has an id that no other has."""
    streams = _together(server)
    seen: dict[str, int] = {}
    for place, transcript in enumerate(streams):
        ids = {str(chunk.get("id")) for chunk in transcript.chunks}
        if len(ids) != 1:
            yield Problem("id", f"changes within stream {place}: {shown(sorted(ids))}")
            return
        if (other := seen.setdefault(ids.pop(), place)) != place:
            yield Problem("id", f"is the same in streams {other} and {place}")
            return
        ends = [choice["finish_reason"] for _, choice in transcript.choices() if choice.get("finish_reason")]
        if len(ends) != 1:
            yield Problem("choices[0].finish_reason", f"comes {len(ends)} times in stream {place} of {STREAMS}")
            return
        yield from done_differences(transcript)


def unchanged(server: Server) -> Iterator[Problem]:
    """A seeded request gives the text that it gives alone."""
    for place, transcript in enumerate(_together(server)):
        alone = _stream(server, place).text()
        if transcript.text() != alone:
            yield Problem("choices[0].delta.content", f"is {quoted(transcript.text())} among {STREAMS} streams; "
                                                      f"expected what it is alone, {quoted(alone)}")
            return


def freed(server: Server) -> Iterator[Problem]:
    """After clients have left in the middle, the next one is answered."""
    _leave(server)
    try:
        server.chat("Hello!")
    except NotOfferedError as error:
        yield Problem("status", f"after {STREAMS} clients left in the middle: {error}")


def stopped(server: Server) -> Iterator[Problem]:
    """The metrics say that nothing runs on."""
    if _running(server) is None:
        raise NotOfferedError("/metrics does not tell num_requests_running")
    _leave(server)
    until = time.monotonic() + _FREED_SECONDS
    while (running := _running(server)) and time.monotonic() < until:
        time.sleep(0.05)
    if running:
        yield Problem("num_requests_running", f"is {running:g} {_FREED_SECONDS:g} s after all clients have left")


def _together(server: Server) -> list[Transcript]:
    def make() -> list[Transcript]:
        with ThreadPoolExecutor(STREAMS) as threads:
            return list(threads.map(lambda place: _stream(server, place), range(STREAMS)))

    return server.kept("streams", make)


def _stream(server: Server, place: int) -> Transcript:
    return server.stream_chat(f"Tell me a story about a {_ANIMALS[place]}.", seed=100 + place, temperature=1.0)


def _leave(server: Server) -> None:
    request = chat_request("Tell me a very long story.", {"max_tokens": _LONG})
    for _ in range(STREAMS):
        with server.events(CHAT, request) as (_, events):
            next(events, None)


def _running(server: Server) -> float | None:
    found = _RUNNING.findall(server.get("/metrics").body.decode("utf-8", "replace"))
    return sum(map(float, found)) if found else None


CHECKS = (
    Check("load", f"{STREAMS} streams at once do not mix", "required", EVERY_CHAT, apart),
    Check("load", "a seeded answer is the same among others", "expected", (LM_EVAL,), unchanged),
    Check("load", "clients that leave make room", "required", EVERY_CHAT, freed),
    Check("load", "nothing runs on for clients that left", "extension", (), stopped),
)

"""Stream: the answers to one call while they are made; draining it is how everything else gets them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from pynanochat.engine.engine import Engine
from pynanochat.engine.request import Event, FinishReason, Request
from pynanochat.errors import RequestError
from pynanochat.output import Output, Piece, Transcript, Usage
from pynanochat.tokenizer import Tokenizer


class SharedEngine:
    """One engine for many streams, from any thread: whoever waits for an event runs the next step for all."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._lock = threading.Lock()
        self._owner: int | None = None  # the thread that holds the lock
        self._inbox: dict[int, deque[Event]] = {}
        self._left: deque[int] = deque()  # requests that nobody waits for any more

    def submit(self, request: Request) -> int:
        """The id of a request whose events `next_event` gives."""
        with self._owned():
            request_id = self.engine.submit(request)
            self._inbox[request_id] = deque()
        return request_id

    def next_event(self, request_ids: list[int]) -> Event | None:
        """The next event of any of these requests, one of which at least still runs; None once they are forgotten."""
        while True:
            with self._owned():
                for request_id in request_ids:
                    if request_id not in self._inbox:
                        return None
                    if self._inbox[request_id]:
                        return self._inbox[request_id].popleft()
                for event in self.engine.step():
                    if event.request_id in self._inbox:
                        self._inbox[event.request_id].append(event)

    def cancel(self, request_id: int, sample: int | None = None) -> None:
        """End a request or one of its samples; its last event still comes."""
        with self._owned():
            self.engine.cancel(request_id, sample)

    def forget(self, request_ids: list[int]) -> None:
        """End these requests and drop their events: at once, or before the step after the one that runs now.

        Never waits, so that it may be called from anywhere, the garbage collector included.
        """
        self._left.extend(request_ids)
        if self._lock.acquire(blocking=False):
            try:
                self._sweep()
            finally:
                self._lock.release()

    @contextmanager
    def _owned(self) -> Iterator[None]:
        """The engine for this thread alone, rid of what was forgotten; refuses a call from inside its own step."""
        if self._owner == threading.get_ident():
            raise RequestError("a processor, constraint or callback asked the model that is running it; "
                               "load the model a second time for that")
        with self._lock:
            self._owner = threading.get_ident()
            try:
                self._sweep()
                yield
            finally:
                self._owner = None

    def _sweep(self) -> None:
        while self._left:
            request_id = self._left.popleft()
            self.engine.cancel(request_id)
            self._inbox.pop(request_id, None)


class Answers:
    """What has come of several requests: their events go in, pieces come out, outputs stand at the end."""

    def __init__(self, tokenizer: Tokenizer | None, requests: list[Request]) -> None:
        self._requests = requests
        self._started = time.perf_counter()
        self._transcripts = {
            (place, sample): Transcript(tokenizer, tuple(request.policy.stop))
            for place, request in enumerate(requests) for sample in range(request.policy.n)}
        self._first: dict[tuple[int, int], float] = {}
        self._done: dict[tuple[int, int], Output] = {}

    @property
    def complete(self) -> bool:
        """Whether every sample has ended."""
        return len(self._done) == len(self._transcripts)

    @property
    def outputs(self) -> list[Output]:
        """Each prompt's first sample with all of its samples; those that have ended."""
        results = []
        for place, request in enumerate(self._requests):
            samples = [self._done[place, i] for i in range(request.policy.n) if (place, i) in self._done]
            if samples:
                results.append(replace(samples[0], samples=samples))
        return results

    def so_far(self, prompt: int = 0, sample: int = 0) -> Output:
        """What a sample has given until now; `finish_reason` is "cancelled" while it has not ended."""
        key = prompt, sample
        return self._done.get(key) or self._output(key, "cancelled", None, 0)

    def pieces(self, place: int, event: Event) -> list[Piece]:
        """What an event of request `place` adds; the last piece of a sample that a stop string ends has "stop".

        Whoever gets that piece for a sample which still runs cancels it. An event's error is raised.
        """
        if event.error is not None:
            if isinstance(event.error, StopIteration):  # would read as the end of a stream
                raise RuntimeError("a processor raised StopIteration") from event.error
            raise event.error
        key = place, sample = place, event.sample
        transcript = self._transcripts[key]
        if key in self._done:  # the end of a sample that its stop string ended before
            return []
        if event.token is not None:
            self._first.setdefault(key, time.perf_counter())
            kind, content = transcript.push(event.token, event.forced, event.logprobs)
            made = [Piece(content, kind, (event.token,), event.forced, event.logprobs, None, place, sample)]
            if transcript.stop is not None:
                self._done[key] = self._output(key, "stop", None, event.cached_tokens)
                made.append(Piece("", finish_reason="stop", prompt=place, sample=sample))
            return made
        if event.finish_reason is None:
            return []
        kind, rest = transcript.flush()
        self._done[key] = self._output(key, event.finish_reason, event.end_token, event.cached_tokens)
        return [Piece(rest, kind, finish_reason=event.finish_reason, prompt=place, sample=sample)]

    def _output(
        self, key: tuple[int, int], reason: FinishReason, end_token: int | None, cached_tokens: int
    ) -> Output:
        place, sample = key
        transcript, request = self._transcripts[key], self._requests[place]
        now = time.perf_counter()
        usage = Usage(len(request.prompt), len(transcript.tokens), self._first.get(key, now) - self._started,
                      now - self._started, cached_tokens)
        return Output(
            text=transcript.text, tokens=transcript.tokens, forced=transcript.forced, finish_reason=reason,
            end_token=end_token, stop=transcript.stop,
            logprobs=None if request.policy.logprobs is None else transcript.logprobs,
            usage=usage, parts=transcript.parts, sample=sample)


class Stream(Iterator[Piece]):
    """Pieces of the answers in the order in which they come; `outputs` holds each prompt's answers at the end.

    Leaving it early, by `close`, by leaving a `with` block or by letting go of it, ends the requests at once.
    """

    def __init__(self, shared: SharedEngine, tokenizer: Tokenizer | None, requests: list[Request]) -> None:
        self._shared = shared
        self._ids: list[int] = []
        self._ready: deque[Piece] = deque()
        self._answers = Answers(tokenizer, requests)
        try:
            for request in requests:
                self._ids.append(shared.submit(request))
        except BaseException:
            shared.forget(self._ids)
            raise
        self._places = {request_id: place for place, request_id in enumerate(self._ids)}

    def __next__(self) -> Piece:
        while not self._ready:
            event = None if self._answers.complete else self._shared.next_event(self._ids)
            if event is None:  # all have ended, or the stream was closed
                self.close()
                raise StopIteration
            if event.error is not None:
                self.close()
            self._ready.extend(self._answers.pieces(self._places[event.request_id], event))
            if event.finish_reason is None and self._ready and self._ready[-1].finish_reason:
                self._shared.cancel(event.request_id, event.sample)  # a stop string has come
        return self._ready.popleft()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __del__(self) -> None:
        if "_ids" in self.__dict__:
            self.close()

    def close(self) -> None:
        """End what still runs; nothing more comes."""
        self._ready.clear()
        self._shared.forget(self._ids)

    def drain(self) -> list[Output]:
        """Run to the end; each prompt's first sample, which holds the others."""
        for _ in self:
            pass
        return self.outputs

    @property
    def outputs(self) -> list[Output]:
        """Each prompt's first sample with all of its samples; complete when the stream has ended."""
        return self._answers.outputs

    def so_far(self, prompt: int = 0, sample: int = 0) -> Output:
        """What a sample has given until now; `finish_reason` is "cancelled" while it has not ended."""
        return self._answers.so_far(prompt, sample)

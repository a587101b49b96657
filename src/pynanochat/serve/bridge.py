"""EngineThread: one thread that owns a model's engine. Answer: what an event loop sees of it.

The loop never waits for the thread: orders go into a list, events come back through `call_soon_threadsafe`, once per
step. The thread never waits for a reader: an answer holds its events until they are taken.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from pynanochat.engine.request import Event, Request
from pynanochat.errors import BackendError, NanochatError
from pynanochat.llm import LLM
from pynanochat.output import Output, Piece
from pynanochat.stream import Answers

_LOG = logging.getLogger("pynanochat.serve")


class QueueFullError(NanochatError):
    """As many requests wait for their first token as may; `retry_after_seconds` says when to ask again."""

    def __init__(self, waiting: int, retry_after_seconds: float) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"{waiting} requests are waiting already; ask again in {retry_after_seconds:.0f} s")


@dataclass(frozen=True)
class Statistics:
    """An engine's counters at one moment; totals count from the start."""

    running: int  # sequences that hold pages
    waiting: int  # sequences that wait for pages or a place
    pages_used: int  # of all layer groups, by sequences
    pages_total: int
    steps: int
    prompt_tokens_computed: int
    prompt_tokens_cached: int
    generated_tokens: int
    preemptions: int
    pending: bool  # something waits or runs
    failed: str  # why the thread has ended, "" while it has not


class Answer:
    """The answers to one call, for one task of the loop; leaving the `async with` block cancels what still runs."""

    def __init__(self, engine: EngineThread, requests: list[Request]) -> None:
        self.requests = requests
        self.expired = False  # the deadline passed, so that what still ran was cancelled
        self.started = False  # the first event has come
        self._engine = engine
        self._answers = Answers(engine.llm.tokenizer, requests)
        self._events: deque[tuple[int, Event]] = deque()
        self._came = asyncio.Event()
        self._closed = False
        self._error: BackendError | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def outputs(self) -> list[Output]:
        """Each prompt's first sample with all of its samples; those that have ended."""
        return self._answers.outputs

    def so_far(self, prompt: int = 0, sample: int = 0) -> Output:
        """What a sample has given until now."""
        return self._answers.so_far(prompt, sample)

    async def __aenter__(self) -> Answer:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.cancel()

    def __aiter__(self) -> Answer:
        return self

    async def __anext__(self) -> list[Piece]:
        """All pieces that have come since the last time, at least one. Raises what a request failed with."""
        while True:
            pieces: list[Piece] = []
            while self._events:
                place, event = self._events.popleft()
                made = self._answers.pieces(place, event)
                pieces += made
                if event.finish_reason is None and made and made[-1].finish_reason:  # a stop string has come
                    self._engine.cancel(self, place, event.sample)
            if pieces:
                return pieces
            if self._error is not None:
                raise self._error
            if self._closed or self._answers.complete:
                self.cancel()
                raise StopAsyncIteration
            self._came.clear()
            await self._came.wait()

    def cancel(self) -> None:
        """End what still runs; nothing more comes. Never waits, may be called again."""
        if self._closed:
            return
        self._closed = True
        self._events.clear()
        self._came.set()
        self._engine.leave(self)

    # from the engine's side, on the loop's thread

    def _deliver(self, events: list[tuple[int, Event]]) -> None:
        if not self._closed:
            self.started = True
            self._events += events
            self._came.set()

    def _fail(self, error: BackendError) -> None:
        self._error = error
        self._came.set()

    def _expire(self) -> None:
        self.expired = True
        for place, request in enumerate(self.requests):
            for sample in range(request.policy.n):
                self._engine.cancel(self, place, sample)


class EngineThread:
    """Runs one model's engine; `ask`, `cancel` and `leave` belong to the loop that called `start`."""

    def __init__(self, llm: LLM, *, name: str = "model", most_waiting: int = 256) -> None:
        self.llm = llm
        self.most_waiting = most_waiting
        self._engine = llm.engine
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open: set[Answer] = set()  # the loop's view
        self._orders: deque[Callable[[], None]] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._failed = ""
        self._ids: dict[Answer, list[int]] = {}  # the thread's view
        self._places: dict[int, tuple[Answer, int]] = {}
        self._thread = threading.Thread(target=self._run, name=f"engine {name}", daemon=True)

    def start(self) -> None:
        """Begin to run; called once, from the loop that will ask."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def ask(self, requests: list[Request], deadline_seconds: float | None = None) -> Answer:
        """The answer to these requests, which run from now on; they are cancelled when the deadline passes.

        Raises `QueueFullError`, or what `Engine.check` raises. Never waits.
        """
        loop = self._started_loop()
        if self._failed or self._stopping:
            raise BackendError(self._failed or "the server is shutting down")
        for request in requests:
            self._engine.check(request)
        waiting = sum(len(answer.requests) for answer in self._open if not answer.started)
        if waiting >= max(self.most_waiting, 1):  # a call of many requests is taken whole, or not at all
            raise QueueFullError(waiting, self._seconds_to_wait(waiting))
        answer = Answer(self, requests)
        self._open.add(answer)
        self._order(lambda: self._submit(answer))
        if deadline_seconds is not None:
            answer._timer = loop.call_later(deadline_seconds, answer._expire)
        return answer

    def cancel(self, answer: Answer, place: int, sample: int) -> None:
        """End one sample; its last event still comes."""
        self._order(lambda: self._cancel(answer, place, sample))

    def leave(self, answer: Answer) -> None:
        """Forget an answer and end what still runs of it."""
        if answer in self._open:
            self._open.remove(answer)
            if answer._timer is not None:
                answer._timer.cancel()
            self._order(lambda: self._forget(answer))

    @property
    def unfinished(self) -> int:
        """Answers that nobody has left yet."""
        return len(self._open)

    @property
    def statistics(self) -> Statistics:
        """The engine's counters; read without stopping it, so that two of them may be a step apart."""
        engine, scheduler = self._engine, self._engine.scheduler
        return Statistics(
            running=len(scheduler.running), waiting=len(scheduler.waiting),
            pages_used=sum(pool.used for pool in scheduler.pools),
            pages_total=sum(pool.capacity for pool in scheduler.pools),
            steps=engine.counters.steps, prompt_tokens_computed=engine.counters.prompt_tokens_computed,
            prompt_tokens_cached=engine.counters.prompt_tokens_cached,
            generated_tokens=engine.counters.generated_tokens, preemptions=engine.counters.preemptions,
            pending=bool(self._orders) or not engine.idle, failed=self._failed)

    async def stop(self, drain_seconds: float = 0.0) -> None:
        """Let what runs come to its end for so long, cancel the rest, end the thread."""
        until = time.monotonic() + drain_seconds
        while self._open and not self._failed and time.monotonic() < until:
            await asyncio.sleep(0.01)
        for answer in list(self._open):
            answer._expire()
        self._stopping = True
        self._order(lambda: None)
        while self._thread.is_alive():
            await asyncio.sleep(0.005)

    # on the engine's thread

    def _run(self) -> None:
        try:
            while True:
                with self._wake:
                    while not self._orders and self._engine.idle:
                        if self._stopping:
                            return
                        self._wake.wait()
                while self._orders:
                    self._orders.popleft()()
                self._pass_on(self._engine.step())
        except BaseException as error:
            _LOG.exception("the engine's thread has ended")
            self._failed = f"the engine has failed: {type(error).__name__}"
            self._call(self._fail)

    def _submit(self, answer: Answer) -> None:
        ids = self._ids[answer] = [self._engine.submit(request) for request in answer.requests]
        self._places.update((request_id, (answer, place)) for place, request_id in enumerate(ids))

    def _cancel(self, answer: Answer, place: int, sample: int) -> None:
        if answer in self._ids:
            self._engine.cancel(self._ids[answer][place], sample)

    def _forget(self, answer: Answer) -> None:
        for request_id in self._ids.pop(answer, ()):
            self._engine.cancel(request_id)
            self._places.pop(request_id, None)

    def _pass_on(self, events: list[Event]) -> None:
        by_answer: dict[Answer, list[tuple[int, Event]]] = {}
        for event in events:
            if event.request_id in self._places:
                answer, place = self._places[event.request_id]
                by_answer.setdefault(answer, []).append((place, event))
        if by_answer:
            self._call(lambda: _deliver(by_answer))

    def _call(self, function: Callable[[], None]) -> None:
        try:
            self._started_loop().call_soon_threadsafe(function)
        except RuntimeError:  # the loop is closed: nobody listens any more
            self._stopping = True

    def _started_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise BackendError("the engine's thread has not been started; call start() first")
        return self._loop

    # on the loop's thread

    def _fail(self) -> None:
        for answer in self._open:
            answer._fail(BackendError(f"{self._failed}; restart the server"))

    def _order(self, order: Callable[[], None]) -> None:
        with self._wake:
            self._orders.append(order)
            self._wake.notify()

    def _seconds_to_wait(self, waiting: int) -> float:
        """A guess: one second, and one more for each 32 that wait."""
        return 1.0 + waiting // 32


def _deliver(by_answer: dict[Answer, list[tuple[int, Event]]]) -> None:
    for answer, events in by_answer.items():
        answer._deliver(events)

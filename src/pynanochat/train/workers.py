"""Workers: a function computed by several processes, the results in the order of what it was asked.

Ctrl-C is for the process that asks, which ends the workers; they end by themselves when that process is gone.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar

from pynanochat.errors import TrainingError

_MAX_PROCESSES = 1024

Asked = TypeVar("Asked")
Made = TypeVar("Made")


def in_order(
    function: Callable[[Asked], Made], asked: Iterable[Asked], processes: int
) -> Generator[Made, None, None]:
    """What the function makes of each thing, in order, the same whatever the number of processes.

    Other processes are started afresh, so a script that asks for them needs its `if __name__ == "__main__":`. Raises
    what the function raises, and `TrainingError` for a number of processes that cannot be, or one that ends.
    """
    if type(processes) is not int or not 1 <= processes <= _MAX_PROCESSES:
        raise TrainingError(f"processes is {processes!r:.40}; expected a whole number, 1 to {_MAX_PROCESSES:,}")
    if processes == 1:
        yield from map(function, asked)
        return
    workers: list[tuple[SpawnProcess, Connection]] = []
    busy: deque[Connection] = deque()
    try:
        _start(workers, function, processes)
        for number, one in enumerate(asked):
            ready = [_answer(busy.popleft())] if len(busy) == processes else []
            pipe = workers[number % processes][1]
            pipe.send(one)
            busy.append(pipe)
            yield from ready  # while the worker goes on
        while busy:
            yield _answer(busy.popleft())
    except (EOFError, ConnectionError):
        raise TrainingError("a process that worked for this one ended; use one process, or see whether memory ran out"
                            ) from None
    finally:
        for process, pipe in workers:
            if process.pid is not None:
                process.terminate()  # before its pipe closes, so that it does not find it closed
                process.join()
            pipe.close()


def _start(workers: list[tuple[SpawnProcess, Connection]], function: Callable[[Any], Any], processes: int) -> None:
    context = multiprocessing.get_context("spawn")
    with _no_interrupt():
        for _ in range(processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, function), daemon=True)
            workers.append((process, ours))
            process.start()
            theirs.close()


@contextlib.contextmanager
def _no_interrupt() -> Iterator[None]:
    """Hold SIGINT back: this process gets it afterwards, those that it starts here never, from their first moment."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # else it is started with the first process, and lets SIGINT through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _answer(pipe: Connection) -> Any:
    error, made = pipe.recv()
    if error is not None:
        raise error
    return made


def _serve(pipe: Connection, function: Callable[[Any], Any]) -> None:
    """What a worker does: one thing after the other, until the process that asks is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            asked = pipe.recv()
            try:
                answer: tuple[Exception | None, Any] = None, function(asked)
            except Exception as error:
                answer = error, None
            pipe.send(answer)

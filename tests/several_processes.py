"""Several real processes that meet by gloo, for tests; none outlives its test."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 90.0  # seconds for all of it: importing torch alone takes several on a busy machine


def run(worker: Callable[..., Any], size: int, folder: Path, *arguments: Any) -> list[Any]:
    """What `worker(processes, *arguments)` returned in each of `size` new processes, by rank.

    The worker is a function of a module; it returns plain data or NumPy arrays. Skips where torch has no gloo.
    """
    dist = pytest.importorskip("torch.distributed")
    if not dist.is_available() or not dist.is_gloo_available():
        pytest.skip("this torch has no gloo")
    meeting = f"file://{folder / f'meeting-{time.monotonic_ns()}'}"
    return start(_joined, [(worker, rank, size, meeting, arguments) for rank in range(size)])


def start(target: Callable[..., Any], calls: list[tuple[Any, ...]]) -> list[Any]:
    """What `target(*call)` returned in a new process for each call."""
    context = multiprocessing.get_context("spawn")
    ends, children = [], []
    for call in calls:
        receive, send = context.Pipe(duplex=False)
        child = context.Process(target=_child, args=(send, target, call), daemon=True)
        child.start()
        send.close()
        ends.append(receive)
        children.append(child)
    deadline = time.monotonic() + PATIENCE
    try:
        results = []
        for end in ends:
            if not end.poll(max(0.0, deadline - time.monotonic())):
                raise TimeoutError(f"a process did not answer within {PATIENCE:g} s")
            try:
                error, result = end.recv()
            except EOFError:
                error, result = "it ended without an answer", None
            results.append((error, result))
        errors = [error for error, _ in results if error]
        assert not errors, "\n".join(errors)
        return [result for _, result in results]
    finally:
        for child in children:
            child.join(max(0.0, min(5.0, deadline - time.monotonic())))
            if child.is_alive():
                child.kill()
                child.join()


def _child(send: Connection, target: Callable[..., Any], call: tuple[Any, ...]) -> None:
    import traceback

    import torch

    torch.set_num_threads(1)
    try:
        send.send((None, target(*call)))
    except BaseException:
        send.send((traceback.format_exc(), None))


def _joined(worker: Callable[..., Any], rank: int, size: int, meeting: str, arguments: tuple[Any, ...]) -> Any:
    from pynanochat.distributed.processes import Processes

    with Processes.joined(rank, size, "cpu", meeting, patience=PATIENCE) as processes:
        return worker(processes, *arguments)

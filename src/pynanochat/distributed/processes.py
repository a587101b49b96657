"""Processes: one or many processes that compute together, behind the few words that training needs.

Every method but the plain facts is collective: all processes call it, in the same order. One process talks to nobody.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import torch

from pynanochat.errors import BackendError, TrainingError

Wait = Callable[[], None]  # returns when what was begun is done
_PATIENCE = 30 * 60.0  # seconds for the others: the first process may be measuring or saving
_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


class Processes:
    """This process among `size`, on its device; `alone`, `of_environment` and `joined` make one."""

    def __init__(self, rank: int, size: int, device: torch.device) -> None:
        self.rank, self.size, self.device = rank, size, device

    @classmethod
    def alone(cls, device: str | torch.device = "cpu") -> Processes:
        """The only process."""
        return cls(0, 1, torch.device(device))

    @classmethod
    def of_environment(cls, device: str | torch.device = "cpu") -> Processes:
        """The process that torchrun's variables describe, joined with the others; alone where there are none.

        Device "cuda" becomes the GPU of the local rank. Raises `TrainingError` for variables that contradict each other
        and for others that do not come, `BackendError` where torch lacks what it takes.
        """
        if "WORLD_SIZE" not in os.environ and "RANK" not in os.environ:
            return cls.alone(device)
        missing = [name for name in _VARIABLES if not os.environ.get(name)]
        if missing:
            raise TrainingError(f"the environment variable {missing[0]} is missing beside RANK or WORLD_SIZE; start "
                                "several processes with torchrun, or unset these")
        rank, size, local = (_number(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        if not rank < size:
            raise TrainingError(f"RANK is {rank} and WORLD_SIZE {size}; expected a rank below the size")
        chosen = torch.device(device)
        if str(chosen) == "cuda":
            if local >= torch.cuda.device_count():
                raise BackendError(f"process {rank} wants GPU {local}, torch finds {torch.cuda.device_count()}; start "
                                   "as many processes on a machine as it has GPUs")
            chosen = torch.device("cuda", local)
        if size == 1:
            return cls.alone(chosen)
        return cls.joined(rank, size, chosen, "env://")

    @classmethod
    def joined(
        cls, rank: int, size: int, device: str | torch.device, meeting: str, *, patience: float = _PATIENCE
    ) -> Processes:
        """One of several that meet at a URL of torch.distributed: tcp://HOST:PORT, file:///PATH or env://.

        Numbers travel by gloo from the CPU, by nccl from GPUs. `patience` is in seconds, for all that follows too.
        """
        import torch.distributed as dist

        chosen = torch.device(device)
        backend = {"cpu": "gloo", "cuda": "nccl"}.get(chosen.type)
        if backend is None:
            raise BackendError(f"several processes cannot share a {chosen.type} device; use cpu or cuda")
        if not dist.is_available() or not dist.is_backend_available(backend):
            raise BackendError(f"this torch was built without {backend}; install one that has it, or use one process")
        if chosen.type == "cuda":
            torch.cuda.set_device(chosen)
        options: dict[str, Any] = {"device_id": chosen} if chosen.type == "cuda" else {}
        with _company():
            dist.init_process_group(backend, init_method=meeting, rank=rank, world_size=size,
                                    timeout=timedelta(seconds=patience), **options)
        return cls(rank, size, chosen)

    @property
    def main(self) -> bool:
        """Whether this is the process that writes files and talks to people."""
        return self.rank == 0

    def sum_(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor, now the sum over all processes, the same bits on each."""
        self.begin_sum_(tensor)()
        return tensor

    def any(self, value: bool) -> bool:
        """Whether the value is true on one process at least."""
        if self.size == 1:
            return value
        return bool(self.sum_(torch.tensor(int(value), dtype=torch.int64, device=self.device)).item())

    def barrier(self) -> None:
        """Wait until all are here."""
        self.any(False)

    def broadcast_(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor, now as the main process has it."""
        if self.size > 1:
            import torch.distributed as dist

            with _company():
                dist.broadcast(tensor.detach(), 0)
        return tensor

    def begin_sum_(self, tensor: torch.Tensor) -> Wait:
        """Begin `sum_`."""
        if self.size == 1:
            return done
        import torch.distributed as dist

        with _company():
            return _waiting(dist.all_reduce(tensor.detach(), async_op=True))

    def begin_sum_scattered(self, own: torch.Tensor, whole: torch.Tensor) -> Wait:
        """Begin to fill `own` with this process's rows of the sum of `whole`; rows are those of a `size`-th each."""
        import torch.distributed as dist

        begin = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor  # its name before torch 2.13
        with _company():
            return _waiting(begin(own, whole, async_op=True))

    def begin_gather(self, whole: torch.Tensor, own: torch.Tensor) -> Wait:
        """Begin to fill `whole` with the rows `own` of every process, by rank."""
        import torch.distributed as dist

        begin = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
        with _company():
            return _waiting(begin(whole, own, async_op=True))

    def close(self) -> None:
        """Part from the others; nothing collective may follow."""
        if self.size > 1:
            import torch.distributed as dist

            if dist.is_initialized():
                dist.destroy_process_group()

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def done() -> None:
    """Nothing was begun."""


def _waiting(work: Any) -> Wait:
    def wait() -> None:
        with _company():
            work.wait()

    return wait


@contextlib.contextmanager
def _company() -> Iterator[None]:
    """What torch.distributed says when the others do not answer, as an error for people."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        reason = (str(error).strip().splitlines() or ["no reason given"])[0][:200]
        raise TrainingError(f"the other processes cannot be reached ({reason}); see whether one of them failed, then "
                            "start all of them again: training goes on from the newest checkpoint") from error


def _number(name: str) -> int:
    text = os.environ[name]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise TrainingError(f"the environment variable {name} is {text[:40]!r}; expected a whole number, as torchrun "
                            "sets it")
    return int(text)

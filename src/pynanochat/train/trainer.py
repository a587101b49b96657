"""Trainer: one optimizer step after the other, on one process or on many.

R rows of T tokens make a step; each process takes R / size of them in micro-batches. The loss is the mean over the
targets of the whole step, so that neither the number of processes nor the size of a micro-batch changes it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from pynanochat.distributed.processes import Processes
from pynanochat.errors import TrainingError
from pynanochat.train.config import TrainConfig
from pynanochat.train.guard import Guard
from pynanochat.train.loader import Loader
from pynanochat.train.network import GPT
from pynanochat.train.optimizer import MuonAdamW
from pynanochat.train.position import Position
from pynanochat.train.schedule import Schedule


@dataclass(frozen=True)
class Step:
    """What a step was like."""

    loss: float  # mean nats per target
    gradient_norm: float
    lr_multiplier: float
    seconds: float
    fault: str | None  # why it was skipped


class Trainer:
    """A network with its optimizer and data, at a position; `run_step` moves it by one."""

    def __init__(
        self, config: TrainConfig, gpt: GPT, optimizer: MuonAdamW, loader: Loader, processes: Processes,
        position: Position,
    ) -> None:
        own_rows, left = divmod(config.step_rows, processes.size)
        if left or own_rows % min(config.rows, own_rows):
            raise TrainingError(f"a step of {config.step_rows} rows cannot be shared by {processes.size} processes in "
                                f"micro-batches of {config.rows}; change rows or batch_tokens")
        self.config, self.gpt, self.optimizer, self.loader = config, gpt, optimizer, loader
        self._processes = processes
        self._schedule = Schedule(config)
        self.rows = min(config.rows, own_rows)
        self._guard = Guard(config.spike, mean=position.loss_mean, steps=position.good_steps)
        self._guard.bad_in_a_row = position.bad_in_a_row
        self.step, self.tokens, self.seconds = position.step, position.tokens, position.seconds
        if position.loader:
            loader.restore(position.loader)

    def run_step(self) -> Step:
        """Take one step. Raises `TrainingError` where it is bad and the run is to stop.

        Weights, optimizer and step are then as they were; gradients and the place in the data are not.
        """
        started = time.perf_counter()
        self.gpt.train()
        loss = self._gradients()
        norm = self.optimizer.gradient_norm()
        fault = self._guard.fault(loss, norm)
        rates = self._schedule.at(self.step)
        if fault is None:
            self.optimizer.step(*rates)
        elif self.config.on_bad_step == "stop" or self._guard.lost:
            raise TrainingError(f"step {self.step + 1}: {fault}; {self._advice()}")
        else:
            self.optimizer.zero_gradients()
        self.step += 1
        self.tokens += self.config.batch_tokens
        seconds = time.perf_counter() - started
        self.seconds += seconds
        return Step(loss, norm, rates[0], seconds, fault)

    def _advice(self) -> str:
        """What was kept of a bad step that stops the run, and what can be done."""
        lower = ("with lower rates from a checkpoint of this one, such as --start RUN --out NEW --start-lr-frac "
                 f"{self.config.start_lr_frac / 2:g}")
        if self.config.on_bad_step == "stop":
            return ("nothing of this step was kept. Give --on-bad-step skip to go on without such steps, or begin a "
                    f"new run {lower}")
        return (f"nothing was kept of {self._guard.bad_in_a_row} bad steps in a row, and to skip more will not help. "
                f"Begin a new run {lower}")

    def _gradients(self) -> float:
        """Fill the gradients of a step, and say its loss."""
        batch, device = self.loader.next(), self._processes.device
        tokens, targets = (torch.from_numpy(array).to(device) for array in (batch.tokens, batch.targets))
        count = self._processes.sum_((targets >= 0).sum()).clamp_min(1)
        total = torch.zeros((), device=device)
        parts = zip(torch.split(tokens, self.rows), torch.split(targets, self.rows), strict=True)
        for part, (ids, wanted) in enumerate(parts):
            if self.config.dropout:  # a pure function of where the run stands
                torch.manual_seed(hash((self.config.seed, self.step, part, self._processes.rank)))
            loss = self.gpt.loss(ids, wanted, reduction="sum") / count
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return float(self._processes.sum_(total))

    def position(self, *, bpb: float | None, best_bpb: float | None, best_step: int | None) -> Position:
        """Where the run stands now, with what evaluations found."""
        return Position(
            step=self.step, tokens=self.tokens, seconds=self.seconds, loader=self.loader.state(),
            loss_mean=self._guard.mean, good_steps=self._guard.steps, bad_in_a_row=self._guard.bad_in_a_row,
            bpb=bpb, best_bpb=best_bpb, best_step=best_step)

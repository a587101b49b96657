"""Session: a run from where it stands to its end or the next interruption, with all that is seen and saved on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from pynanochat.checkpoint import run_folder
from pynanochat.distributed.processes import Processes
from pynanochat.errors import CheckpointError, DataError, NanochatError, TrainingError
from pynanochat.llm import LLM, load
from pynanochat.tensor import Tensor
from pynanochat.train import metrics
from pynanochat.train.evaluation import evaluate
from pynanochat.train.flops import peak_flops, training_flops_per_token
from pynanochat.train.interruption import Interruption
from pynanochat.train.loader import Loss, evaluation
from pynanochat.train.position import Position
from pynanochat.train.run import Run
from pynanochat.train.shards import Shards
from pynanochat.train.sinks import Sink, Sinks
from pynanochat.train.trainer import Step, Trainer

_SAMPLE_TOKENS = 80


@dataclass(frozen=True)
class Outcome:
    """How a session ended: the run's folder, the checkpoint that it left, and whether it reached the last step."""

    run: Path
    checkpoint: Path | None
    step: int
    finished: bool
    exit_code: int  # 0, or what a shell calls a process that the signal ended, also where it came in the last step
    bpb: float | None  # of the last evaluation


class Session:
    """One life of a run's processes; only the main one writes and speaks."""

    def __init__(
        self, run: Run, trainer: Trainer, position: Position, data: Sequence[tuple[Shards, int]], loss: Loss,
        stage: Literal["base", "sft"], processes: Processes, numbers: str, sinks: Sequence[Sink],
    ) -> None:
        self._run, self._trainer, self._data, self._loss, self._stage = run, trainer, data, loss, stage
        self._processes, self._numbers, self._config = processes, numbers, run.config
        self._tokenizer = data[0][0].tokenizer
        self._start = position
        self._bpb, self._best_bpb, self._best_step = position.bpb, position.best_bpb, position.best_step
        went_on = processes.main and bool(position.loader)
        self._checkpoint = run_folder.folder_of(run.folder, position.step) if went_on else None
        self._sinks = self._opened(sinks)
        self._flops = training_flops_per_token(run.config.network, run.config.row_tokens)
        on_gpu = processes.device.type == "cuda"
        self._peak = peak_flops(torch.cuda.get_device_name(processes.device)) if on_gpu else None

    def _opened(self, sinks: Sequence[Sink]) -> Sinks:
        if not self._processes.main:
            return Sinks([])
        path = self._run.folder / metrics.NAME
        try:
            own = metrics.MetricsFile(path)
            own.keep_until(self._start.step)
        except OSError as error:
            raise TrainingError(f"{path} cannot be written: {error.strerror or error}") from None
        for sink in sinks:
            if hasattr(sink, "recall"):
                sink.recall(metrics.read(path))
        return Sinks([own, *sinks])

    def train(self) -> Outcome:
        """Train to the last step, or to a signal. Raises `TrainingError` for a bad step that is not to be skipped."""
        config, trainer = self._config, self._trainer
        self._event("resume" if self._start.loader else "start", self._described())
        try:
            with Interruption() as interruption:
                stopped = False
                while trainer.step < config.steps and not stopped:
                    step = self._stepped()
                    self._record(step)
                    stopped = self._processes.any(interruption.signal is not None)
                    self._after(stopped=stopped)
                stopped = stopped or self._processes.any(interruption.signal is not None)  # in the last evaluation
            finished = trainer.step >= config.steps
            self._event("end" if finished else "stop", self._farewell(interruption, finished=finished))
        finally:
            self._sinks.close()
        code = interruption.exit_code if stopped else 0
        return Outcome(self._run.folder, self._checkpoint, trainer.step, finished, code, self._bpb)

    def _stepped(self) -> Step:
        try:
            return self._trainer.run_step()
        except TrainingError as error:
            self._event("stop", str(error))
            raise

    def _after(self, *, stopped: bool) -> None:
        """Evaluate, save and sample where it is time."""
        config, step = self._config, self._trainer.step
        last = step >= config.steps
        better = False
        if last or (config.eval_every and step % config.eval_every == 0):
            better = self._evaluate()
        due = last or stopped or (config.save_every and step % config.save_every == 0)
        if due or (better and config.keep_best):
            self._save(must=last or stopped)
            if not stopped:
                self._sample()

    def _evaluate(self) -> bool:
        """Measure bits per byte on held-out rows; whether they are the fewest so far."""
        if not all("val" in shards.splits for shards, _ in self._data):
            return False
        config, processes = self._config, self._processes
        rows = evaluation(self._data, row_tokens=config.row_tokens, step_rows=self._trainer.rows * processes.size,
                          max_tokens=config.eval_tokens, loss=self._loss, processes_rank=processes.rank,
                          processes_size=processes.size)
        try:
            found = evaluate(self._trainer.gpt, rows, self._tokenizer, processes)
        except DataError as error:  # the same on every process; the training is worth more
            self._event("warn", f"not evaluated: {error}")
            return False
        self._bpb = found.bpb
        self._write({"kind": "eval", "loss": found.loss, "bpb": found.bpb})
        better = self._best_bpb is None or found.bpb < self._best_bpb
        if better:
            self._best_bpb, self._best_step = found.bpb, self._trainer.step
        return better

    def _save(self, *, must: bool) -> None:
        """Write a checkpoint; a disk that is full ends the run only where the run is to end here."""
        optimizer = {name: _stored(state) for name, state in self._trainer.optimizer.state().items()}
        if self._processes.main:
            position = self._trainer.position(bpb=self._bpb, best_bpb=self._best_bpb, best_step=self._best_step)
            try:
                self._checkpoint = self._run.save(position, self._trainer.gpt.tensors(), optimizer, self._tokenizer)
            except CheckpointError as error:
                self._event("warn", f"step {self._trainer.step:,} was not saved: {error}")
                if must:
                    raise
            else:
                self._event("save", f"saved {self._checkpoint.name}")
        self._processes.barrier()

    def _sample(self) -> None:
        if not self._processes.main or self._checkpoint is None or not self._config.sample_prompts:
            return
        try:
            llm = load(self._checkpoint, backend="cpu")
        except (NanochatError, MemoryError) as error:
            self._event("warn", f"no sample: {error or 'there is not enough memory'}")
            return
        for prompt in self._config.sample_prompts:
            try:
                text = self._said(llm, prompt)
            except (NanochatError, MemoryError) as error:  # such as a prompt that is longer than the context
                self._event("warn", f"no sample of {prompt[:40]!r}: {error or 'there is not enough memory'}")
            else:
                self._write({"kind": "sample", "prompt": prompt, "text": text})

    def _said(self, llm: LLM, prompt: str) -> str:
        if self._stage == "sft":
            return llm.chat(max_tokens=_SAMPLE_TOKENS, temperature=0.0).send(prompt).text
        return llm.generate(prompt, _SAMPLE_TOKENS, temperature=0.8, top_p=0.95, seed=0).text

    def _record(self, step: Step) -> None:
        config = self._config
        rate = config.batch_tokens / step.seconds
        peak = self._peak and self._peak * self._processes.size
        self._write({
            "kind": "step", "loss": step.loss, "lr": step.lr_multiplier, "tokens": self._trainer.tokens,
            "tokens_per_second": rate, "gradient_norm": step.gradient_norm,
            "mfu": rate * self._flops / peak if peak else None, "epoch": self._trainer.loader.epoch})
        if step.fault is not None:
            self._event("skip", f"step {self._trainer.step:,} was skipped: {step.fault}")

    def _event(self, event: str, text: str) -> None:
        self._write({"kind": "event", "event": event, "text": text})

    def _write(self, record: dict[str, Any]) -> None:
        self._sinks.write({**record, "step": self._trainer.step, "time": self._trainer.seconds})

    def _described(self) -> str:
        config, size = self._config, self._processes.size
        where = f"{size} processes on {self._processes.device.type}" if size > 1 else str(self._processes.device)
        parameters = sum(parameter.numel() for parameter in self._trainer.gpt.parameters())
        return (f"{parameters / 1e6:.3g} M parameters, step {self._trainer.step:,} of {config.steps:,}, "
                f"{config.batch_tokens:,} tokens each, on {where}, {self._numbers}")

    def _farewell(self, interruption: Interruption, *, finished: bool) -> str:
        at = f"step {self._trainer.step:,} of {self._config.steps:,}"
        if not finished:
            name = interruption.signal.name if interruption.signal else "a signal to another process"
            return f"stopped by {name} at {at}, saved; the same command goes on from here"
        return f"done at {at}" + (f", {self._bpb:.4f} bits per byte" if self._bpb is not None else "")


def _stored(state: torch.Tensor) -> Tensor:
    array = state.contiguous().numpy()
    return Tensor(array, array.dtype.name)  # Tensor.of would make a single number a row of one

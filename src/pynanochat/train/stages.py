"""The two stages of training: `pretrain` on texts, `sft` on conversations. Both go on where their run was left."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, TypeAlias

import torch

from pynanochat import checkpoint
from pynanochat.backends.torch.device import gpu
from pynanochat.checkpoint.checkpoint import differences
from pynanochat.checkpoint.place import place_of
from pynanochat.distributed.processes import Processes
from pynanochat.errors import DataError, TrainingError
from pynanochat.tokenizer import Tokenizer
from pynanochat.train import precision, shards, upstream_optimizer
from pynanochat.train.compiled import speed_up
from pynanochat.train.config import TrainConfig
from pynanochat.train.flops import training_flops_per_token
from pynanochat.train.initialization import initialize
from pynanochat.train.loader import Loader, Loss
from pynanochat.train.network import GPT
from pynanochat.train.optimizer import MuonAdamW, polar_dtype
from pynanochat.train.parameter_groups import Group, parameter_groups
from pynanochat.train.position import Position
from pynanochat.train.run import OPTIMIZER, Run, as_state, read_saved
from pynanochat.train.session import Outcome, Session
from pynanochat.train.shards import Shards
from pynanochat.train.sinks import Sink, warn_on_stderr
from pynanochat.train.trainer import Trainer

_LONG_RUN_FLOPS = {"cpu": 1e14, "cuda": 2e16}  # ten minutes and more of a laptop, minutes of an H200

Place: TypeAlias = str | os.PathLike[str]
Data: TypeAlias = Place | Sequence[Place | tuple[Place, int]]


def pretrain(
    config: TrainConfig, *, data: Data, out: Place, start: Place | None = None, recipe: str = "",
    device: str | None = None, sinks: Sequence[Sink] = (), processes: Processes | None = None,
) -> Outcome:
    """Train a network on every token of the data, or go on with the run in `out`.

    `data` is one folder of shards or several, as (folder, repeats) where one comes more than once in an epoch. `start`
    is a checkpoint whose weights, optimizer and step to begin from; upstream's .pt files will do. `processes` are those
    that torchrun describes if None, on the best device if that is None. The run ends early, saved, on SIGINT or
    SIGTERM. Raises `TrainingError`, `DataError` or `CheckpointError`.
    """
    with _processes(processes, device) as company:
        return _train("base", config, data, out, start, recipe, company, sinks, "all")


def sft(
    config: TrainConfig, *, start: Place, data: Data, out: Place, recipe: str = "", device: str | None = None,
    sinks: Sequence[Sink] = (), processes: Processes | None = None,
) -> Outcome:
    """Fine-tune the checkpoint `start` on what the assistant says, or go on with the run in `out`.

    The optimizer's state is taken over where it lies beside the weights. Everything else as in `pretrain`.
    """
    with _processes(processes, device) as company:
        return _train("sft", config, data, out, start, recipe, company, sinks, "assistant")


def _processes(given: Processes | None, device: str | None) -> AbstractContextManager[Processes]:
    """The processes that train; those that were given are not closed."""
    if given is not None:
        return nullcontext(given)
    name = device or gpu() or "cpu"
    if name == "mps" and not torch.backends.mps.is_available():
        raise TrainingError("torch finds no Apple GPU; train on the CPU")
    if re.fullmatch(r"(cpu|cuda|mps)(:\d{1,3})?", name) is None:
        raise TrainingError(f"device is {name!r:.40}; expected cpu, cuda or mps")
    return Processes.of_environment(name)


def _train(
    stage: Literal["base", "sft"], config: TrainConfig, data: Data, out: Place, start: Place | None, recipe: str,
    processes: Processes, sinks: Sequence[Sink], loss: Loss,
) -> Outcome:
    torch.set_float32_matmul_precision("highest")
    found = _opened(data)
    found[0][0].check(vocab_size=config.network.vocab_size)
    folder = place_of(out, "the run's folder")
    chosen = precision.choose(processes.device, config.dtype)
    gpt = GPT(config.network, activations=chosen.dtype, dropout=config.dropout).to(processes.device)
    groups = parameter_groups(config.network, config)
    optimizer = MuonAdamW(dict(gpt.named_parameters()), groups, processes, polar=polar_dtype(chosen.dtype))
    loader = Loader(found, row_tokens=config.row_tokens, step_rows=config.step_rows, seed=config.seed, loss=loss,
                    processes_rank=processes.rank, processes_size=processes.size)
    facts = {"stage": stage, "recipe": recipe, "data": [[str(shard.folder), times] for shard, times in found],
             "start": str(start) if start is not None else None}
    run = Run(folder, config, facts, warn_on_stderr, processes)
    with run.held():
        saved, told = run.newest(), ""
        if saved is None:
            for shard, _ in found:
                shard.verify()
        if saved is not None:
            gpt.load(saved.model.tensors)
            optimizer.load_state(as_state(saved.optimizer))
            position = saved.position
        elif start is not None:
            position, place = _begin(start, found[0][0], gpt, optimizer, groups, config, goes_on=stage == "base")
            told = _data_goes_on(loader, place) if position.step else ""
        else:
            initialize(gpt, config.seed, config.init)
            position = Position()
        trainer = Trainer(config, gpt, optimizer, loader, processes, position)
        speed = ("not compiled, the run is short" if _is_short(config, processes.device.type)
                 else speed_up(gpt, config.compile, trainer.rows, config.row_tokens))
        numbers = ", ".join(text for text in (chosen.reason, speed, told) if text)
        return Session(run, trainer, position, found, loss, stage, processes, numbers, sinks).train()


def _opened(data: Data) -> list[tuple[Shards, int]]:
    several = [data] if isinstance(data, (str, os.PathLike)) else list(data)
    pairs = [(one, 1) if isinstance(one, (str, os.PathLike)) else one for one in several]
    if not pairs:
        raise DataError("there is no data to train on; name a folder that `nanochat train data` wrote")
    return [(shards.open(place), repeats) for place, repeats in pairs]


def _begin(
    start: Place, data: Shards, gpt: GPT, optimizer: MuonAdamW, groups: Sequence[Group], config: TrainConfig, *,
    goes_on: bool,
) -> tuple[Position, dict[str, Any]]:
    """Take the weights of another checkpoint, its optimizer if that is there, and its step if the run `goes_on`; also
    the place in its data, empty where it tells none.
    """
    opened = checkpoint.open(checkpoint.resolve(start))
    different = differences(opened.config, config.network)
    if different:
        raise TrainingError(f"{start} is a network with another {', '.join(different)} than the one to train; give the "
                            "same numbers")
    if opened.tokenizer_path is not None:
        data.check(Tokenizer.load(opened.tokenizer_path))
    gpt.load(opened.tensors)
    step = opened.meta.get("step", 0)
    if type(step) is not int:
        raise TrainingError(f"{start} stands at step {step!r:.40}; expected a whole number, get an intact copy")
    place: dict[str, Any] = {}
    if (opened.path / OPTIMIZER).is_file():
        saved = read_saved(opened.path)
        optimizer.load_state(as_state(saved.optimizer))
        place = saved.position.loader
    elif opened.format == "nanochat" and any(opened.path.glob(f"optim_{step:06d}*.pt")):
        files = upstream_optimizer.files(opened.path, step)
        optimizer.load_state(upstream_optimizer.read(files, config.network, groups))
    if not goes_on:
        return Position(), {}
    if not 0 <= step < config.steps:
        raise TrainingError(f"{start} stands at step {step}, the run ends at {config.steps}; give more steps")
    return Position(step=step, tokens=step * config.batch_tokens), place


def _data_goes_on(loader: Loader, place: Mapping[str, Any]) -> str:
    """Move to a place in the data of another run, where that is the same in the same order; what came of it."""
    if not place:
        return "data from its beginning"
    try:
        loader.restore(place)
    except DataError as error:
        return f"data from its beginning: {str(error).partition(';')[0]}"
    return f"data from epoch {loader.epoch:.2f} on"


def _is_short(config: TrainConfig, device: str) -> bool:
    """Whether compiling, which takes most of a minute, was left to us and does not pay.

    The same for every session of a run, so that it repeats itself to the bit.
    """
    flops = training_flops_per_token(config.network, config.row_tokens) * config.batch_tokens * config.steps
    return config.compile == "auto" and flops < _LONG_RUN_FLOPS.get(device, 0)

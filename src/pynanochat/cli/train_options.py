"""Options of the training commands: what changes a recipe, where it runs, where its numbers go."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from cyclopts import Group, Parameter

from pynanochat.cli.terminal import emit, say
from pynanochat.errors import RequestError, TrainingError

if TYPE_CHECKING:
    from pynanochat.train.config import TrainConfig
    from pynanochat.train.session import Outcome
    from pynanochat.train.sinks import Sink

DataFolders: TypeAlias = Annotated[tuple[str, ...], Parameter(
    help="A folder that `train data` wrote; may be given again. FOLDER@4 comes four times in an epoch.")]
RunFolder: TypeAlias = Annotated[Path, Parameter(help="The run's folder; a run that is there goes on.")]

_CHANGES = Group("Changes to the recipe", sort_key=2)
_RUNNING = Group("Running", sort_key=3)


@Parameter(name="*", group=_CHANGES)
@dataclass(frozen=True, kw_only=True)
class Changes:
    """Settings of a run that take the place of the recipe's; what is left out stays as the recipe says."""

    steps: Annotated[int | None, Parameter(alias="--num-iterations", help="Optimizer steps.")] = None
    batch_tokens: Annotated[int | None, Parameter(
        alias="--total-batch-size", help="Tokens of a step (the batch), over all processes.")] = None
    rows: Annotated[int | None, Parameter(
        alias="--device-batch-size", help="Sequences of a micro-batch, on each process.")] = None
    row_tokens: Annotated[int | None, Parameter(help="Tokens of a sequence, at most the context.")] = None
    matrix_lr: Annotated[float | None, Parameter(help="Learning rate of the matrices (Muon).")] = None
    embedding_lr: Annotated[float | None, Parameter(help="Learning rate of the embeddings (AdamW).")] = None
    unembedding_lr: Annotated[float | None, Parameter(help="Learning rate of the head (AdamW).")] = None
    scalar_lr: Annotated[float | None, Parameter(help="Learning rate of the scalars (AdamW).")] = None
    weight_decay: Annotated[float | None, Parameter(help="Of the matrices, at the start.")] = None
    warmup_steps: Annotated[int | None, Parameter(help="Steps in which the learning rates rise.")] = None
    warmdown_ratio: Annotated[float | None, Parameter(help="Share of the steps in which they fall.")] = None
    final_lr_frac: Annotated[float | None, Parameter(help="Where they end, as a share of what they were.")] = None
    start_lr_frac: Annotated[float | None, Parameter(help="A factor on all learning rates.")] = None
    dropout: Annotated[float | None, Parameter(help="Of attention weights and hidden units.")] = None
    init: Annotated[Literal["nanochat", "kaiming"] | None, Parameter(help="How weights begin.")] = None
    seed: Annotated[int | None, Parameter(help="Of the first weights and of the order of documents.")] = None
    dtype: Annotated[Literal["auto", "float32", "bfloat16"] | None, Parameter(help="Of activations.")] = None
    compile: Annotated[Literal["auto", "on", "off"] | None, Parameter(help="torch.compile.")] = None
    on_bad_step: Annotated[Literal["stop", "skip"] | None, Parameter(
        help="Where a loss or a gradient is NaN or infinite, or a loss is a spike.")] = None
    spike: Annotated[float | None, Parameter(help="A loss this many times the recent mean is a spike.")] = None
    eval_every: Annotated[int | None, Parameter(help="Steps between evaluations; 0: at the end alone.")] = None
    eval_tokens: Annotated[int | None, Parameter(help="Held-out tokens of an evaluation.")] = None
    save_every: Annotated[int | None, Parameter(help="Steps between checkpoints; 0: at the end alone.")] = None
    keep_last: Annotated[int | None, Parameter(help="Newest checkpoints that are kept; the best one is, too.")] = None
    sample: Annotated[tuple[str, ...], Parameter(
        help="A prompt that every checkpoint continues, or answers after sft; may be given again.")] = ()

    def given(self) -> dict[str, Any]:
        """Those that were given, under the names of `TrainConfig`."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        prompts = values.pop("sample")
        return values | ({"sample_prompts": prompts} if prompts else {})


@Parameter(name="*", group=_RUNNING)
@dataclass(frozen=True, kw_only=True)
class TrainRunning:
    """Where a run computes, and who is told of it."""

    device: Annotated[str | None, Parameter(help="cpu, cuda or mps; the GPU that torch finds if left out.")] = None
    threads: Annotated[int | None, Parameter(help="Threads on the CPU; as many as there are cores.")] = None
    tracker: Annotated[tuple[Literal["trackio", "wandb"], ...], Parameter(
        help="Send the numbers there, too; may be given again.")] = ()


def sinks(running: TrainRunning, out: Path, config: TrainConfig) -> list[Sink]:
    """Who is told of a run besides its own metrics file: the terminal, and the trackers that were asked for."""
    from pynanochat.train.progress import Progress
    from pynanochat.train.sinks import tracker

    if not _speaks():
        return []
    name, place = out.absolute().name, str(out.absolute()).encode()
    own = f"{name}-{hashlib.sha256(place).hexdigest()[:8]}"  # a run elsewhere of the same name is another one
    trackers = [tracker(which, run=own, config=config.to_dict()) for which in running.tracker]
    return [Progress(name, config.steps), *trackers]


def settle_threads(running: TrainRunning) -> None:
    """Let torch compute with as many threads as were asked for; `TrainingError` where it is not there."""
    if running.threads is not None and running.threads < 1:
        raise RequestError(f"--threads is {running.threads}; expected 1 or more")
    try:
        from pynanochat.train import threads
    except ModuleNotFoundError:
        raise TrainingError("training needs torch, which is not installed; run: pip install 'pynanochat[train]'"
                            ) from None
    threads.settle(running.threads)


def data_of(folders: tuple[str, ...]) -> list[tuple[str, int]]:
    """Folders of shards and how often each comes in an epoch: FOLDER, or FOLDER@4."""
    found = []
    for text in folders:
        folder, at, times = text.rpartition("@")
        repeated = at and times.isascii() and times.isdigit() and not Path(text).exists()
        found.append((folder, int(times)) if repeated else (text, 1))
    return found


def _speaks() -> bool:
    """Whether this is the one of torchrun's processes that talks to people."""
    return os.environ.get("RANK", "0") == "0"


def ended(outcome: Outcome, *, json: bool) -> int:
    """Say how a session of training ended; the exit code of the command."""
    if not _speaks():
        pass
    elif json:
        emit({"run": str(outcome.run), "checkpoint": str(outcome.checkpoint or ""), "step": outcome.step,
              "finished": outcome.finished, "bpb": outcome.bpb})
    elif outcome.finished:
        print(outcome.run)
        say(f"talk to it: nanochat chat {outcome.run}", "dim")
    return outcome.exit_code

"""nanochat train sft: a trained network learns to answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pynanochat.cli.options import Json
from pynanochat.cli.train_options import (
    Changes,
    DataFolders,
    RunFolder,
    TrainRunning,
    data_of,
    ended,
    settle_threads,
    sinks,
)
from pynanochat.errors import TrainingError

if TYPE_CHECKING:
    from pynanochat.train.config import TrainConfig


def sft(
    *,
    start: Annotated[str, Parameter(help="The model to fine-tune: a run's folder, or any name of a model.")],
    data: DataFolders,
    out: RunFolder,
    json: Json = False,
    changes: Changes = Changes(),  # noqa: B008 - frozen
    running: TrainRunning = TrainRunning(),  # noqa: B008
) -> int:
    """Fine-tune a model on conversations, where only what the assistant says is learned.

    One epoch unless --steps says otherwise. Learning rates and batch are those of the run that it starts from; where it
    starts from a model alone, those that upstream wrote down, else the depth dial's.
    Ctrl-C saves and leaves; the same command goes on.
    """
    from pynanochat import checkpoint
    from pynanochat.checkpoint import run_folder
    from pynanochat.train import recipes, shards

    settle_threads(running)
    folders, given = data_of(data), changes.given()
    if run_folder.is_run(Path(out)):  # goes on, whatever has become of where it started
        config = replace(_settings(Path(out)), **given)
    else:
        place = checkpoint.resolve(start)
        tokens = sum(shards.open(folder).split("train").tokens * times for folder, times in folders)
        if run_folder.is_run(place):
            before = _settings(place)
        else:
            opened, sizes = checkpoint.open(place), ("batch_tokens", "row_tokens")
            before = recipes.of_model(opened.config, opened.meta, tokens=tokens,
                                      **{name: given[name] for name in sizes if name in given})
        batch = given.get("batch_tokens", before.batch_tokens)
        config = replace(recipes.sft(before, steps=max(1, -(-tokens // batch))), **given)
    from pynanochat.train.stages import sft as train

    return ended(train(config, start=start, data=folders, out=out, recipe="sft", device=running.device,
                      sinks=sinks(running, Path(out), config)), json=json)


def _settings(run: Path) -> TrainConfig:
    """The settings of a run; `TrainingError` where its folder does not tell them."""
    from pynanochat.checkpoint import json_file, run_folder
    from pynanochat.train.config import TrainConfig

    try:
        return TrainConfig.from_dict(json_file.read(run / run_folder.RUN).get("config", {}))
    except TrainingError as error:
        raise TrainingError(f"{run / run_folder.RUN}: {error}; it is damaged, or of another version") from None

"""nanochat train pretrain: a network from its first step, or from where its run was left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

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
from pynanochat.errors import RequestError


def pretrain(
    *,
    data: DataFolders,
    out: RunFolder,
    recipe: Annotated[Literal["tiny", "bundled"] | None, Parameter(
        help="tiny: minutes on a laptop. bundled: the model that comes with the package, hours.")] = None,
    depth: Annotated[int | None, Parameter(
        help="Upstream's dial instead of a recipe: everything follows from the number of layers.")] = None,
    start: Annotated[str | None, Parameter(
        help="A checkpoint to begin from, weights, optimizer and step; upstream's, too.")] = None,
    json: Json = False,
    changes: Changes = Changes(),  # noqa: B008 - frozen
    running: TrainRunning = TrainRunning(),  # noqa: B008
) -> int:
    """Train a network on texts. Ctrl-C saves and leaves; the same command goes on.

    With torchrun several processes share the work: torchrun --nproc-per-node 8 -m pynanochat train pretrain ...
    """
    from pynanochat.train import recipes, shards

    if (recipe is None) == (depth is None):
        raise RequestError("give --recipe tiny or bundled, or --depth, one of them")
    settle_threads(running)
    folders = data_of(data)
    vocab_size = shards.open(folders[0][0]).vocab_size
    if depth is not None:
        config = recipes.depth(depth, vocab_size=vocab_size)
    else:
        config = {"tiny": recipes.tiny, "bundled": recipes.bundled}[recipe or "tiny"](vocab_size=vocab_size)
    config = replace(config, **changes.given())
    from pynanochat.train.stages import pretrain as train

    return ended(train(config, data=folders, out=out, start=start, recipe=recipe or f"depth {depth}",
                      device=running.device, sinks=sinks(running, Path(out), config)), json=json)

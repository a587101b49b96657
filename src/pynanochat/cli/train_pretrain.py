"""nanochat train pretrain: a network from its first step, or from where its run was left."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter

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

_DIAL = Group("With --depth", sort_key=1)


@Parameter(name="*", group=_DIAL)
@dataclass(frozen=True, kw_only=True)
class Dial:
    """What upstream's dial can be told besides the depth, by upstream's names."""

    max_seq_len: Annotated[int | None, Parameter(help="Context in tokens; 2048 if left out.")] = None
    aspect_ratio: Annotated[int | None, Parameter(help="Width per layer; 64 if left out.")] = None
    head_dim: Annotated[int | None, Parameter(help="Channels of a head; 128 if left out.")] = None
    window_pattern: Annotated[str | None, Parameter(
        help="Layers with a short (S) and a long (L) attention window, in turn; SSSL if left out.")] = None
    target_param_data_ratio: Annotated[float | None, Parameter(
        help="Tokens to train on per matrix and head parameter; 12 if left out.")] = None

    def given(self) -> dict[str, Any]:
        """Those that were given, under the names of `recipes.depth`."""
        names = {"max_seq_len": "sequence_len", "target_param_data_ratio": "ratio"}
        return {names.get(name, name): value for name, value in asdict(self).items() if value is not None}


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
    dial: Dial = Dial(),
    changes: Changes = Changes(),  # noqa: B008
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
        config = recipes.depth(depth, vocab_size=vocab_size, **dial.given())
    else:
        if dial.given():
            raise RequestError("--max-seq-len, --aspect-ratio, --head-dim, --window-pattern and "
                               "--target-param-data-ratio change what --depth makes; leave them out beside --recipe")
        config = {"tiny": recipes.tiny, "bundled": recipes.bundled}[recipe or "tiny"](vocab_size=vocab_size)
    config = replace(config, **changes.given())
    from pynanochat.train.stages import pretrain as train

    return ended(train(config, data=folders, out=out, start=start, recipe=recipe or f"depth {depth}",
                      device=running.device, sinks=sinks(running, Path(out), config)), json=json)

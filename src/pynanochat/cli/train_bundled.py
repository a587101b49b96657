"""nanochat train bundled: the model that comes with the package, made again from nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pynanochat.cli.options import Json
from pynanochat.cli.terminal import say
from pynanochat.cli.train_options import TrainRunning, ended, settle_threads, sinks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pynanochat.train.config import TrainConfig
    from pynanochat.train.sinks import Sink


def bundled(
    *,
    out: Annotated[Path, Parameter(help="The folder for texts, runs and the model; what is there goes on.")],
    texts: Annotated[Path | None, Parameter(
        help="A folder with the openly licensed texts that docs/training.md lists; without it the generator's "
             "alone.")] = None,
    steps: Annotated[int | None, Parameter(help="Steps of pretraining; as the recipe says if left out.")] = None,
    sft_steps: Annotated[int | None, Parameter(help="Steps of fine-tuning.")] = None,
    json: Json = False,
    running: TrainRunning = TrainRunning(),  # noqa: B008 - frozen
) -> int:
    """Make the bundled model: its texts, tokenizer, both stages of training, 8-bit weights.

    Hours on two cores, minutes on a GPU. Ctrl-C saves and leaves; the same command goes on.
    """
    settle_threads(running)
    from pynanochat.cores import cores
    from pynanochat.train.bundled import make

    def watch(folder: Path, config: TrainConfig) -> Sequence[Sink]:
        return sinks(running, folder, config)

    try:
        outcome = make(out, texts=texts, processes=cores(), device=running.device, say=lambda text: say(text, "dim"),
                       watch=watch, base={} if steps is None else {"steps": steps},
                       sft={} if sft_steps is None else {"steps": sft_steps})
    except KeyboardInterrupt:  # between two stages, or a second one in them
        say("stopped; the same command goes on with what is done")
        raise
    if outcome.finished:
        say(f"measure it: nanochat eval {out / 'model'} --suite bundled", "dim")
    return ended(outcome, json=json)

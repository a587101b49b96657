"""Export: the optimizer of a run's checkpoint as upstream's trainer reads it."""

from __future__ import annotations

from pathlib import Path

from pynanochat.checkpoint import json_file, run_folder
from pynanochat.errors import TrainingError
from pynanochat.train import upstream_optimizer
from pynanochat.train.config import TrainConfig
from pynanochat.train.parameter_groups import parameter_groups
from pynanochat.train.run import as_state, read_saved
from pynanochat.train.schedule import Schedule


def write_optimizer(saved: Path, folder: Path) -> Path:
    """The optim_%06d_rank0.pt written into `folder`, for the checkpoint `saved` of a run.

    Raises `TrainingError` where it lies in no run's folder, `CheckpointError` where it is damaged.
    """
    run = saved.parent.parent
    if not run_folder.is_run(run):
        raise TrainingError(f"{saved} lies in no run's folder, whose {run_folder.RUN} says how it was trained; convert "
                            "it where it was trained")
    config = TrainConfig.from_dict(json_file.read(run / run_folder.RUN)["config"])
    found = read_saved(saved)
    step = found.position.step
    path = folder / f"optim_{step:06d}_rank0.pt"
    with path.open("xb") as file:
        upstream_optimizer.write(file, as_state(found.optimizer), parameter_groups(config.network, config),
                                 Schedule(config).at(max(step - 1, 0)))
    return path

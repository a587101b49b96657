"""A program that trains: what tests kill. It says a line when the first step is done."""

import argparse
import json
from pathlib import Path

from pynanochat.train import stages
from pynanochat.train.config import TrainConfig


class Said:
    """A sink that prints a line at the first step of this process."""

    def __init__(self) -> None:
        self._done = False

    def write(self, record: dict) -> None:
        if record["kind"] == "step" and not self._done:
            self._done = True
            print(record["step"], flush=True)

    def close(self) -> None:
        pass


parser = argparse.ArgumentParser()
for name in ("data", "out", "settings"):
    parser.add_argument(f"--{name}", type=Path)
given = parser.parse_args()
stages.pretrain(TrainConfig.from_dict(json.loads(given.settings.read_text())), data=given.data, out=given.out,
                sinks=[Said()])

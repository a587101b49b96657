"""Sinks: every one gets every record, and none of them can end a run."""

from types import SimpleNamespace

import pytest

from pynanochat.errors import TrainingError
from pynanochat.train.sinks import Sinks, tracker

STEP = {"kind": "step", "step": 3, "time": 1.5, "loss": 2.0, "lr": 0.5, "mfu": None, "gradient_norm": float("nan")}


class Kept:
    def __init__(self, failing=False):
        self.records, self.closed, self.failing = [], 0, failing

    def write(self, record):
        self.records.append(record)
        if self.failing:
            raise OSError(28, "No space left on device")

    def close(self):
        self.closed += 1
        if self.failing:
            raise RuntimeError("never mind")


def test_all_get_everything_and_one_that_fails_is_told_of_once():
    first, bad, last, said = Kept(), Kept(failing=True), Kept(), []
    sinks = Sinks([first, bad, last], said.append)
    for _ in range(3):
        sinks.write(STEP)
    sinks.close()
    assert [len(sink.records) for sink in (first, bad, last)] == [3, 3, 3]
    assert [sink.closed for sink in (first, bad, last)] == [1, 1, 1]
    assert said == ["Kept failed (OSError: [Errno 28] No space left on device); the training goes on"]


def test_the_warning_goes_to_stderr(capsys):
    Sinks([Kept(failing=True)]).write(STEP)
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)


def test_ctrl_c_is_no_failure():
    class Interrupted(Kept):
        def write(self, record):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Sinks([Interrupted()]).write(STEP)


class FakeModule:
    """What wandb and trackio have in common."""

    def __init__(self, error=None):
        self.error, self.options, self.logged, self.finished = error, None, [], 0

    def init(self, **options):
        if self.error is not None:
            raise self.error
        self.options = options
        return SimpleNamespace(log=lambda values, step: self.logged.append((step, values)), finish=self.finish)

    def finish(self):
        self.finished += 1


@pytest.mark.parametrize("name", ["trackio", "wandb"])
def test_a_tracker_gets_the_numbers(name):
    module, asked = FakeModule(), []
    sink = tracker(name, run="tiny-1a2b", config={"steps": 5}, find=lambda name: (asked.append(name), module)[1])
    sink.write({"kind": "event", "step": 0, "time": 0.0, "event": "start", "text": "begun"})
    sink.write(STEP)
    sink.write({"kind": "eval", "step": 3, "time": 2.0, "loss": 2.1, "bpb": 0.7})
    sink.write({"kind": "sample", "step": 3, "time": 2.0, "prompt": "a", "text": "b"})
    sink.close()
    sink.close()
    sink.write(STEP)
    assert asked == [name]
    assert module.options == {"project": "nanochat", "name": "tiny-1a2b", "config": {"steps": 5}, "resume": "allow"} | (
        {"id": "tiny-1a2b"} if name == "wandb" else {})
    assert module.logged == [(3, {"train/loss": 2.0, "train/lr": 0.5, "train/time": 1.5}),
                             (3, {"val/loss": 2.1, "val/bpb": 0.7, "val/time": 2.0})]
    assert module.finished == 1


def test_a_tracker_without_its_network_is_told_of_once():
    module, said = FakeModule(ConnectionError("no route\nto host")), []
    sinks = Sinks([tracker("wandb", run="tiny", find=lambda name: module)], said.append)
    for _ in range(3):
        sinks.write(STEP)
    sinks.close()
    assert said == ["wandb failed (ConnectionError: no route to host); the training goes on"]


def test_trackers_that_are_not_there():
    def find(name):
        raise ImportError(name)

    with pytest.raises(TrainingError, match="pip install wandb"):
        tracker("wandb", run="tiny", find=find)
    with pytest.raises(TrainingError, match="expected trackio or wandb"):
        tracker("mlflow", run="tiny", find=find)

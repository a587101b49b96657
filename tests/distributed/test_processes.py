"""Processes: one alone, two that meet by gloo, the environment of torchrun, and what happens when one is lost."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from several_processes import run, start

from pynanochat.errors import BackendError, TrainingError

torch = pytest.importorskip("torch")

VARIABLES = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_alone() -> None:
    from pynanochat.distributed.processes import Processes

    with Processes.alone("cpu") as processes:
        assert (processes.rank, processes.size, processes.main) == (0, 1, True)
        assert processes.device == torch.device("cpu")
        tensor = torch.tensor([1.0, 2.0])
        for same in (processes.sum_(tensor), processes.broadcast_(tensor)):
            assert same is tensor
        assert tensor.tolist() == [1.0, 2.0]
        assert processes.any(True) is True
        assert processes.any(False) is False
        processes.barrier()


def together(processes: Any) -> dict[str, Any]:
    rank, size = processes.rank, processes.size
    own = torch.arange(3.0) + 10 * rank
    whole, part = torch.arange(4.0).reshape(4, 1) * (rank + 1), torch.empty(4 // size, 1)
    processes.begin_sum_scattered(part, whole)()
    gathered = torch.empty(2 * size)
    processes.begin_gather(gathered, torch.full((2,), float(rank)))()
    processes.barrier()
    return {
        "rank": rank, "size": size, "main": processes.main,
        "sum": processes.sum_(torch.nn.Parameter(own.clone())).tolist(),
        "broadcast": processes.broadcast_(torch.nn.Parameter(own.clone())).tolist(), "part": part[:, 0].tolist(),
        "gathered": gathered.tolist(), "one": processes.any(rank == 1), "none": processes.any(False),
    }


def from_environment(rank: int, port: int) -> dict[str, Any]:
    from pynanochat.distributed.processes import Processes

    os.environ.update(VARIABLES, RANK=str(rank), LOCAL_RANK=str(rank), MASTER_PORT=str(port))
    with Processes.of_environment("cpu") as processes:
        return together(processes)


def test_two_in_torchruns_environment() -> None:
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this torch has no gloo")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for rank, one in enumerate(start(from_environment, [(0, port), (1, port)])):
        assert (one["rank"], one["size"], one["main"]) == (rank, 2, rank == 0)
        assert one["sum"] == [10.0, 12.0, 14.0]
        assert one["broadcast"] == [0.0, 1.0, 2.0]
        assert one["part"] == [[0.0, 3.0], [6.0, 9.0]][rank]
        assert one["gathered"] == [0.0, 0.0, 1.0, 1.0]
        assert one["one"] is True
        assert one["none"] is False


def meet_often(processes: Any) -> None:
    for _ in range(100):
        processes.barrier()


def one_is_lost(processes: Any, path: str) -> None:
    if processes.rank == 1:
        os._exit(0)
    with pytest.raises(TrainingError) as caught:
        meet_often(processes)
    Path(path).write_text(str(caught.value))


def test_a_lost_process_ends_the_others_with_a_clear_word(tmp_path: Path) -> None:
    kept = tmp_path / "said.txt"
    with pytest.raises(AssertionError, match="ended without an answer"):
        run(one_is_lost, 2, tmp_path, str(kept))
    assert "start all of them again" in kept.read_text()


def test_without_torchrun_a_process_is_alone(environment: pytest.MonkeyPatch) -> None:
    from pynanochat.distributed.processes import Processes

    assert Processes.of_environment("cpu").size == 1
    for name, value in {**VARIABLES, "WORLD_SIZE": "1"}.items():
        environment.setenv(name, value)
    assert Processes.of_environment("cpu").size == 1


@pytest.mark.parametrize(("changes", "says"), [
    ({"RANK": None}, "RANK is missing"),
    ({"WORLD_SIZE": None}, "WORLD_SIZE is missing"),
    ({"MASTER_PORT": None}, "MASTER_PORT is missing"),
    ({"RANK": "2"}, "RANK is 2 and WORLD_SIZE 2"),
    ({"WORLD_SIZE": "0"}, "RANK is 0 and WORLD_SIZE 0"),
    ({"RANK": "-1"}, "RANK is '-1'"),
    ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two'"),
])
def test_an_environment_that_contradicts_itself(
    changes: dict[str, str | None], says: str, environment: pytest.MonkeyPatch
) -> None:
    from pynanochat.distributed.processes import Processes

    for name, value in {**VARIABLES, **changes}.items():
        if value is not None:
            environment.setenv(name, value)
    with pytest.raises(TrainingError, match=says):
        Processes.of_environment("cpu")


def test_a_device_that_cannot_be_shared(tmp_path: Path) -> None:
    from pynanochat.distributed.processes import Processes

    with pytest.raises(BackendError, match="mps"):
        Processes.joined(0, 2, "mps", f"file://{tmp_path / 'meeting'}")


def test_others_that_do_not_come(tmp_path: Path) -> None:
    from pynanochat.distributed.processes import Processes

    with pytest.raises(TrainingError, match="cannot be reached"):
        Processes.joined(0, 2, "cpu", f"file://{tmp_path / 'meeting'}", patience=1)

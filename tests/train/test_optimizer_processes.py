"""MuonAdamW over several processes: the weights and the state of one, whatever the number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from several_processes import run

from pynanochat.config import GPTConfig
from pynanochat.train.config import TrainConfig
from pynanochat.train.parameter_groups import MuonGroup, parameter_groups
from pynanochat.train.schedule import Schedule
from pynanochat.weights import tensor_shapes

torch = pytest.importorskip("torch")

# 7 layers: 14, 14, 7, 7 and 4 matrices of a shape, so that the third of three processes has none of the 4; 128 rows of
# the tables divide by 2, not by 3
CFG = GPTConfig(sequence_len=64, vocab_size=100, n_layer=7, n_head=4, n_kv_head=2, n_embd=32)
CONFIG = TrainConfig(network=CFG, steps=8, batch_tokens=64, warmup_steps=2, warmdown_ratio=0.5)
PARTS = 6  # of each gradient; the processes share them out
STEPS = 4
NOISE = 2e-4  # of a weight or state; sums in another order, through the polar factor


def network() -> dict[str, Any]:
    random = np.random.default_rng(5)
    return {name: torch.nn.Parameter(torch.from_numpy(random.normal(size=shape).astype(np.float32) / 8))
            for name, shape in tensor_shapes(CFG).items()}


def fill(parameters: dict[str, Any], step: int, rank: int, size: int) -> None:
    """The sum of this process's parts of the step's gradient."""
    for place, parameter in enumerate(parameters.values()):
        parts = np.random.default_rng([step, place]).normal(size=(PARTS, *parameter.shape)).astype(np.float32)
        parameter.grad = torch.from_numpy(parts[rank::size].sum(0))


def arrays(tensors: dict[str, Any]) -> dict[str, Any]:
    return {name: tensor.detach().numpy().copy() for name, tensor in tensors.items()}


def steps(processes: Any, first: int, start: tuple[dict[str, Any], dict[str, Any]] | None) -> dict[str, Any]:
    """Train from step `first` to the end, saving before step 2; `start` are the weights and state to go on from."""
    from pynanochat.train.optimizer import MuonAdamW

    parameters = network()
    optimizer = MuonAdamW(parameters, parameter_groups(CFG, CONFIG), processes)
    if start is not None:
        for name, array in start[0].items():
            parameters[name].data.copy_(torch.from_numpy(array))
        optimizer.load_state({name: torch.from_numpy(np.array(array)) for name, array in start[1].items()})
    found: dict[str, Any] = {"norms": []}
    for step in range(first, STEPS):
        if step == 2:
            found["saved"] = arrays(parameters), arrays(optimizer.state())
        fill(parameters, step, processes.rank, processes.size)
        found["norms"].append(optimizer.gradient_norm())
        optimizer.step(*Schedule(CONFIG).at(step))
    fill(parameters, 9, processes.rank, processes.size)  # one process's gradient is bad: all leave the step out
    if processes.rank == processes.size - 1:
        parameters["smear_lambda"].grad[0] = float("nan")
    found["bad"] = optimizer.gradient_norm()
    optimizer.zero_gradients()
    found["weights"], found["state"] = arrays(parameters), arrays(optimizer.state())
    held = [tensor for shard in optimizer._shards for tensor in shard._state.values()]
    found["held"] = sum(tensor.numel() for tensor in held)
    return found


def from_scratch_and_from_files(processes: Any, start: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return steps(processes, 0, None), steps(processes, 2, start)


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    from pynanochat.distributed.processes import Processes

    return steps(Processes.alone(), 0, None)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return run(steps, 2, tmp_path_factory.mktemp("two"), 0, None)


@pytest.fixture(scope="module")
def three(
    two: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return run(from_scratch_and_from_files, 3, tmp_path_factory.mktemp("three"), two[0]["saved"])


def agree(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for kind in ("weights", "state"):
        assert list(found[kind]) == list(wanted[kind])
        for name, array in wanted[kind].items():
            assert found[kind][name].shape == array.shape
            assert np.abs(found[kind][name] - array).max() <= NOISE * max(1.0, np.abs(array).max()), name
    count = len(found["norms"])
    assert found["norms"] == pytest.approx(wanted["norms"][-count:], rel=1e-5)


def in_step(ranks: list[dict[str, Any]]) -> None:
    """Every process has the same bits, and the main one alone the whole state."""
    first = ranks[0]
    for rank in ranks:
        assert rank["norms"] == first["norms"]
        assert not np.isfinite(rank["bad"])
        assert all(np.array_equal(rank["weights"][name], array) for name, array in first["weights"].items())
        assert bool(rank["state"]) is (rank is first)


def test_two_are_one(alone: dict[str, Any], two: list[dict[str, Any]]) -> None:
    in_step(two)
    agree(two[0], alone)


def test_three_are_one(alone: dict[str, Any], three: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    in_step([rank[0] for rank in three])
    agree(three[0][0], alone)


def test_three_go_on_from_two(alone: dict[str, Any], three: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    in_step([rank[1] for rank in three])
    agree(three[0][1], alone)


def test_one_goes_on_from_two(alone: dict[str, Any], two: list[dict[str, Any]]) -> None:
    from pynanochat.distributed.processes import Processes

    agree(steps(Processes.alone(), 2, two[0]["saved"]), alone)


def test_each_process_holds_its_share_of_the_state(
    alone: dict[str, Any], two: list[dict[str, Any]], three: list[tuple[dict[str, Any], dict[str, Any]]]
) -> None:
    assert all(0.4 * alone["held"] < rank["held"] < 0.7 * alone["held"] for rank in two)
    muon = [group for group in parameter_groups(CFG, CONFIG) if isinstance(group, MuonGroup)]
    assert {len(group.names) for group in muon} == {14, 7, 4}
    assert sum(rank[0]["held"] for rank in three) < 2 * alone["held"]

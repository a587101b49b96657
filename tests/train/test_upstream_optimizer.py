"""Upstream's optimizer files: read, written, put together from several ranks, refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixture_files import parity

from pynanochat import checkpoint
from pynanochat.checkpoint import torch_file
from pynanochat.config import GPTConfig
from pynanochat.errors import CheckpointError, DamagedFileError, NotFoundError, UnsupportedError
from pynanochat.tensor import Tensor
from pynanochat.train.config import TrainConfig
from pynanochat.train.parameter_groups import Group, MuonGroup, parameter_groups
from pynanochat.train.schedule import Schedule

torch = pytest.importorskip("torch")

NAME = "optim_000010_rank0.pt"


@pytest.fixture
def network() -> tuple[GPTConfig, list[Group], TrainConfig]:
    cfg = checkpoint.open(parity("train_g4_head"), step=10).config
    config = TrainConfig(network=cfg, steps=10, batch_tokens=512, warmup_steps=4, warmdown_ratio=0.0)
    return cfg, parameter_groups(cfg, config), config


@pytest.fixture
def data() -> dict[str, Any]:
    found: dict[str, Any] = torch_file.read(parity("train_g4_head") / NAME)
    return found


def read(paths: Sequence[Path], network: tuple[GPTConfig, list[Group], Any]) -> dict[str, Any]:
    from pynanochat.train import upstream_optimizer

    return upstream_optimizer.read(paths, network[0], network[1])


def saved(path: Path, data: Any) -> Path:
    with path.open("wb") as file:
        torch_file.write(file, data)
    return path


def same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, torch.Tensor):
        return bool(found.dtype == wanted.dtype and torch.equal(found, wanted))
    if isinstance(wanted, dict):
        return list(found) == list(wanted) and all(same(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, (list, tuple)):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    return type(found) is type(wanted) and found == wanted


def test_round_trip(tmp_path: Path, network: tuple[GPTConfig, list[Group], TrainConfig]) -> None:
    """What torch reads from our file is what torch reads from upstream's, to the bit, key for key."""
    from pynanochat.train import upstream_optimizer

    _, groups, config = network
    state = read([parity("train_g4_head") / NAME], network)
    with (tmp_path / NAME).open("wb") as file:
        upstream_optimizer.write(file, state, groups, Schedule(config).at(9))
    ours, theirs = (torch.load(path, weights_only=True) for path in (tmp_path / NAME, parity("train_g4_head") / NAME))
    assert same(ours["state"], theirs["state"])
    for own, wanted in zip(ours["param_groups"], theirs["param_groups"], strict=True):
        assert own == wanted
    again = read([tmp_path / NAME], network)
    assert same(again, state)


def test_torch_itself_loads_the_state_dict(
    tmp_path: Path, network: tuple[GPTConfig, list[Group], TrainConfig]
) -> None:
    from pynanochat.backends.torch.runner import as_torch
    from pynanochat.train import upstream_optimizer

    _, groups, config = network
    state = read([parity("train_g4_head") / NAME], network)
    with (tmp_path / NAME).open("wb") as file:
        upstream_optimizer.write(file, state, groups, Schedule(config).at(9))
    weights = checkpoint.open(parity("train_g4_head"), step=10).tensors
    parameters = [[torch.nn.Parameter(as_torch(weights[name])) for name in group.names] for group in groups]
    optimizer = torch.optim.Optimizer([{"params": own} for own in parameters], {})
    optimizer.load_state_dict(torch.load(tmp_path / NAME, weights_only=True))
    for group, own, described in zip(groups, parameters, optimizer.param_groups, strict=True):
        kept = optimizer.state[own[0]]
        kind = "momentum_buffer" if isinstance(group, MuonGroup) else "exp_avg"
        assert described["initial_lr"] == group.lr
        first = kept[kind][0] if isinstance(group, MuonGroup) else kept[kind]
        assert torch.equal(first, state[f"{kind}/{group.names[0]}"])


def split(data: dict[str, Any], groups: list[Group], size: int) -> list[dict[str, Any]]:
    """The files that `size` ranks would have written, by upstream's rule."""
    ranks: list[dict[str, Any]] = []
    for rank in range(size):
        state: dict[int, Any] = {}
        first = 0
        for group in groups:
            for number in range(first, first + len(group.names)):
                entry = data["state"].get(number)
                if entry is None:
                    continue
                state[number] = {}
                for kind, value in entry.items():
                    if isinstance(value, Tensor):
                        array = value.data
                        if isinstance(group, MuonGroup):
                            chunk = -(-len(group.names) // size)
                            padded = np.zeros((chunk * size, *array.shape[1:]), array.dtype)
                            padded[:len(array)] = array
                            array = padded[rank * chunk:(rank + 1) * chunk]
                        elif array.size >= 1024:
                            rows = len(array) // size
                            array = array[rank * rows:(rank + 1) * rows]
                        value = Tensor.of(array)
                    state[number][kind] = value
            first += len(group.names)
        ranks.append({"state": state, "param_groups": data["param_groups"]})
    return ranks


@pytest.mark.parametrize("size", [2, 4, 8])
def test_several_ranks(
    size: int, tmp_path: Path, network: tuple[GPTConfig, list[Group], Any], data: dict[str, Any]
) -> None:
    from pynanochat.train import upstream_optimizer

    for rank, content in enumerate(split(data, network[1], size)):
        saved(tmp_path / f"optim_000010_rank{rank}.pt", content)
    paths = upstream_optimizer.files(tmp_path, 10)
    assert [path.name for path in paths] == [f"optim_000010_rank{rank}.pt" for rank in range(size)]
    assert same(read(paths, network), read([parity("train_g4_head") / NAME], network))
    with pytest.raises(UnsupportedError, match="no part for one of 1 ranks"):
        read(paths[:1], network)
    paths[0].unlink()
    with pytest.raises(NotFoundError, match="rank0"):
        upstream_optimizer.files(tmp_path, 10)


def test_state_in_bfloat16(tmp_path: Path, network: tuple[GPTConfig, list[Group], TrainConfig]) -> None:
    """As upstream keeps that of its tables on GPUs."""
    from pynanochat.train import upstream_optimizer

    state = read([parity("train_g4_head") / NAME], network)
    for name in ("exp_avg/transformer.wte.weight", "exp_avg_sq/transformer.wte.weight"):
        state[name] = state[name].bfloat16()
    with (tmp_path / NAME).open("wb") as file:
        upstream_optimizer.write(file, state, network[1], Schedule(network[2]).at(9))
    assert same(read([tmp_path / NAME], network), state)


def test_the_same_bytes_each_time(tmp_path: Path, network: tuple[GPTConfig, list[Group], TrainConfig]) -> None:
    from pynanochat.train import upstream_optimizer

    state = read([parity("train_g4_head") / NAME], network)
    for name in ("a.pt", "b.pt"):
        with (tmp_path / name).open("wb") as file:
            upstream_optimizer.write(file, state, network[1], Schedule(network[2]).at(9))
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


def _set(path: tuple[Any, ...], value: Any) -> Callable[[dict[str, Any]], Any]:
    def change(data: dict[str, Any]) -> dict[str, Any]:
        place: Any = data
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        return data

    return change


def _without(*path: Any) -> Callable[[dict[str, Any]], Any]:
    def change(data: dict[str, Any]) -> dict[str, Any]:
        place: Any = data
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]
        return data

    return change


NAN = Tensor.of(np.full((512, 64), np.nan, np.float32))
BELOW = Tensor.of(np.full((512, 64), -1, np.float32))
REFUSED: dict[str, tuple[Callable[[dict[str, Any]], Any], type[CheckpointError], str]] = {
    "two optimizers": (lambda data: [data, data], UnsupportedError, "before 29 January 2026"),
    "a number": (lambda data: 5, UnsupportedError, "state dict of an optimizer"),
    "no groups": (_without("param_groups"), UnsupportedError, "state dict of an optimizer"),
    "a group less": (_without("param_groups", 9), UnsupportedError, "group 9"),
    "a group more": (lambda data: {**data, "param_groups": [*data["param_groups"], {}]}, UnsupportedError, "11 groups"),
    "another kind": (_set(("param_groups", 0, "kind"), "muon"), UnsupportedError, "group 0"),
    "other numbers": (_set(("param_groups", 1, "params"), [7]), UnsupportedError, "group 1"),
    "a group that is none": (_set(("param_groups", 1), 3), UnsupportedError, "group 1"),
    "no entry": (_without("state", 9), UnsupportedError, "attn.c_q"),
    "no moment": (_without("state", 0, "exp_avg"), UnsupportedError, "lm_head"),
    "an entry more": (_set(("state", 0, "max_exp_avg_sq"), 1), UnsupportedError, "lm_head"),
    "no tensor": (_set(("state", 0, "exp_avg"), 1.0), UnsupportedError, "lm_head"),
    "whole numbers": (_set(("state", 3, "exp_avg"), Tensor.of(np.zeros(2, np.int32))), UnsupportedError, "resid"),
    "another shape": (_set(("state", 3, "exp_avg"), Tensor.of(np.zeros(3, np.float32))), UnsupportedError, r"\[3\]"),
    "another stack": (_set(("state", 9, "momentum_buffer"), Tensor.of(np.zeros((7, 64, 64), np.float32))),
                      UnsupportedError, r"\[7, 64, 64\]"),
    "steps apart": (_set(("state", 0, "step"), 9), UnsupportedError, "of one step"),
    "step a text": (_set(("state", 0, "step"), "10"), DamagedFileError, "number of steps"),
    "step below 0": (_set(("state", 0, "step"), -1), DamagedFileError, "number of steps"),
    "not a number": (_set(("state", 0, "exp_avg"), NAN), DamagedFileError, "finite"),
    "squares below 0": (_set(("state", 0, "exp_avg_sq"), BELOW), DamagedFileError, "below 0"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_refused(
    case: str, tmp_path: Path, network: tuple[GPTConfig, list[Group], Any], data: dict[str, Any]
) -> None:
    change, error, says = REFUSED[case]
    path = saved(tmp_path / NAME, change(data))
    with pytest.raises(error, match=says) as caught:
        read([path], network)
    assert str(path) in str(caught.value)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    from pynanochat.train import upstream_optimizer

    with pytest.raises(NotFoundError, match="optim_000010_rank0"):
        upstream_optimizer.files(tmp_path, 10)
    (tmp_path / "optim_000010.pt").write_bytes(b"")
    with pytest.raises(UnsupportedError, match="13 November 2025"):
        upstream_optimizer.files(tmp_path, 10)


def test_another_network(network: tuple[GPTConfig, list[Group], TrainConfig]) -> None:
    cfg = GPTConfig(sequence_len=64, vocab_size=512, n_layer=3, n_head=2, n_kv_head=2, n_embd=64)
    groups = parameter_groups(cfg, network[2])
    with pytest.raises(UnsupportedError, match="another network"):
        read([parity("train_g4_head") / NAME], (cfg, groups, None))

"""Upstream's optimizer files, optim_%06d_rank%d.pt of each process of a run, as the state of `MuonAdamW` and back.

In a file tensors have numbers, counted through the parameter groups; Muon's state is that of a whole group, kept under
the number of its first matrix. A run of W processes has W files: of large AdamW tensors each holds its rows, of Muon's
groups its ceil(n / W) matrices, those beyond the last one zero.
Source: karpathy/nanochat nanochat/optim.py and checkpoint_manager.py, 41bb2ea (2026-01-29) to 92d63d4 (2026-07-03).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from pynanochat.backends.torch.runner import as_torch
from pynanochat.checkpoint import torch_file
from pynanochat.config import GPTConfig
from pynanochat.errors import CheckpointError, DamagedFileError, NotFoundError, UnsupportedError
from pynanochat.tensor import Tensor
from pynanochat.train.parameter_groups import AdamWGroup, Group, MuonGroup
from pynanochat.train.schedule import Settings
from pynanochat.weights import Shape, tensor_shapes

_ADAMW, _MUON = ("exp_avg", "exp_avg_sq"), ("momentum_buffer", "second_momentum_buffer")
_ENTRY = dict[str, Any]


def files(folder: Path, step: int) -> list[Path]:
    """The optimizer files of a step by rank; `CheckpointError` where there is none, or one is missing between them."""
    name = re.compile(rf"optim_0*{step}_rank(\d{{1,6}})\.pt")
    found = {int(match[1]): path for path in folder.glob("optim_*.pt") if (match := name.fullmatch(path.name))}
    old = folder / f"optim_{step:06d}.pt"
    if not found and old.is_file():
        raise UnsupportedError(f"{old} is of before 13 November 2025; {_TOO_OLD}")
    if not found:
        raise NotFoundError(f"{folder} holds no optim_{step:06d}_rank0.pt")
    for rank in range(max(found) + 1):
        if rank not in found:
            raise NotFoundError(f"{folder} holds no optim_{step:06d}_rank{rank}.pt, but one of rank {max(found)}; copy "
                                "the files of all ranks there")
    return [found[rank] for rank in sorted(found)]


def read(paths: Sequence[Path], cfg: GPTConfig, groups: Sequence[Group]) -> dict[str, torch.Tensor]:
    """The whole state, as `MuonAdamW.load_state` takes it, from the files of all ranks of one run, by rank.

    Raises `UnsupportedError` for files of before 29 January 2026 and those of another network, `DamagedFileError`.
    """
    assert paths, "a run has one rank or more"
    ranks = [_Rank(path, groups) for path in paths]
    shapes = tensor_shapes(cfg)
    found: dict[str, torch.Tensor] = {}
    steps: set[int] = set()
    first = 0
    for group in groups:
        if isinstance(group, AdamWGroup):
            for number, name in enumerate(group.names, first):
                entries = [rank.entry(number, name, (*_ADAMW, "step")) for rank in ranks]
                steps |= {rank.step(entry, name) for rank, entry in zip(ranks, entries, strict=True)}
                for kind in _ADAMW:
                    parts = [rank.tensor(entry, kind, name) for rank, entry in zip(ranks, entries, strict=True)]
                    found[f"{kind}/{name}"] = _table(parts, shapes[name], f"{kind} of {name}", ranks)
        else:
            entries = [rank.entry(first, group.names[0], _MUON) for rank in ranks]
            for kind in _MUON:
                parts = [rank.tensor(entry, kind, group.names[0]) for rank, entry in zip(ranks, entries, strict=True)]
                shape = shapes[group.names[0]] if kind == _MUON[0] else _factored(shapes[group.names[0]])
                stack = _stack(parts, len(group.names), shape, f"{kind} of {group.names[0]}", ranks)
                found |= {f"{kind}/{name}": stack[i] for i, name in enumerate(group.names)}
        first += len(group.names)
    if len(steps) != 1:
        raise UnsupportedError(f"{ranks[0].where}: tensors, or ranks, were stepped {sorted(steps)} times; expected "
                               "files of one step of one run")
    return {"step": torch.tensor(steps.pop()), **found}


def write(file: BinaryIO, state: Mapping[str, torch.Tensor], groups: Sequence[Group], last: Settings) -> None:
    """Write the whole state as the only rank's file, which upstream's load_state_dict takes.

    `last` are the settings of the last step, which upstream keeps with the groups. The same state gives the same bytes.
    """
    numbered: dict[int, _ENTRY] = {}
    described: list[_ENTRY] = []
    first = 0
    for group in groups:
        numbers = range(first, first + len(group.names))
        if isinstance(group, AdamWGroup):
            numbered |= {number: {"step": int(state["step"].item()), **{
                kind: _numbers([state[f"{kind}/{name}"]])[0] for kind in _ADAMW}}
                for number, name in zip(numbers, group.names, strict=True)}
            own: _ENTRY = {"kind": "adamw", "lr": group.lr * last.lr_multiplier, "betas": group.betas,
                           "eps": group.eps, "weight_decay": group.weight_decay}
        else:
            numbered[first] = {kind: _stacked(_numbers([state[f"{kind}/{name}"] for name in group.names]))
                               for kind in _MUON}
            own = {"kind": "muon", "lr": group.lr * last.lr_multiplier, "momentum": last.muon_momentum,
                   "ns_steps": group.polar_steps, "beta2": group.beta2, "weight_decay": last.muon_weight_decay}
        described.append({**own, "initial_lr": group.lr, "params": list(numbers)})
        first += len(group.names)
    torch_file.write(file, {"state": numbered, "param_groups": described})


class _Rank:
    """One file, checked as far as its groups."""

    def __init__(self, path: Path, groups: Sequence[Group]) -> None:
        self.where = str(path)
        data = torch_file.read(path)
        if isinstance(data, list):
            raise UnsupportedError(f"{self.where} is of before 29 January 2026, one state each for AdamW and Muon; "
                                   f"{_TOO_OLD}")
        state, found = (data.get(key) for key in ("state", "param_groups")) if isinstance(data, dict) else (None, None)
        if not isinstance(state, dict) or not isinstance(found, list):
            raise UnsupportedError(f"{self.where} holds no state and param_groups; expected the state dict of an "
                                   "optimizer")
        self._state: dict[Any, Any] = state
        first = 0
        for place, group in enumerate(groups):
            there = found[place] if place < len(found) else None
            kind = "muon" if isinstance(group, MuonGroup) else "adamw"
            numbers = list(range(first, first + len(group.names)))
            if not isinstance(there, dict) or there.get("kind") != kind or there.get("params") != numbers:
                raise self.other(f"group {place} is not {kind} for {len(numbers)} tensors like {group.names[0]}")
            first += len(group.names)
        if len(found) > len(groups):
            raise self.other(f"{len(found)} groups instead of {len(groups)}")

    def entry(self, number: int, name: str, keys: tuple[str, ...]) -> _ENTRY:
        entry = self._state.get(number)
        if not isinstance(entry, dict) or set(entry) != set(keys):
            raise self.other(f"no {', '.join(keys)} of {name}")
        return entry

    def step(self, entry: _ENTRY, name: str) -> int:
        step = entry["step"]
        if type(step) is not int or not 0 <= step < 1 << 50:
            raise DamagedFileError(f"{self.where}: the step of {name} is no number of steps; get an intact copy")
        return step

    def tensor(self, entry: _ENTRY, kind: str, name: str) -> Tensor:
        tensor = entry[kind]
        if not isinstance(tensor, Tensor) or tensor.dtype not in ("float32", "bfloat16"):
            raise self.other(f"{kind} of {name} is no tensor of float32 or bfloat16")
        tensor.check_finite(f"{kind} of {name}", self.where)
        if kind in (_ADAMW[1], _MUON[1]) and bool((tensor.numpy() < 0).any()):
            raise DamagedFileError(f"{self.where}: {kind} of {name} holds squares below 0; get an intact copy")
        return tensor

    def other(self, what: str) -> CheckpointError:
        return UnsupportedError(f"{self.where} belongs to another network, or another version of upstream: {what}; "
                                "give the file that was saved with these weights")


_TOO_OLD = "its two optimizers are not what this version steps with; start from the weights alone"


def _table(parts: list[Tensor], shape: Shape, what: str, ranks: list[_Rank]) -> torch.Tensor:
    """The tensor of which every rank holds all, or its rows."""
    if all(part.shape == shape for part in parts):
        return as_torch(parts[0])
    rows = (shape[0] // len(parts), *shape[1:])
    for part, rank in zip(parts, ranks, strict=True):
        if part.shape != rows or shape[0] % len(parts):
            raise _unfit(what, part.shape, shape, rank, ranks)
    return torch.cat([as_torch(part) for part in parts])


def _stack(parts: list[Tensor], count: int, shape: Shape, what: str, ranks: list[_Rank]) -> torch.Tensor:
    """The stack (count, *shape) of which every rank holds an equal part, padded at the end."""
    chunk = (-(-count // len(parts)), *shape)
    for part, rank in zip(parts, ranks, strict=True):
        if part.shape != chunk:
            raise _unfit(what, part.shape, (count, *shape), rank, ranks)
    return torch.cat([as_torch(part) for part in parts])[:count]


def _unfit(what: str, found: Shape, whole: Shape, rank: _Rank, ranks: list[_Rank]) -> CheckpointError:
    return rank.other(f"{what} is {list(found)}, which is no part for one of {len(ranks)} ranks of {list(whole)}")


def _factored(shape: Shape) -> Shape:
    rows, columns = shape
    return (rows, 1) if rows >= columns else (1, columns)


def _numbers(tensors: Sequence[torch.Tensor]) -> list[Tensor]:
    """The tensors for a file, in their dtype."""
    host = [tensor.detach().cpu().contiguous() for tensor in tensors]
    if host[0].dtype == torch.bfloat16:
        return [Tensor(tensor.view(torch.int16).numpy().view(np.uint16), "bfloat16") for tensor in host]
    return [Tensor.of(tensor.numpy()) for tensor in host]


def _stacked(tensors: list[Tensor]) -> Tensor:
    data: NDArray[Any] = np.stack([tensor.data for tensor in tensors])
    return Tensor(data, tensors[0].dtype)

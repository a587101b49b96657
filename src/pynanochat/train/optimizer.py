"""MuonAdamW: Muon for the matrices of the blocks, AdamW for the rest, for one process or many.

Processes hold whole weights and a part of the optimizer's state each: of a group of n matrices ceil(n / size), of a
table a size-th of its rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from pynanochat.distributed.processes import Processes
from pynanochat.errors import TrainingError
from pynanochat.train import muon
from pynanochat.train.adamw import AdamWShard
from pynanochat.train.muon import MuonShard
from pynanochat.train.parameter_groups import Group, MuonGroup
from pynanochat.train.schedule import Settings

_STEP = "step"
_NEVER_NEGATIVE = ("exp_avg_sq/", "second_momentum_buffer/")


def polar_dtype(activations: torch.dtype) -> torch.dtype:
    """What Muon's polar factor is computed in: bfloat16 where activations are, else float32, as upstream does.

    Nothing else decides: `precision` takes bfloat16 activations on a CPU only where its products are faster, and these
    are the same products. `benchmarks/optimizer.py` compares the two.
    Source: karpathy/nanochat nanochat/optim.py, 92d63d4.
    """
    return torch.bfloat16 if activations == torch.bfloat16 else torch.float32


class MuonAdamW:
    """The optimizer of nanochat over named parameters.

    Gradients are summed over the processes, not averaged: the loss is divided by the targets of all of them together. A
    parameter without a gradient counts as one whose gradient is 0. With `compiled` Muon goes through torch.compile,
    which takes seconds per shape. Raises `TrainingError` where groups and parameters do not fit.
    """

    def __init__(
        self, named_parameters: Mapping[str, torch.nn.Parameter], groups: Sequence[Group], processes: Processes, *,
        polar: torch.dtype = torch.float32, compiled: bool = False,
    ) -> None:
        _check_names(named_parameters, groups)
        self._parameters, self._processes, self._steps, self._summed = named_parameters, processes, 0, False
        self._shards: list[AdamWShard | MuonShard] = []
        for group in groups:
            if isinstance(group, MuonGroup):
                compute = _compiled(muon.update) if compiled else muon.update
                self._shards.append(MuonShard(named_parameters, group, processes, polar, compute))
            else:
                self._shards += [AdamWShard(name, named_parameters[name], group, processes) for name in group.names]

    @property
    def steps(self) -> int:
        """Steps done."""
        return self._steps

    @torch.no_grad()
    def gradient_norm(self) -> float:
        """The norm of the whole gradient, summed over the processes; changes no weight and no state. Collective.

        The same on every process, and finite only if every number of the gradient is. Ask when all of the step's
        gradients are there; then `step`, or `zero_gradients` to leave the step out.
        """
        self._sum_gradients()
        own = [shard.gradient for shard in self._shards if shard.divided or self._processes.main]
        held = [gradient for gradient in own if gradient is not None and gradient.numel()]
        norms = torch._foreach_norm(held, 2, torch.float32) if held else [torch.zeros(())]
        norm = torch.stack(list(norms)).to(self._processes.device).norm()
        if self._processes.size == 1:
            return float(norm.item())
        return math.sqrt(self._processes.sum_(norm.double().square()).item())

    @torch.no_grad()
    def step(self, lr_multiplier: float, muon_momentum: float, muon_weight_decay: float) -> None:
        """Change the weights and forget the gradients; takes what `Schedule.at` gives. Collective."""
        self._sum_gradients()
        settings = Settings(lr_multiplier, muon_momentum, muon_weight_decay)
        self._steps += 1
        for end in [shard.begin_update(self._steps, settings) for shard in self._shards]:
            end()
        self.zero_gradients()

    def zero_gradients(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters.values():
            parameter.grad = None
        for shard in self._shards:
            shard.gradient = None
        self._summed = False

    @torch.no_grad()
    def state(self) -> dict[str, torch.Tensor]:
        """The whole state on the CPU, by KIND/PARAMETER, and "step"; empty except on the main process. Collective.

        A copy, the same for every number of processes. Kinds are exp_avg and exp_avg_sq of AdamW's parameters, in their
        shapes; momentum_buffer (r, k) and second_momentum_buffer (r, 1) or (1, k) of Muon's.
        """
        found = {_STEP: torch.tensor(self._steps)}
        for shard in self._shards:
            whole = shard.whole()
            if self._processes.main:
                found |= {name: tensor.cpu() for name, tensor in whole.items()}
        return found if self._processes.main else {}

    @torch.no_grad()
    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from a whole state, given on every process; of any number of processes.

        Raises `TrainingError` naming the tensor that is missing, unknown, of another shape or no state; nothing has
        changed then.
        """
        shapes: dict[str, tuple[int, ...]] = {_STEP: ()}
        for shard in self._shards:
            shapes |= shard.shapes
        _check_state(state, shapes)
        for shard in self._shards:
            shard.load(state)
        self._steps = int(state[_STEP].item())
        self.zero_gradients()

    @torch.no_grad()
    def _sum_gradients(self) -> None:
        if self._summed:
            return
        for wait in [shard.begin_sum() for shard in self._shards]:
            wait()
        self._summed = True


def _compiled(update: Any) -> Any:
    """The function compiled once for each shape: its numbers become tensors, which may change."""
    inner: Any = torch.compile(update, dynamic=False)

    def call(*arguments: Any) -> None:
        inner(*(torch.tensor(value) if type(value) is float else value for value in arguments))

    return call


def _check_names(parameters: Mapping[str, torch.nn.Parameter], groups: Sequence[Group]) -> None:
    named = [name for group in groups for name in group.names]
    for name in sorted(set(named) ^ set(parameters)):
        where = "parameter groups" if name in parameters else "network"
        raise TrainingError(f"the {where} lack {name!r}; make both from the same config"
                            .replace("network lack", "network lacks"))
    if len(set(named)) != len(named):
        raise TrainingError("the parameter groups hold a parameter twice; expected each once")
    for group in groups:
        shapes = {tuple(parameters[name].shape) for name in group.names}
        if isinstance(group, MuonGroup) and (len(shapes) != 1 or len(min(shapes)) != 2):
            raise TrainingError(f"the group of {group.names[0]!r} holds {sorted(shapes)}; Muon takes matrices of one "
                                "shape")


def _check_state(state: Mapping[str, torch.Tensor], shapes: Mapping[str, tuple[int, ...]]) -> None:
    for name in sorted(set(state) ^ set(shapes)):
        wrong = "unknown" if name in state else "missing"
        raise TrainingError(f"the optimizer state's {name[:100]!r} is {wrong}; give the state that was saved with "
                            "these weights")
    for name, shape in shapes.items():
        tensor = state[name]
        if tuple(tensor.shape) != shape:
            raise TrainingError(f"the optimizer state's {name!r} is {list(tensor.shape)}, this network's is "
                                f"{list(shape)}; give the state that was saved with these weights")
        if name == _STEP:
            if tensor.is_floating_point() or tensor.item() < 0:
                raise TrainingError(f"the optimizer state's step is {tensor.item()!r}; expected a whole number, 0 or "
                                    "more")
        elif not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()) or (
                name.startswith(_NEVER_NEGATIVE) and bool((tensor < 0).any())):
            raise TrainingError(f"the optimizer state's {name!r} holds what no optimizer leaves: numbers that are not "
                                "finite, or squares below 0; get an intact copy")

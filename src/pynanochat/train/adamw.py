"""AdamW: the step of one tensor, and the rows of a tensor whose state this process holds."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.optim.adamw import adamw

from pynanochat.distributed.processes import Processes, Wait, done
from pynanochat.train.parameter_groups import AdamWGroup
from pynanochat.train.schedule import Settings

_SHARED_FROM = 1024  # numbers; smaller tensors are whole on every process


def update(
    weights: torch.Tensor, gradient: torch.Tensor, first: torch.Tensor, second: torch.Tensor, step: int, lr: float,
    betas: tuple[float, float], eps: float, weight_decay: float,
) -> None:
    """Change weights and both moments in place; `step` counts from 1.

    torch's own kernel: one pass over memory, in float32 whatever dtype they are kept in, as upstream's.
    Source: Loshchilov and Hutter 2017 (arXiv:1711.05101); karpathy/nanochat nanochat/optim.py, 92d63d4.
    """
    steps = torch.tensor(float(step - 1), device=weights.device)  # the kernel counts one up
    adamw([weights], [gradient.to(weights.dtype)], [first], [second], [], [steps], fused=True, amsgrad=False,
          beta1=betas[0], beta2=betas[1], lr=lr, weight_decay=weight_decay, eps=eps, maximize=False)


class AdamWShard:
    """This process's rows of a tensor and of its moments; all rows where they are few or do not divide."""

    def __init__(self, name: str, parameter: torch.nn.Parameter, group: AdamWGroup, processes: Processes) -> None:
        self._name, self._parameter, self._group, self._processes = name, parameter, group, processes
        self.divided = processes.size > 1 and parameter.numel() >= _SHARED_FROM and (
            parameter.shape[0] % processes.size == 0)
        own = self._own(parameter.detach())
        self._state = {"exp_avg": torch.zeros_like(own), "exp_avg_sq": torch.zeros_like(own)}
        self.gradient: torch.Tensor | None = None

    def _own(self, whole: torch.Tensor) -> torch.Tensor:
        if not self.divided:
            return whole
        rows = whole.shape[0] // self._processes.size
        return whole.narrow(0, self._processes.rank * rows, rows)

    def begin_sum(self) -> Wait:
        """Begin to make `gradient` this process's rows of the sum over all processes."""
        whole = self._parameter.grad
        if whole is None:
            whole = torch.zeros_like(self._parameter.detach())
        if not self.divided:
            self.gradient = whole
            return self._processes.begin_sum_(whole)
        self.gradient = torch.empty_like(self._own(whole))
        return self._processes.begin_sum_scattered(self.gradient, whole.contiguous())

    def begin_update(self, step: int, settings: Settings) -> Wait:
        """Change this process's rows and begin to give every process all of them."""
        assert self.gradient is not None, "sum the gradients first"
        group, weights = self._group, self._parameter.detach()
        own = self._own(weights)
        update(own, self.gradient, self._state["exp_avg"], self._state["exp_avg_sq"], step,
               group.lr * settings.lr_multiplier, group.betas, group.eps, group.weight_decay)
        return self._processes.begin_gather(weights, own.clone()) if self.divided else done

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the whole state."""
        return {f"{kind}/{self._name}": tuple(self._parameter.shape) for kind in self._state}

    def whole(self) -> dict[str, torch.Tensor]:
        """The whole state by name, in this process's own copies; collective."""
        found = {}
        for kind, own in self._state.items():
            whole = own if not self.divided else own.new_empty(self._parameter.shape)
            if self.divided:
                self._processes.begin_gather(whole, own)()
            found[f"{kind}/{self._name}"] = whole.clone() if whole is own else whole
        return found

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take this process's rows out of the whole state, which has every name and the right shapes."""
        for kind, own in self._state.items():
            own.copy_(self._own(state[f"{kind}/{self._name}"]))

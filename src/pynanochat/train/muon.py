"""Muon: the step of a stack of matrices of one shape, and the part of a stack whose state this process holds.

n matrices of r rows and k columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from pynanochat.distributed.processes import Processes, Wait, done
from pynanochat.train.parameter_groups import MuonGroup
from pynanochat.train.schedule import Settings

Number = float | torch.Tensor  # tensors () where the step is compiled, so that new values compile nothing
# of the odd polynomial of each iteration, for five of them. Source: Amsel et al. 2025 (arXiv:2505.16932), with the
# safety factor 1.02 of karpathy/nanochat nanochat/optim.py, 92d63d4
_POLAR_EXPRESS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)
_ROOM = 1.01  # the norm of a matrix is at least its largest singular value, rounding aside


def orthogonal(matrices: torch.Tensor, steps: int = len(_POLAR_EXPRESS)) -> torch.Tensor:
    """(n, r, k) with about the singular vectors of `matrices` and singular values near 1; computed in their dtype.

    Rows are brought to one norm first. Source: Amsel et al. 2025 (arXiv:2505.16932); rows arXiv:2603.28254.
    """
    x, wide = matrices, matrices.size(-2) <= matrices.size(-1)
    values = x.float()
    level = values.norm(dim=(-2, -1), keepdim=True) / x.size(-2) ** 0.5
    x = x * (level / values.norm(dim=-1, keepdim=True).clamp_min(1e-6)).to(x.dtype)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) * _ROOM + 1e-6)
    for a, b, c in _POLAR_EXPRESS[:steps]:  # a x + b (x x') x + c (x x')^2 x, over the smaller square
        square = x @ x.mT if wide else x.mT @ x
        factor = torch.baddbmm(square, square, square, beta=b, alpha=c)
        x = torch.baddbmm(x, factor, x, beta=a) if wide else torch.baddbmm(x, x, factor, beta=a)
    return x


def update(
    weights: torch.Tensor, gradients: torch.Tensor, first: torch.Tensor, second: torch.Tensor, momentum: Number,
    lr: Number, weight_decay: Number, beta2: Number, steps: int, dtype: torch.dtype,
) -> None:
    """Change weights and state in place: `weights`, `gradients`, `first` (n, r, k), `second` (n, r, 1) or (n, 1, k).

    Overwrites the gradients. The polar factor is computed in `dtype`. A weight decays only where its step makes it
    smaller too. Source: karpathy/nanochat nanochat/optim.py, 92d63d4; Muon: Jordan et al. 2024
    (kellerjordan.github.io/posts/muon); norm of the factor arXiv:2602.21545; variance Li et al. 2025 (NorMuon,
    arXiv:2510.05491).
    """
    first.lerp_(gradients, 1 - momentum)
    x = orthogonal(gradients.lerp_(first, momentum).to(dtype), steps).to(weights.dtype)  # Nesterov's look ahead

    whole = min(x.size(-2), x.size(-1)) ** 0.5  # the norm where all singular values are 1
    x = x * (whole / x.float().norm(dim=(-2, -1), keepdim=True).clamp_min(1e-6)).to(x.dtype)

    along = -1 if second.size(-1) == 1 else -2  # what `second` is a mean over
    count = x.size(along)
    mean = x.float().square().mean(dim=along, keepdim=True)
    second.lerp_(mean.to(second.dtype), 1 - beta2)
    scale = second.clamp_min(1e-10).rsqrt()
    before = (mean.sum(dim=(-2, -1), keepdim=True) * count).sqrt()
    after = (mean * count * scale.float().square()).sum(dim=(-2, -1), keepdim=True).sqrt()
    x = x * (scale * (before / after.clamp_min(1e-10))).to(x.dtype)  # each has another share of the same norm

    decayed = (x * weights).ge_(0).mul_(weights)
    weights.sub_(decayed.mul_(weight_decay).add_(x).mul_(lr))


class MuonShard:
    """This process's matrices of a group, a ceil(n / size)-th of them, and their state."""

    divided = True  # where there are several processes, no number of `gradient` is on two of them

    def __init__(
        self, parameters: Mapping[str, torch.nn.Parameter], group: MuonGroup, processes: Processes, dtype: torch.dtype,
        compute: Callable[..., None] = update,
    ) -> None:
        self._names, self._parameters = group.names, [parameters[name] for name in group.names]
        self._group, self._processes, self._dtype, self._update = group, processes, dtype, compute
        like = self._parameters[0].detach()
        rows, columns = like.shape
        self._chunk = -(-len(self._names) // processes.size)
        start = min(processes.rank * self._chunk, len(self._names))
        self._own = slice(start, min(start + self._chunk, len(self._names)))
        count = self._own.stop - start
        of_second = (rows, 1) if rows >= columns else (1, columns)
        self._state = {"momentum_buffer": like.new_zeros(count, rows, columns),
                       "second_momentum_buffer": like.new_zeros(count, *of_second)}
        self._taller = max(1.0, rows / columns) ** 0.5
        self._all: torch.Tensor | None = None  # (chunk * size, r, k), to send from and receive in
        self.gradient: torch.Tensor | None = None

    def begin_sum(self) -> Wait:
        """Begin to make `gradient` the sum over all processes, for this process's matrices."""
        whole = [torch.zeros_like(p.detach()) if p.grad is None else p.grad for p in self._parameters]
        if self._processes.size == 1:
            self.gradient = torch.stack(whole)
            return done
        like = self._parameters[0].detach()
        self._all = like.new_zeros(self._chunk * self._processes.size, *like.shape)
        torch.stack(whole, out=self._all[:len(whole)])
        own = like.new_empty(self._chunk, *like.shape)
        self.gradient = own[:self._own.stop - self._own.start]
        return self._processes.begin_sum_scattered(own, self._all)

    def begin_update(self, step: int, settings: Settings) -> Wait:
        """Change this process's matrices and begin to give every process all of them."""
        assert self.gradient is not None, "sum the gradients first"
        group, weights = self._group, [parameter.detach() for parameter in self._parameters]
        own = weights[self._own]
        stack = weights[0].new_zeros(self._chunk, *weights[0].shape)
        part = stack[:len(own)]
        if own:
            torch.stack(own, out=part)
            self._update(part, self.gradient, *self._state.values(), settings.muon_momentum,
                         group.lr * settings.lr_multiplier * self._taller, settings.muon_weight_decay, group.beta2,
                         group.polar_steps, self._dtype)
        whole = self._all
        if whole is None:
            torch._foreach_copy_(weights, list(stack.unbind()))
            return done
        wait = self._processes.begin_gather(whole, stack)

        def finish() -> None:
            wait()
            torch._foreach_copy_(weights, list(whole[:len(weights)].unbind()))

        return finish

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the whole state."""
        return {f"{kind}/{name}": tuple(own.shape[1:]) for kind, own in self._state.items() for name in self._names}

    def whole(self) -> dict[str, torch.Tensor]:
        """The whole state by name, in this process's own copies; collective."""
        found: dict[str, torch.Tensor] = {}
        for kind, own in self._state.items():
            whole = own.clone()
            if self._processes.size > 1:
                chunk = own.new_zeros(self._chunk, *own.shape[1:])
                chunk[:len(own)] = own
                whole = own.new_empty(self._chunk * self._processes.size, *own.shape[1:])
                self._processes.begin_gather(whole, chunk)()
            found |= {f"{kind}/{name}": whole[i] for i, name in enumerate(self._names)}
        return found

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take this process's matrices out of the whole state, which has every name and the right shapes."""
        for kind, own in self._state.items():
            for target, name in zip(own, self._names[self._own], strict=True):
                target.copy_(state[f"{kind}/{name}"])

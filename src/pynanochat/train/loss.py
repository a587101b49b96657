"""The loss of the head without its logits: linear, softcap and cross entropy together, some rows at a time.

N rows of the stream, C n_embd, V vocab_size. The gradients are made on the way, while a chunk's logits are at hand, so
that nothing is computed twice; the backward pass only scales them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

Reduction = Literal["sum", "mean", "none"]
Chunk = Callable[[Tensor, Tensor, Tensor, float, float | None, Tensor | None], tuple[Tensor, Tensor]]
CHUNK_BYTES = {"cpu": 1 << 22, "cuda": 1 << 28}  # of a chunk's float32 logits: what caches hold, what fills a GPU
LEAST_ROWS = 128  # of a chunk: each adds to the whole gradient of the head
MODEST_SOFTCAP = 40.0  # exp(-2 * 40) is a normal float32
IGNORED = -1


def head_loss(
    x: Tensor, w: Tensor, targets: Tensor, softcap: float, clip: float | None = None, reduction: Reduction = "mean",
    chunk_rows: int | None = None, chunk: Chunk | None = None
) -> Tensor:
    """Cross entropy in nats of softcapped logits of x (N, C) and w (V, C) against targets (N,), float32.

    A target of -1 is ignored: its loss is 0 and it counts for no mean. `reduction` "none" gives (N,). `chunk` may be
    `chunk_loss` compiled.
    Source: Wijmans et al. 2024 (Cut Your Losses in Large-Vocabulary Language Models, arXiv:2411.09009) for why; Hsu et
    al. 2024 (Liger Kernel, arXiv:2410.10989) for gradients made in the forward pass.
    """
    rows = chunk_rows or max(LEAST_ROWS, CHUNK_BYTES.get(x.device.type, 1 << 26) // (4 * w.size(0)))
    function: Any = _Losses if reduction == "none" else _SummedLoss
    loss: Tensor = function.apply(x, w, targets, softcap, clip, rows, chunk or chunk_loss)
    return loss / (targets != IGNORED).sum() if reduction == "mean" else loss


def chunk_loss(
    x: Tensor, w: Tensor, targets: Tensor, softcap: float, clip: float | None, outer: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Losses (n,), and d (outer loss) / d logit (n, V) in the dtype of x."""
    logits = _float(x @ w.t())
    clipped = logits if clip is None else logits.clamp(-clip, clip)
    bent = 1 - 2 / (torch.exp(clipped * (2 / softcap)) + 1)  # tanh(clipped / softcap), in half the time of tanh
    # softcap bounds the exponents, so that none overflows and their sum is no zero without looking for the largest
    most = softcap if softcap <= MODEST_SOFTCAP else softcap * bent.amax(-1, keepdim=True)
    weights = torch.exp(softcap * bent - most)
    total = weights.sum(-1, keepdim=True)
    there, right = (targets != IGNORED)[:, None], targets.clamp_min(0)[:, None]
    bent_right = bent.gather(1, right)
    losses = torch.where(there, torch.log(total) + most - softcap * bent_right, 0)[:, 0]
    if outer is None:
        return losses, losses
    factor = torch.where(there, outer, 0)
    gradient = weights * (factor / total) * (1 - bent.square())
    at_right = (weights.gather(1, right) / total - 1) * factor * (1 - bent_right.square())
    if clip is not None:
        gradient = torch.where(logits.abs() <= clip, gradient, 0)
        at_right = torch.where(logits.gather(1, right).abs() <= clip, at_right, 0)
    return losses, gradient.to(x.dtype).scatter(1, right, at_right.to(x.dtype))


def _float(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


class _SummedLoss(torch.autograd.Function):
    """The sum, with its gradients made in the forward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, targets: Tensor, softcap: float, clip: float | None,
                rows: int, chunk: Chunk) -> Tensor:
        cast = w.to(x.dtype)
        loss = _float(x.new_zeros(()))
        wants_x, wants_w = ctx.needs_input_grad[:2]
        outer = loss + 1 if wants_x or wants_w else None
        dx = torch.empty_like(x) if wants_x else None
        dw = torch.zeros_like(w) if wants_w else None
        for start in range(0, x.size(0), rows):
            part, wanted = x[start : start + rows], targets[start : start + rows]
            losses, gradient = chunk(part, cast, wanted, softcap, clip, outer)
            loss = loss + losses.sum()
            if dx is not None:
                torch.mm(gradient, cast, out=dx[start : start + rows])
            if dw is not None:
                dw += gradient.t() @ part
        ctx.save_for_backward(dx, dw)
        return loss

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> Any:
        dx, dw = ctx.saved_tensors
        return (None if dx is None else dx * outer, None if dw is None else dw * outer, None, None, None, None, None)


class _Losses(torch.autograd.Function):
    """Each row's own loss; a row's gradient has a factor of its own, so logits are made again in the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, targets: Tensor, softcap: float, clip: float | None,
                rows: int, chunk: Chunk) -> Tensor:
        ctx.save_for_backward(x, w, targets)
        ctx.numbers = softcap, clip, rows, chunk
        cast = w.to(x.dtype)
        return torch.cat([chunk(x[s : s + rows], cast, targets[s : s + rows], softcap, clip, None)[0]
                          for s in range(0, x.size(0), rows)])

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> Any:
        x, w, targets = ctx.saved_tensors
        softcap, clip, rows, chunk = ctx.numbers
        cast, dx, dw = w.to(x.dtype), torch.empty_like(x), torch.zeros_like(w)
        for start in range(0, x.size(0), rows):
            here = slice(start, start + rows)
            gradient = chunk(x[here], cast, targets[here], softcap, clip, outer[here, None])[1]
            dx[here] = gradient @ cast
            dw += gradient.t() @ x[here]
        return dx, dw, None, None, None, None, None

"""Causal attention of whole rows for compiled training on a CPU: torch's forward kernel, our own backward pass.

B rows of T tokens, H/G query/key-value heads, D head_dim. Torch's backward kernel for CPUs takes about twice as long in
bfloat16 as batched products over blocks of queries, whose elementwise parts a compiler fuses.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

BLOCK = 128  # queries whose weights lie in memory together; keys after them are left out


class CausalAttention(torch.autograd.Function):
    """(B, T, H, D), (B, T, G, D), (B, T, G, D) -> (B, T, H, D); every token sees itself and all before it.

    Source: Dao et al. 2022 (FlashAttention, arXiv:2205.14135), the backward pass from the saved log-sums.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The rows, and what the backward pass needs."""
        repeats = q.size(2) // k.size(2)
        keys, values = (x.repeat_interleave(repeats, 2).transpose(1, 2) for x in (k, v))
        out, log_sums = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            q.transpose(1, 2), keys, values, 0.0, True)
        y: Tensor = out.transpose(1, 2)
        ctx.save_for_backward(q, k, v, y, log_sums)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients of q, k and v."""
        q, k, v, y, log_sums = ctx.saved_tensors
        (B, T, H, D), G = q.shape, k.size(2)
        R, scale = H // G, D**-0.5

        def grouped(x: Tensor) -> Tensor:  # (B, T, H, n) -> (B, G, R, T, n)
            return x.view(B, T, G, R, -1).permute(0, 2, 3, 1, 4)

        q, dy, pull = grouped(q), grouped(dy), grouped((dy.float() * y.float()).sum(-1, keepdim=True))
        log_sums = log_sums.view(B, G, R, T, 1)
        k, v = (x.transpose(1, 2).reshape(B * G, T, D) for x in (k, v))
        dk, dv, dq = torch.zeros_like(k, dtype=torch.float32), torch.zeros_like(v, dtype=torch.float32), []
        for start in range(0, T, BLOCK):
            end = min(start + BLOCK, T)
            n, block = end - start, slice(start, end)
            q_here, dy_here = (x[:, :, :, block].reshape(B * G, R * n, D) for x in (q, dy))
            scores = torch.bmm(q_here, k[:, :end].transpose(1, 2)).float().view(B, G, R, n, end)
            seen = torch.ones(n, end, dtype=torch.bool, device=q.device).tril(start)
            shares = torch.where(seen, torch.exp(scores * scale - log_sums[:, :, :, block]), 0)
            d_shares = torch.bmm(dy_here, v[:, :end].transpose(1, 2)).float().view(B, G, R, n, end)
            d_scores = (shares * (d_shares - pull[:, :, :, block]) * scale).to(q.dtype).view(B * G, R * n, end)
            dq.append(torch.bmm(d_scores, k[:, :end]).view(B, G, R, n, D))
            dk[:, :end] += torch.bmm(d_scores.transpose(1, 2), q_here)
            dv[:, :end] += torch.bmm(shares.to(q.dtype).view(B * G, R * n, end).transpose(1, 2), dy_here)
        dk, dv = (x.view(B, G, T, D).transpose(1, 2).to(q.dtype) for x in (dk, dv))
        return torch.cat(dq, 3).permute(0, 3, 1, 2, 4).reshape(B, T, H, D), dk, dv

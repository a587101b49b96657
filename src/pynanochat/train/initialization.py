"""How weights start: upstream's way, or the port's.

L n_layer, C n_embd. A tensor's numbers depend on the seed and on its own name alone, and are the same on every device.
"""

from __future__ import annotations

import hashlib
import math
from typing import Literal

import torch
from torch import Tensor

from pynanochat import weights
from pynanochat.config import GPTConfig
from pynanochat.train.network import GPT

Kind = Literal["nanochat", "kaiming"]
KAIMING_GAIN = 0.5


@torch.no_grad()
def initialize(gpt: GPT, seed: int, kind: Kind = "nanochat") -> None:
    """Fill every parameter of `gpt` with its starting value.

    "kaiming" differs in the matrices: uniform within 0.5 sqrt(3 / inputs), none at zero, and wte standard normal.
    What the port's network lacks (lambdas, gates, value embeddings) starts as upstream's.
    Source: karpathy/nanochat nanochat/gpt.py init_weights, July 2026 (92d63d4); tuned-org-uk/nanochat-rs src/gpt.rs,
    265577c (Burn's KaimingUniform with gain 0.5 over the inputs, and its default for embeddings).
    """
    for name, parameter in gpt.named_parameters():
        own = hashlib.sha256(f"{seed} {name}".encode()).digest()  # torch's generator takes 32 bits of it
        numbers = torch.Generator().manual_seed(int.from_bytes(own[:4], "little"))
        start = torch.empty(parameter.shape)
        if kind == "nanochat" or not _kaiming(start, name, numbers):
            _nanochat(start, name, gpt.cfg, numbers)
        parameter.copy_(start)


def _kaiming(start: Tensor, name: str, numbers: torch.Generator) -> bool:
    """Whether the port's network has this tensor; it is filled then."""
    if name == weights.WTE:
        start.normal_(0.0, 1.0, generator=numbers)
    elif name == weights.LM_HEAD or name.endswith((".c_q.weight", ".c_k.weight", ".c_v.weight", ".c_proj.weight",
                                                   ".c_fc.weight")):
        bound = KAIMING_GAIN * math.sqrt(3 / start.size(1))
        start.uniform_(-bound, bound, generator=numbers)
    else:
        return False
    return True


def _nanochat(start: Tensor, name: str, cfg: GPTConfig, numbers: torch.Generator) -> None:
    bound = math.sqrt(3 / cfg.n_embd)  # a uniform of the standard deviation 1/sqrt(C), without outliers
    down = torch.arange(cfg.n_layer) / max(cfg.n_layer - 1, 1)  # 0 at the first layer, 1 at the last
    if name == weights.WTE:
        start.normal_(0.0, 0.8, generator=numbers)
    elif name == weights.LM_HEAD:
        start.normal_(0.0, 0.001, generator=numbers)
    elif name.endswith((".c_q.weight", ".c_k.weight", ".c_v.weight")) or name.startswith("value_embeds."):
        start.uniform_(-bound, bound, generator=numbers)
    elif name.endswith(".c_fc.weight"):
        start.uniform_(-0.4 * bound, 0.4 * bound, generator=numbers)
    elif name.endswith(".ve_gate.weight") or name == weights.SMEAR_GATE:
        start.uniform_(0.0, 0.02, generator=numbers)
    elif name == weights.RESID_LAMBDAS:
        start.copy_(1.15 - 0.10 * down)
    elif name == weights.X0_LAMBDAS:
        start.copy_(0.20 - 0.15 * down)
    elif name == weights.BACKOUT_LAMBDA:
        start.fill_(0.2)
    elif name == weights.BIGRAM_LAMBDAS:  # in no network of July 2026: with a table of zeros this says nothing at first
        start.fill_(0.1)
    else:  # blocks start as the identity, smear and bigrams without a say
        assert name.endswith(".c_proj.weight") or name in (weights.SMEAR_LAMBDA, weights.BIGRAM_EMBED), name
        start.zero_()

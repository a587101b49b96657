"""The groups of parameters that share an algorithm, a rate and its constants; names are those of the state dict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pynanochat.config import GPTConfig
from pynanochat.train.config import TrainConfig
from pynanochat.weights import (
    BACKOUT_LAMBDA,
    BIGRAM_EMBED,
    BIGRAM_LAMBDAS,
    LM_HEAD,
    RESID_LAMBDAS,
    SMEAR_GATE,
    SMEAR_LAMBDA,
    WTE,
    X0_LAMBDAS,
    Shape,
    tensor_shapes,
)

_TUNED_WIDTH = 768  # of the network that AdamW's rates were tuned on
_SMEAR_LR = 0.2


@dataclass(frozen=True, kw_only=True)
class AdamWGroup:
    """Tables, the head and scalars."""

    names: tuple[str, ...]
    lr: float  # before the schedule
    betas: tuple[float, float]
    eps: float = 1e-10
    weight_decay: float = 0.0


@dataclass(frozen=True, kw_only=True)
class MuonGroup:
    """Matrices of one shape; momentum and weight decay come from the schedule."""

    names: tuple[str, ...]
    lr: float  # before the schedule, of square and wide matrices; `rate` is that of a shape
    beta2: float = 0.9
    polar_steps: int = 5


Group = AdamWGroup | MuonGroup


def parameter_groups(cfg: GPTConfig, config: TrainConfig) -> list[Group]:
    """Upstream's groups in upstream's order, which is also that of the ids in its optimizer files; none is empty.

    The rates of head and tables go with width to the -1/2. `start_lr_frac` is in the rates. The tensors of the two
    days of bigrams, which no current upstream trains, go with the tables and scalars that they resemble.
    Source: karpathy/nanochat nanochat/gpt.py, GPT.setup_optimizer, 92d63d4.
    """
    shapes = tensor_shapes(cfg)
    by_width: float = (cfg.n_embd / _TUNED_WIDTH) ** -0.5 * config.start_lr_frac

    def adamw(names: Iterable[str], lr: float, betas: tuple[float, float], weight_decay: float) -> AdamWGroup:
        there = tuple(name for name in names if name in shapes)
        return AdamWGroup(names=there, lr=lr, betas=betas, weight_decay=weight_decay)

    tables = [name for name in shapes if name.startswith("value_embeds.")]
    scalar_lr = config.scalar_lr * config.start_lr_frac
    tables_lr = config.embedding_lr * by_width
    groups: list[Group] = [
        adamw([LM_HEAD], config.unembedding_lr * by_width, (0.8, 0.96), 0.01),
        adamw([WTE], tables_lr, (0.8, 0.995), 0.001),
        adamw([*tables, BIGRAM_EMBED], tables_lr * 0.5, (0.8, 0.995), 0.01),
        adamw([RESID_LAMBDAS], scalar_lr * 0.01, (0.8, 0.95), 0.05),
        adamw([X0_LAMBDAS, BIGRAM_LAMBDAS], scalar_lr, (0.96, 0.95), 0.0),
        adamw([SMEAR_GATE, SMEAR_LAMBDA, BACKOUT_LAMBDA], _SMEAR_LR * config.start_lr_frac, (0.8, 0.95), 0.0),
    ]
    by_shape: dict[Shape, list[str]] = {}
    for name, shape in shapes.items():
        if name.startswith("transformer.h."):
            by_shape.setdefault(shape, []).append(name)
    matrix_lr = config.matrix_lr * config.start_lr_frac
    groups += [MuonGroup(names=tuple(by_shape[shape]), lr=matrix_lr) for shape in sorted(by_shape)]
    return [group for group in groups if group.names]

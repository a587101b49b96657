"""Random weights for a network: what checks and benchmarks run on where no trained model is needed."""

from __future__ import annotations

import numpy as np

from pynanochat.config import GPTConfig
from pynanochat.tensor import Tensor
from pynanochat.weights import BIGRAM_EMBED, RESID_LAMBDAS, WTE, tensor_shapes


def random_tensors(cfg: GPTConfig, seed: int) -> dict[str, Tensor]:
    """Every tensor of a network as seeded float32 normals, none at a value that hides its feature.

    Matrices [out, in] are scaled by 1/sqrt(in), tables not at all; scalars vary by 0.1, around 1 for the residual's.
    A tensor depends on the seed and on its place in the state dict alone. These are no weights to train from.
    """
    tensors = {}
    for place, (name, shape) in enumerate(tensor_shapes(cfg).items()):
        values = np.random.default_rng([seed, place]).standard_normal(shape, np.float32)
        if len(shape) == 1:
            values = values * np.float32(0.1) + np.float32(name == RESID_LAMBDAS)
        elif name not in (WTE, BIGRAM_EMBED) and not name.startswith("value_embeds."):
            values /= np.float32(np.sqrt(shape[1]))
        tensors[name] = Tensor.of(values)
    return tensors

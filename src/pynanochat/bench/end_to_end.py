"""End to end: answers through the engine, which schedules, samples and streams, as every user gets them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pynanochat.bench.model import Model
from pynanochat.checkpoint import Checkpoint
from pynanochat.llm import LLM
from pynanochat.output import Usage
from pynanochat.runner import Runner
from pynanochat.sampling import SamplingPolicy


def front_of(model: Model, runner: Runner, context: int) -> LLM:
    """The front door of a runner that is open already; it has no tokenizer, so that no token ends an answer."""
    source = Checkpoint(path=Path(model.name), format="native", generation=model.generation, config=model.config,
                        tensors=model.tensors)
    return LLM(source, runner, None, context=context)


def answers(llm: LLM, *, prompt: int, tokens: int, repeats: int) -> list[Usage]:
    """What `repeats` answers of `tokens` tokens took, one after the other, sampled as `nanochat chat` does.

    Each to a prompt of `prompt` random tokens of its own, so that none finds another's prefix; one more warms up.
    """
    rng = np.random.default_rng(11)
    usages = []
    for seed in range(repeats + 1):
        ids = rng.integers(0, llm.config.vocab_size, prompt).tolist()
        usages.append(llm.generate(ids, tokens, policy=SamplingPolicy(temperature=0.6, top_k=50, seed=seed)).usage)
    return usages[1:]

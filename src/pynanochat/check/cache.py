"""M4: what is decoded with the cache is what the whole sequence gives, at every position."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pynanochat.batch import Batch
from pynanochat.check.demo import CONFIG, PORT, SIZES, Demo, decoded_logits, difference
from pynanochat.check.result import Check, Measure, at_most, equal
from pynanochat.config import GPTConfig
from pynanochat.engine.engine import Engine
from pynanochat.engine.request import Request
from pynanochat.generation import GENERATIONS
from pynanochat.initialize import random_tensors
from pynanochat.llm import LLM
from pynanochat.runner import Logits, Runner
from pynanochat.sampling import SamplingPolicy

_DECODED = 44  # past the short window of 16 tokens, and over the border of two pages


def cached(demo: Demo) -> Measure:
    """The logits of every decoded token beside those of one pass over all of them."""
    return at_most(_cached_difference(demo.model, demo.tokens(5)), demo.tolerance, f"{_DECODED} positions, window 16")


def every_generation(demo: Demo) -> Measure:
    """The same for each network that nanochat had, and nanochat-rs'."""
    small = SIZES | {"n_embd": 64, "vocab_size": 250}
    windows = {"window_pattern": "SSSL", "short_window": 8}
    configs = {"nanochat-rs": replace(PORT, n_embd=64, n_inner=256)}
    for name, generation in GENERATIONS.items():
        own = {"window_pattern": None} if generation.window_rule == "all" else windows
        configs[name] = GPTConfig(**small, **generation.constants, **own)
    found = {name: _cached_difference(demo.llm(cfg), demo.tokens(3), 14) for name, cfg in configs.items()}
    worst = max(found, key=lambda name: found[name])
    return at_most(found[worst], demo.tolerance, f"{len(found)} networks; the worst is {worst}")


def chunks(demo: Demo) -> Measure:
    """A prompt that runs 7 tokens at a time gives the logits of one that runs whole."""
    tokens, rows = demo.tokens(60), list[NDArray[np.float32]]()
    engine = Engine(demo.runner(CONFIG, random_tensors(CONFIG, demo.seed)), CONFIG, step_tokens=7)
    engine.submit(Request(prompt=tuple(tokens), max_tokens=0,
                          on_prompt_logits=lambda first, logits: rows.append(logits.copy())))
    while not engine.idle:
        engine.step()
    return at_most(difference(np.concatenate(rows), demo.model.logits(tokens)), demo.tolerance,
                   f"60 tokens in {len(rows)} chunks")


def streamed(demo: Demo) -> Measure:
    """The pieces of a stream are the tokens of the finished answer."""
    policy = SamplingPolicy(seed=demo.seed, temperature=0.8)
    pieces = [token for piece in demo.model.stream(demo.tokens(5), 40, policy=policy) for token in piece.tokens]
    whole = demo.model.generate(demo.tokens(5), 40, policy=policy).tokens
    return Measure(f"{sum(a == b for a, b in zip(pieces, whole, strict=False))} of {len(whole)}", "= 40 of 40 tokens",
                   pieces == whole and len(whole) == 40)


def rows_per_step(demo: Demo) -> Measure:
    """Decoding runs the new token alone, however long the sequence is, and copies no page."""
    counting = _Counting(demo.runner(CONFIG, random_tensors(CONFIG, demo.seed)))
    engine = Engine(counting, CONFIG, step_tokens=256)
    engine.submit(Request(prompt=tuple(demo.tokens(80)), max_tokens=40, policy=SamplingPolicy(seed=demo.seed)))
    while not engine.idle:
        engine.step()
    decode = counting.rows[1:]
    return equal(max(decode) + counting.copies, 1, f"most rows of a step at 81 to {80 + len(decode)} tokens")


class _Counting:
    """A runner that counts the rows of each step and the pages that are copied."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.facts = runner.facts
        self.rows: list[int] = []
        self.copies = 0

    def forward(self, batch: Batch) -> Logits:
        self.rows.append(len(batch.tokens))
        return self._runner.forward(batch)

    def copy_page(self, group: int, source: int, target: int) -> None:
        self.copies += 1
        self._runner.copy_page(group, source, target)


def _cached_difference(llm: LLM, prompt: list[int], count: int = _DECODED) -> float:
    tokens, decoded = decoded_logits(llm, prompt, count)
    whole = llm.logits([*prompt, *tokens])[len(prompt) - 1 : -1]
    return difference(decoded, whole)


CHECKS = (
    Check("M4", "cached equals full", cached),
    Check("M4", "cached equals full, all generations", every_generation),
    Check("M4", "prompt in chunks equals whole", chunks),
    Check("M4", "stream equals generate", streamed),
    Check("M4", "rows per decode step", rows_per_step),
)

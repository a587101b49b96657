"""The same request gives the same bits alone, among 32 others, after a prefix hit, and after giving way to others."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fixture_files import STORY5M
from models import FOLDERS, load, runner_of

import pynanochat as nc
from pynanochat.batch import PAGE_TOKENS, Batch
from pynanochat.engine.engine import Engine
from pynanochat.engine.request import Request
from pynanochat.runner import Logits, sequence_pages

LONGEST = 150  # more tokens than any request here has with its answer
Answers = dict[tuple[int, int], list[tuple[int, float, tuple[tuple[int, float], ...]]]]


class Narrow:
    """A runner that says that it has fewer pages than it has."""

    def __init__(self, llm: nc.LLM, sequences: int) -> None:
        self._runner = runner_of(llm)
        each = sequence_pages(llm.config, LONGEST, 64)
        self.facts = replace(self._runner.facts, pages=tuple(count * sequences for count in each))

    def forward(self, batch: Batch) -> Logits:
        return self._runner.forward(batch)

    def copy_page(self, group: int, source: int, target: int) -> None:
        self._runner.copy_page(group, source, target)


def engine_of(llm: nc.LLM, sequences: int) -> Engine:
    return Engine(Narrow(llm, sequences), llm.config, context=llm.context, step_tokens=64)


def run(engine: Engine, requests: list[Request]) -> Answers:
    ids = {engine.submit(request): place for place, request in enumerate(requests)}
    answers: Answers = defaultdict(list)
    while not engine.idle:
        for event in engine.step():
            assert event.error is None
            if event.token is not None:
                assert event.logprobs is not None
                answers[ids[event.request_id], event.sample].append(
                    (event.token, event.logprobs.logprob, tuple(event.logprobs.top)))
    return answers


def asked(llm: nc.LLM, seed: int, **fields: Any) -> Request:
    generator = np.random.default_rng(seed)
    prompt = tuple(generator.integers(0, llm.config.vocab_size, int(generator.integers(20, 90))).tolist())
    policy = nc.SamplingPolicy(temperature=0.8, top_p=0.95, seed=seed, logprobs=3, n=1 + seed % 2)
    return Request(prompt=prompt, policy=policy, max_tokens=24, **fields)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("folder", FOLDERS)
def test_the_same_bits_in_any_company(folder: str, backend: str) -> None:
    llm = load(folder, backend)
    requests = [asked(llm, seed) for seed in range(7, 10)]
    alone = [run(engine_of(llm, 2), [request]) for request in requests]
    crowd = [asked(llm, seed) for seed in range(100, 132 if backend == "cpu" else 108)]

    among = run(engine_of(llm, 40), [*crowd[:5], *requests, *crowd[5:]])
    for place, own in enumerate(alone):
        for (_, sample), answer in own.items():
            assert among[5 + place, sample] == answer

    engine = engine_of(llm, 6)
    for request, own in zip(requests, alone, strict=True):
        assert run(engine, [request]) == own
        hits = engine.counters.prompt_tokens_cached
        assert run(engine, [request]) == own
        longer = replace(request, prompt=(*request.prompt, *(token for token, *_ in own[0, 0])))
        assert run(engine, [longer]) == run(engine_of(llm, 4), [longer])
        assert engine.counters.prompt_tokens_cached >= hits + 2 * (len(request.prompt) // PAGE_TOKENS * PAGE_TOKENS)

    tight = engine_of(llm, 1)
    pressed = run(tight, [*requests, *crowd])
    for place, own in enumerate(alone):
        for (_, sample), answer in own.items():
            assert pressed[place, sample] == answer
    for place in range(len(crowd)):
        assert pressed[3 + place, 0] == among[place if place < 5 else place + 3, 0]
    assert tight.counters.preemptions > 0


def test_streamed_or_not() -> None:
    llm = nc.load(STORY5M)
    settings: dict[str, Any] = {"max_tokens": 30, "temperature": 0.9, "seed": 5, "logprobs": 4, "n": 2}
    whole = llm.generate("Once upon a time", **settings)
    for sample in whole.samples:
        pieces = [p for p in llm.stream("Once upon a time", **settings) if p.sample == sample.sample and p.tokens]
        assert [p.tokens[0] for p in pieces] == sample.tokens
        assert [p.logprobs for p in pieces] == sample.logprobs

"""Upstream's Engine driven by a script, case by case: tokens, masks and the tool's forced tokens."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from fixture_files import PARITY, parity

from pynanochat.batch import Batch
from pynanochat.config import GPTConfig
from pynanochat.engine.engine import Engine
from pynanochat.engine.request import Request
from pynanochat.runner import Facts, HostLogits
from pynanochat.sampling import SamplingPolicy
from pynanochat.tokenizer import Tokenizer
from pynanochat.tools import ToolMachine

CONFIG = GPTConfig(sequence_len=256, vocab_size=600, n_layer=1, n_head=1, n_kv_head=1, n_embd=32)

CASES = json.loads((PARITY / "engine_cases.json").read_text())["cases"]


class Scripted:
    """The token after output position t of sample r is scripts[r][t], or `fill` past its end."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.case = case
        self.facts = Facts("scripted", "nowhere", "none", (400,), 0, 0)
        self.engine: Engine | None = None

    def forward(self, batch: Batch) -> HostLogits:
        order = [s.sample for s in sorted(self.engine.scheduler.running, key=lambda s: s.missing > 1) if s.missing]
        logits = np.zeros((len(batch.sample_rows), CONFIG.vocab_size), np.float32)
        for place, row in enumerate(batch.sample_rows):
            script = self.case["scripts"][order[int(batch.row_sequences[row])]]
            t = int(batch.positions[row]) - len(self.case["prompt"]) + 1
            logits[place, script[t] if t < len(script) else self.case["fill"]] = 1
        return HostLogits(logits)

    def copy_page(self, group: int, source: int, target: int) -> None:
        pass


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case(case: dict[str, Any]) -> None:
    tokenizer = Tokenizer.load(parity("tokenizer_600"))
    special = tokenizer.special_tokens
    runner = Scripted(case)
    engine = runner.engine = Engine(runner, CONFIG)
    engine.submit(Request(
        prompt=tuple(case["prompt"]), policy=SamplingPolicy.greedy(n=case["num_samples"]),
        max_tokens=case["max_tokens"], end_tokens={special["<|assistant_end|>"], special["<|bos|>"]},
        tool=ToolMachine(tokenizer)))
    tokens, masks, ends = defaultdict(list), defaultdict(list), {}
    while not engine.idle:
        for event in engine.step():
            if event.token is not None:
                tokens[event.sample].append(event.token)
                masks[event.sample].append(int(not event.forced))
            if event.finish_reason:
                ends[event.sample] = event
    for sample, (result, mask) in enumerate(zip(case["batch_results"], case["batch_masks"], strict=True)):
        assert [*case["prompt"], *tokens[sample]] == result
        assert [*(0 for _ in case["prompt"]), *masks[sample]] == mask
        column = [step[sample] for step in case["columns"]]
        end = [] if ends[sample].end_token is None else [ends[sample].end_token]
        assert column[: len(tokens[sample]) + len(end)] == [*tokens[sample], *end]
        assert bool(end) or len(column) == len(tokens[sample]) == case["max_tokens"]
    if "text" in case:
        assert tokenizer.decode([*tokens[0], *end]) == case["text"]

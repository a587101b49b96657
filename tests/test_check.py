"""The feature check passes as things are, and each kind of damage makes the line that guards it fail."""

import numpy as np
import pytest

from pynanochat.check import CHECKS, Demo, run
from pynanochat.check.result import Check, Measure, measured
from pynanochat.check.samplers import _chi_square_p
from pynanochat.ops import reference

BY_NAME = {check.name: check for check in CHECKS}


def test_everything_passes_on_the_reference():
    results = list(run(Demo("reference")))
    failed = [result for result in results if result.status == "FAIL"]
    assert not failed
    assert [int(result.milestone[1:]) for result in results] == sorted(int(check.milestone[1:]) for check in CHECKS)
    assert {result.milestone for result in results} == {f"M{n}" for n in range(2, 11)}


def test_names_are_unique():
    assert len(BY_NAME) == len(CHECKS)


def see_everything(q, k, v, batch, cache, layer, window):
    """Attention that looks at later tokens of the same step."""
    cache.append(layer, batch, k, v)
    out = np.empty_like(q)
    for s, (start, end) in enumerate(zip(batch.seq_start, batch.seq_start[1:], strict=False)):
        keys, values = cache.read(layer, batch, s, 0, int(batch.positions[end - 1]) + 1)
        for row in range(start, end):
            out[row] = reference.attend(q[row], keys, values)
    return out


def forget_decoded(self, layer, batch, k, v):
    """A cache that keeps prompts only."""
    slots = batch.slots[self._group[layer]]
    if len(batch.tokens) > 1:
        self.keys[layer][slots], self.values[layer][slots] = k, v


def special_from_text(self, text):
    return self._encoding.encode(text, allowed_special="all")


NORM, ROPE = reference.rms_norm, reference.rope
REFERENCE = "pynanochat.ops.reference"
DAMAGE = [  # what breaks, how, and the lines that must see it
    (f"{REFERENCE}.attention", see_everything, ["causality", "cached equals full", "prompt in chunks equals whole"]),
    (f"{REFERENCE}.KVCache.append", forget_decoded, ["cached equals full", "cached equals full, all generations"]),
    (f"{REFERENCE}.rope", lambda x, positions, cos, sin: x, ["scores depend on distance"]),
    (f"{REFERENCE}.rope", lambda x, p, cos, sin: 1.001 * ROPE(x, p, cos, sin), ["rotation keeps lengths"]),
    (f"{REFERENCE}.rope", lambda x, p, cos, sin: ROPE(x, p + 1, cos, sin), ["position 0 stays"]),
    (f"{REFERENCE}.rms_norm", lambda x, eps, scale=1.0: x * x.dtype.type(scale), ["norm of queries and keys"]),
    (f"{REFERENCE}.rms_norm", lambda x, eps, scale=1.0: NORM(x - x[..., :1], eps, scale),
     ["norm and rotation commute"]),
    (f"{REFERENCE}.softcap", lambda x, cap: x, ["softcap bounds logits", "softcap keeps their order"]),
    (f"{REFERENCE}.softcap", lambda x, cap: np.clip(x, -cap, cap), ["softcap keeps their order"]),
    ("pynanochat.check.samplers.sample", lambda logits, *_: int(logits.argmax()), ["Temperature", "TopK", "TempTopP"]),
    ("pynanochat.sampling.Sampler.draw", lambda self, logits, *_: int(logits.argmax()), ["a seed settles the answer"]),
    ("pynanochat.sampling.uniform", lambda *_: float(np.random.default_rng().random()),
     ["a seed settles the answer", "stream equals generate"]),
    ("pynanochat.checkpoint.native._check_files", lambda folder, sums: None, ["altered weights are refused"]),
    ("pynanochat.checkpoint.round_bfloat16", lambda values: (values.view(np.uint32) >> 16).astype(np.uint16),
     ["stored in bfloat16"]),
    ("pynanochat.tokenizer.Tokenizer._ordinary", special_from_text, ["text makes no special tokens"]),
    ("pynanochat.llm.ToolMachine", lambda tokenizer: None, ["the bundled model answers"]),
]


@pytest.mark.parametrize(("target", "damage", "names"), DAMAGE)
def test_damage_is_seen(monkeypatch, target, damage, names):
    monkeypatch.setattr(target, damage)
    for name in names:
        result = measured(BY_NAME[name], Demo("reference"))
        assert result.status == "FAIL", (name, result)


def test_what_breaks_has_failed_and_says_why():
    def broken(demo):
        raise RuntimeError("no\nluck")

    result = measured(Check("M3", "broken", broken), Demo())
    assert (result.status, result.value, result.detail) == ("FAIL", "RuntimeError", "no luck")


def test_what_cannot_be_measured_is_skipped():
    result = measured(Check("M3", "absent", lambda demo: Measure("", "", None, "no device")), Demo())
    assert (result.status, result.detail) == ("SKIP", "no device")


def test_numbers_that_are_none_fail():
    from pynanochat.check.result import at_most

    assert measured(Check("M3", "nan", lambda demo: at_most(float("nan"), 1.0)), Demo()).status == "FAIL"


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 15, 16])
def test_chi_square(freedom):
    from scipy import stats

    for statistic in (0.1, 1.0, 7.5, 30.0, 80.0):
        assert _chi_square_p(statistic, freedom) == pytest.approx(stats.chi2.sf(statistic, freedom), rel=1e-9)

"""Sampling: draws follow the exact probabilities, the fast path is its definition, and a seed settles everything."""

import copy
import math
import pickle

import numpy as np
import pytest
from fuzzing import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from pynanochat.errors import PolicyError, RequestError
from pynanochat.philox import fresh_seed, philox4x64, uniform
from pynanochat.sampling import (
    History,
    Sampler,
    SamplingPolicy,
    log_softmax,
    sample,
    target_probabilities,
    top_logprobs,
)

V = 16
LOGITS = np.random.default_rng(3).permutation(np.linspace(-1.2, 1.2, V)).astype(np.float32)  # a geometric distribution
PROMPT, OUTPUT = [3, 5, 5, 9], [1, 3, 3, 3, 14]
INF = float("inf")


def history(vocab_size=V, prompt=PROMPT, output=OUTPUT):
    made = History(vocab_size, prompt)
    for token in output:
        made.append(token)
    return made


PORT = {  # the seven policies of nanochat-rs
    "Greedy": ({"temperature": 0}, 1),
    "Temperature": ({"temperature": 0.7}, V),
    "TopK": ({"top_k": 5}, 5),
    "TopP": ({"top_p": 0.8}, 9),
    "TempTopK": ({"temperature": 1.5, "top_k": 6}, 6),
    "TempTopP": ({"temperature": 0.5, "top_p": 0.9}, 8),
    "TempTopKTopP": ({"temperature": 1.3, "top_k": 8, "top_p": 0.7}, 5),
}
OTHERS = {
    "min-p": ({"min_p": 0.3}, 8),
    "repetition": ({"repetition_penalty": 1.7}, V),
    "presence": ({"presence_penalty": 0.9}, V),
    "frequency": ({"frequency_penalty": -0.4}, V),
    "bias": ({"logit_bias": {2: 1.5, 7: -INF}}, V - 1),
    "processor": ({"processors": [lambda logits, tokens: np.where(np.arange(V) == tokens[-1], -INF, logits)]}, V - 1),
    "everything": ({"temperature": 1.2, "top_k": 12, "top_p": 0.95, "min_p": 0.05, "repetition_penalty": 1.2,
                    "presence_penalty": 0.3, "frequency_penalty": 0.2, "logit_bias": {0: 1.0}}, None),
}


@pytest.mark.parametrize("name", PORT | OTHERS)
def test_draws_follow_the_exact_probabilities(name):
    fields, support = (PORT | OTHERS)[name]
    policy, draws = SamplingPolicy(seed=11, **fields), 12_000
    expected = target_probabilities(LOGITS, policy, history())
    (sampler,) = Sampler.of(policy)
    seen = history()
    counts = np.bincount([sampler.draw(LOGITS, seen, i) for i in range(draws)], minlength=V)
    kept = expected > 0
    assert expected.sum() == pytest.approx(1, abs=1e-14)
    assert support in (None, kept.sum())
    assert not counts[~kept].any()
    assert counts[kept].all()  # every token of the support turns up
    if kept.sum() > 1:
        assert stats.chisquare(counts[kept], draws * expected[kept]).pvalue > 1e-4


def test_a_wrong_distribution_would_be_noticed():
    (sampler,) = Sampler.of(SamplingPolicy(seed=11, temperature=0.7))
    counts = np.bincount([sampler.draw(LOGITS, history(), i) for i in range(3000)], minlength=V)
    other = target_probabilities(LOGITS, SamplingPolicy(temperature=0.85), history())
    assert stats.chisquare(counts, counts.sum() * other).pvalue < 1e-4


FOUR = np.log(np.array([0.25, 0.1, 0.5, 0.15])).astype(np.float32)


@pytest.mark.parametrize(("fields", "expected"), [
    ({}, [0.25, 0.1, 0.5, 0.15]),
    ({"temperature": 0}, [0, 0, 1, 0]),
    ({"temperature": 0.5}, [0.0625 / 0.345, 0.01 / 0.345, 0.25 / 0.345, 0.0225 / 0.345]),
    ({"top_k": 2}, [1 / 3, 0, 2 / 3, 0]),
    ({"top_k": 9}, [0.25, 0.1, 0.5, 0.15]),
    ({"top_p": 0.3}, [0, 0, 1, 0]),
    ({"top_p": 0.74}, [1 / 3, 0, 2 / 3, 0]),
    ({"top_p": 0.76}, [5 / 18, 0, 10 / 18, 3 / 18]),
    ({"top_p": 1e-9}, [0, 0, 1, 0]),
    ({"min_p": 0.49}, [1 / 3, 0, 2 / 3, 0]),
    ({"min_p": 1}, [0, 0, 1, 0]),
    ({"top_k": 3, "top_p": 0.8}, [1 / 3, 0, 2 / 3, 0]),  # of the 0.9 left by top-k, 0.75 is 0.833
    ({"top_k": 3, "min_p": 0.4}, [1 / 3, 0, 2 / 3, 0]),
    ({"logit_bias": {2: -INF}}, [0.5, 0.2, 0, 0.3]),
    ({"logit_bias": {1: math.log(6)}}, [0.25 / 1.5, 0.4, 0.5 / 1.5, 0.1]),
])
def test_probabilities_computed_by_hand(fields, expected):
    found = target_probabilities(FOUR, SamplingPolicy(**fields), History(4))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_penalties_by_a_plain_loop():
    policy = SamplingPolicy(repetition_penalty=1.3, presence_penalty=0.7, frequency_penalty=0.2, logit_bias={3: 0.5})
    row = [float(x) for x in LOGITS]
    row[3] += 0.5
    for token in set(PROMPT + OUTPUT):
        row[token] = row[token] / 1.3 if row[token] > 0 else row[token] * 1.3
    for token in set(OUTPUT):
        row[token] -= 0.7 + 0.2 * OUTPUT.count(token)
    exp = np.exp(row)
    np.testing.assert_allclose(target_probabilities(LOGITS, policy, history()), exp / exp.sum(), rtol=1e-5)


def test_ties_go_to_the_lowest_ids():
    row, seen = np.array([1, 2, 2, 0, 2, 2], np.float32), History(6)
    for fields in ({"temperature": 0}, {"top_k": 1}, {"top_p": 0.1}):
        assert {sample(row, SamplingPolicy(**fields), seen, u) for u in (0, 0.5, 0.999)} == {1}
    for fields in ({"top_k": 3}, {"top_p": 0.6}):  # each 2 has 0.227, two of them are less than 0.6
        assert np.flatnonzero(target_probabilities(row, SamplingPolicy(**fields), seen)).tolist() == [1, 2, 4]
        assert {sample(row, SamplingPolicy(**fields), seen, u) for u in (0, 0.5, 0.999)} == {1, 2, 4}


def test_the_ends_of_an_interval():
    even, seen = np.zeros(4, np.float32), History(4)
    for u, token in ((0.0, 0), (0.25 - 2**-53, 0), (0.25, 1), (0.5, 2), (0.75, 3), (1 - 2**-53, 3)):
        assert sample(even, SamplingPolicy(), seen, u) == token
    far = np.array([-701, -699, 0], np.float32)  # less than exp(-700) is no weight, not even at the very start
    assert sample(far, SamplingPolicy(), History(3), 0.0) == 1


def assert_same(logits, policy, seen, mask=None):
    """`sample` gives each token of the definition over its whole interval of the inverse CDF, and no other token."""
    probabilities = target_probabilities(logits, policy, seen, mask)
    kept = np.flatnonzero(probabilities)
    ends = np.cumsum(probabilities[kept])
    starts = np.concatenate(([0.0], ends[:-1]))
    wide = np.flatnonzero(ends - starts > 1e-11)
    for i in wide if len(wide) <= 60 else wide[:: len(wide) // 60]:
        for u in (starts[i] + 2e-12, (starts[i] + ends[i]) / 2, ends[i] - 2e-12):
            assert sample(logits, policy, seen, float(u), mask) == kept[i]
    assert sample(logits, policy, seen, 0.0, mask) == kept[0]
    assert sample(logits, policy, seen, 1 - 2**-53, mask) in kept


fields = st.fixed_dictionaries({
    "temperature": st.sampled_from([0, 5e-324, 1e-300, 1e-3, 0.3, 1.0, 1.7, 100.0]),
    "top_k": st.sampled_from([0, 1, 2, 3, 7, 50, 300, 10**9]),
    "top_p": st.sampled_from([1.0, 1 - 2**-53, 0.999, 0.95, 0.5, 0.2, 1e-12]),
    "min_p": st.sampled_from([0.0, 1e-300, 0.01, 0.3, 1.0]),
    "repetition_penalty": st.sampled_from([1.0, 1.0, 0.5, 1.3]),
    "frequency_penalty": st.sampled_from([0.0, 0.0, 0.7]),
})


@settings(max_examples=examples(400), deadline=None, derandomize=True, database=None)
@given(
    size=st.sampled_from([1, 2, 5, 64, 100, 700, 5000]),
    steps=st.sampled_from([0, 0.1, 0.5, 3]),  # 0: every logit its own, otherwise rounded to steps, which makes ties
    spread=st.sampled_from([1e-6, 0.1, 2, 30, 1e30]),
    banned=st.sampled_from([0, 0.3, 0.95]),
    masked=st.booleans(),
    fields=fields,
    seed=st.integers(0, 10**6),
)
@example(size=5000, steps=0.1, spread=1e-6, banned=0, masked=False, seed=0, fields={"top_k": 70})  # all equal
@example(size=5000, steps=0, spread=0.1, banned=0, masked=False, seed=0, fields={"top_p": 0.95})  # needs the full sort
@example(size=40000, steps=0.1, spread=2, banned=0, masked=False, seed=0, fields={"top_p": 0.2})
def test_the_fast_path_is_the_definition(size, steps, spread, banned, masked, fields, seed):
    rng = np.random.default_rng(seed)
    logits = (spread * rng.standard_normal(size)).astype(np.float32)
    if steps:
        logits = np.float32(steps) * np.round(logits / np.float32(steps))
    logits[rng.random(size) < banned] = -np.inf
    logits[rng.integers(size)] = 0.5
    mask = None
    if masked:
        mask = rng.random(size) < 0.5
        mask[logits.argmax()] = True
    assert_same(logits, SamplingPolicy(**fields), history(size, rng.integers(size, size=5), [0, size - 1]), mask)


def test_a_mask_comes_before_the_processors():
    def check(logits, tokens):
        assert np.isneginf(logits[4:]).all()
        assert list(tokens) == PROMPT + OUTPUT
        return logits

    policy, mask = SamplingPolicy(processors=(check,)), np.arange(V) < 4
    assert np.flatnonzero(target_probabilities(LOGITS, policy, history(), mask)).tolist() == [0, 1, 2, 3]
    assert sample(LOGITS, SamplingPolicy.greedy(), history(), 0.0, mask) == LOGITS[:4].argmax()


def test_the_callers_logits_stay_as_they_are():
    def spoil(logits, tokens):
        logits[:] = 0
        return logits

    before = LOGITS.copy()
    for fields in ({"processors": [spoil]}, {"logit_bias": {1: 1}, "repetition_penalty": 2}, {"top_p": 0.5}):
        sample(LOGITS, SamplingPolicy(**fields), history(), 0.5)
        np.testing.assert_array_equal(LOGITS, before)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_not_numbers(bad):
    row = LOGITS.copy()
    row[4] = bad
    for policy in (SamplingPolicy(), SamplingPolicy.greedy(), SamplingPolicy(top_k=2)):
        with pytest.raises(RequestError, match="the model gave logits that are not numbers"):
            sample(row, policy, history(), 0.5)
    with pytest.raises(RequestError, match="not numbers"):
        log_softmax(row)


def test_what_sample_refuses():
    with pytest.raises(RequestError, match="no token is allowed"):
        sample(LOGITS, SamplingPolicy(), history(), 0.5, np.zeros(V, bool))
    with pytest.raises(RequestError, match="not numbers"):
        sample(np.full(V, -np.inf, np.float32), SamplingPolicy(), history(), 0.5)
    with pytest.raises(RequestError, match="look at its processors"):
        sample(LOGITS, SamplingPolicy(processors=(lambda logits, _: logits * np.float32(np.nan),)), history(), 0.5)
    with pytest.raises(PolicyError, match="shape"):
        sample(LOGITS, SamplingPolicy(processors=(lambda logits, _: logits[1:],)), history(), 0.5)
    with pytest.raises(PolicyError, match=r"token 16; the vocabulary has ids 0 to 15"):
        sample(LOGITS, SamplingPolicy(logit_bias={16: 1}), history(), 0.5)
    with pytest.raises(RequestError, match="one row"):
        sample(LOGITS[None], SamplingPolicy(), history(), 0.5)
    with pytest.raises(RequestError, match="16 logits"):
        sample(LOGITS, SamplingPolicy(), History(17), 0.5)
    with pytest.raises(RequestError, match="mask is int64"):
        sample(LOGITS, SamplingPolicy(), history(), 0.5, np.ones(V, np.int64))
    for number in (-0.1, 1.0, math.nan):
        with pytest.raises(RequestError, match="uniform"):
            sample(LOGITS, SamplingPolicy(), history(), number)


def test_history_counts_prompt_and_output():
    rng = np.random.default_rng(0)
    prompt, output = rng.integers(300, size=200).tolist(), rng.integers(300, size=400).tolist()
    seen = History(300, np.array(prompt))
    for place, token in enumerate(output):
        seen.append(token)
        if place % 90 == 0:
            seen.counts()
    ids, counts = seen.counts()
    assert set(ids.tolist()) == set(prompt + output)
    assert len(ids) == len(set(prompt + output))
    assert counts.tolist() == [output.count(token) for token in ids]
    assert seen.tokens == prompt + output
    for bad in (-1, 300):
        with pytest.raises(RequestError, match="not in the vocabulary"):
            seen.append(bad)
        with pytest.raises(RequestError, match="not in the vocabulary"):
            History(300, [1, bad])


def test_logprobs_are_the_models_own():
    exact = LOGITS.astype(np.float64)
    exact = exact - math.log(sum(math.exp(x) for x in exact))
    np.testing.assert_allclose(log_softmax(LOGITS), exact, rtol=1e-14)
    own, best = top_logprobs(LOGITS, 7, 3)
    order = sorted(range(V), key=lambda i: (-exact[i], i))
    assert own == pytest.approx(exact[7], rel=1e-14)
    assert [i for i, _ in best] == order[:3]
    assert [x for _, x in best] == pytest.approx(exact[order[:3]])
    assert top_logprobs(LOGITS, 7, 0)[1] == []
    assert len(top_logprobs(LOGITS, 7, 64)[1]) == V
    assert top_logprobs(np.array([0, 1, 1, -np.inf], np.float32), 3, 1) == (-INF, [(1, pytest.approx(-0.8619948))])


def test_a_seed_settles_the_draws():
    def draws(seed, index=0):
        return [Sampler(SamplingPolicy(), seed, index).draw(LOGITS, history(), i) for i in range(40)]

    assert draws(5) == draws(5)
    assert draws(5) != draws(6)
    assert draws(5) != draws(5, 1)
    assert [s.index for s in Sampler.of(SamplingPolicy(seed=9, n=3))] == [0, 1, 2]
    assert {s.seed for s in Sampler.of(SamplingPolicy(seed=9, n=3))} == {9}
    fresh = Sampler.of(SamplingPolicy(n=2))
    assert fresh[0].seed == fresh[1].seed != Sampler.of(SamplingPolicy())[0].seed
    assert 0 <= fresh_seed() < 2**64


def test_these_draws_never_change():
    (sampler,) = Sampler.of(SamplingPolicy(seed=7, top_p=0.9))
    assert [sampler.draw(LOGITS, history(), i) for i in range(12)] == [12, 12, 0, 0, 6, 0, 6, 7, 2, 12, 6, 15]
    assert uniform(7, 0, 0) == 0.9007596233153624


def words(text):
    return tuple(int(word, 16) for word in text.split())


@pytest.mark.parametrize(("counter", "key", "result"), [  # Random123, tests/kat_vectors, philox 4x64 of 10 rounds
    ("0 0 0 0", "0 0", "16554d9eca36314c db20fe9d672d0fdc d7e772cee186176b 7e68b68aec7ba23b"),
    (" ".join(["f" * 16] * 4), " ".join(["f" * 16] * 2),
     "87b092c3013fe90b 438c3c67be8d0224 9cc7d7c69cd777b6 a09caebf594f0ba0"),
    ("243f6a8885a308d3 13198a2e03707344 a4093822299f31d0 082efa98ec4e6c89", "452821e638d01377 be5466cf34e90c6c",
     "a528f45403e61d95 38c72dbd566e9788 a5a1610e72fd18b5 57bd43b5e52b7fe6"),
])
def test_philox_known_answers(counter, key, result):
    assert philox4x64(words(counter), words(key)) == words(result)


@settings(max_examples=examples(100), deadline=None, derandomize=True, database=None)
@given(seed=st.integers(0, 2**64 - 1), sample=st.integers(0, 127), position=st.integers(1, 2**40))
def test_philox_is_numpys(seed, sample, position):
    theirs = np.random.Philox(counter=position - 1, key=np.array([seed, sample], np.uint64)).random_raw(4)
    assert philox4x64((position, 0, 0, 0), (seed, sample)) == tuple(theirs.tolist())
    assert uniform(seed, sample, position) == (int(theirs[0]) >> 11) / 2**53


def test_uniform_numbers_are_uniform():
    for numbers in ([uniform(1, 0, i) for i in range(5000)], [uniform(i, 3, 2) for i in range(5000)],
                    [uniform(1, i, 0) for i in range(5000)]):
        assert stats.kstest(numbers, "uniform").pvalue > 1e-4
        assert 0 <= min(numbers) <= max(numbers) < 1


BAD = {
    "temperature": [-0.1, 101, math.nan, INF, True, "1", None],
    "top_k": [-1, 1.0, True, None],
    "top_p": [0, 0.0, 1.01, -0.5, math.nan, False],
    "min_p": [-0.1, 1.1, math.nan, True],
    "repetition_penalty": [0, -1, 0.001, INF, math.nan, True],
    "presence_penalty": [INF, -INF, math.nan, 101, True],
    "frequency_penalty": [INF, math.nan, -101, "0"],
    "logit_bias": [{-1: 1}, {1: math.nan}, {1: INF}, {1: 2e6}, {"1": 1}, {True: 1}, {1: True}, [1], None],
    "stop": [[""], "", [1], ["a"] * 17, 5],
    "stop_tokens": [[-1], [1.5], [True], 3, "7"],
    "seed": [-1, 2**64, 1.0, True, "7"],
    "n": [0, 129, 1.0, True, None],
    "logprobs": [-1, 65, 2.0, True],
    "processors": [[1], 7, None],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_settings_out_of_range(name, value):
    with pytest.raises(PolicyError, match=f"^{name} .*; ?\n?expected"):
        SamplingPolicy(**{name: value})


def test_settings_at_their_limits():
    for fields in ({"temperature": 0}, {"temperature": 100}, {"top_k": 10**30}, {"top_p": 1}, {"top_p": 1e-300},
                   {"min_p": 0}, {"min_p": 1}, {"seed": 0}, {"seed": 2**64 - 1}, {"n": 128}, {"logprobs": 0},
                   {"logprobs": 64}, {"logit_bias": {0: -INF}}, {"stop": ["a"] * 16}):
        SamplingPolicy(**fields)


def test_a_policy_is_a_value():
    policy = SamplingPolicy(temperature=1, stop="end", stop_tokens=[4], logit_bias={3: 1})
    assert (policy.stop, policy.stop_tokens, policy.logit_bias) == (("end",), (4,), {3: 1.0})
    assert type(policy.temperature) is float
    assert policy == SamplingPolicy(stop=["end"], stop_tokens=(4,), logit_bias={3: 1.0})
    assert hash(policy) == hash(policy.replace(logit_bias={}))
    assert policy.replace(top_k=5).top_k == 5
    assert policy.replace(top_k=5) != policy
    sample(LOGITS, policy, history(), 0.5)
    assert pickle.loads(pickle.dumps(policy)) == copy.deepcopy(policy) == policy
    assert SamplingPolicy.greedy(stop="x") == SamplingPolicy(temperature=0, stop=("x",))
    with pytest.raises(PolicyError):
        policy.replace(top_p=2)
    with pytest.raises(AttributeError):
        policy.top_p = 0.5

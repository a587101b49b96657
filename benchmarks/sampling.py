"""Median microseconds to sample one token, by policy and vocabulary: a table, then one JSON line.

Run: python benchmarks/sampling.py [--calls 200]. "peaked" logits are a trained model's, "flat" an untrained one's.
"""

import argparse
import json
import platform
import statistics
import time

import numpy as np

from pynanochat.philox import uniform
from pynanochat.sampling import History, SamplingPolicy, sample, top_logprobs

VOCABULARIES = (2048, 32768, 65536)
POLICIES = {
    "Greedy": SamplingPolicy.greedy(),
    "Temperature 0.8": SamplingPolicy(temperature=0.8),
    "TopK 50": SamplingPolicy(top_k=50),
    "TopP 0.95": SamplingPolicy(top_p=0.95),
    "TempTopK 0.8 50": SamplingPolicy(temperature=0.8, top_k=50),
    "TempTopP 0.8 0.95": SamplingPolicy(temperature=0.8, top_p=0.95),
    "TempTopKTopP 0.8 50 0.95": SamplingPolicy(temperature=0.8, top_k=50, top_p=0.95),
    "MinP 0.05": SamplingPolicy(min_p=0.05),
    "TopK 50 and all penalties": SamplingPolicy(
        top_k=50, repetition_penalty=1.1, presence_penalty=0.5, frequency_penalty=0.5, logit_bias={7: -1.0}),
}


def logits(kind, vocab_size):
    row = np.random.default_rng(0).standard_normal(vocab_size).astype(np.float32)
    if kind == "flat":
        return row
    row = 15 * np.tanh(row / 5)  # under a softcap, with a few likely tokens
    row[:: vocab_size // 16] += np.linspace(8, 14, row[:: vocab_size // 16].size, dtype=np.float32)
    return row


def median_us(call, calls):
    for _ in range(5):
        call(0)
    times = []
    for i in range(calls):
        start = time.perf_counter()
        call(i)
        times.append(time.perf_counter() - start)
    return round(1e6 * statistics.median(times), 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200)
    calls = parser.parse_args().calls
    results = {"uniform": median_us(lambda i: uniform(7, 0, i), calls)}
    print(f"{'microseconds, median':34}" + "".join(f"{f'V={v}':>10}" for v in VOCABULARIES))
    for kind in ("peaked", "flat"):
        rows = {v: logits(kind, v) for v in VOCABULARIES}
        histories = {v: History(v, range(1000)) for v in VOCABULARIES}
        cases = {
            name: {v: median_us(lambda i, v=v, p=policy, rows=rows, histories=histories: sample(
                rows[v], p, histories[v], uniform(7, 0, i)), calls) for v in VOCABULARIES}
            for name, policy in POLICIES.items()
        }
        cases["top_logprobs of 5"] = {
            v: median_us(lambda i, v=v, rows=rows: top_logprobs(rows[v], i, 5), calls) for v in VOCABULARIES}
        for name, by_vocab in cases.items():
            print(f"{kind:8}{name:26}" + "".join(f"{us:10.1f}" for us in by_vocab.values()))
            results[f"{kind}, {name}"] = by_vocab
    print(json.dumps({"benchmark": "sampling", "unit": "us", "calls": calls, "python": platform.python_version(),
                      "numpy": np.__version__, "machine": platform.machine(), "results": results}))


if __name__ == "__main__":
    main()

"""Tokens per second on their way to training, and what becomes of them: a table, then one JSON line.

Run: python benchmarks/training_rows.py [--rounds 5] [--rows 512] [--row-tokens 2048] [--processes 2]

Rows of our loader beside two plain ways over the same documents: a stream cut anywhere, and the best fit that crops
what does not fit, which looks through a window of 1,000 documents for each place, as upstream describes its own. Then
texts to shards in one process and in several. The rounds ask all in turn; medians, ratios of each round's own.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from pynanochat.cores import cores
from pynanochat.tokenizer import SPECIAL_TOKENS, Tokenizer
from pynanochat.train import shards
from pynanochat.train.loader import Loader
from pynanochat.train.plan import Plan
from pynanochat.train.texts import Document

WINDOW = 1000
WORDS = ("the", "cat", "garden", "walked", "into", "yellow", "house", "and", "found", "little", "stone", "river")


def documents(count, mean):
    rng = np.random.default_rng(0)
    for number, length in enumerate(np.maximum(rng.lognormal(np.log(mean), 1.0, count), 4).astype(int)):
        yield Document(text=f"{number} " + " ".join(np.take(WORDS, rng.integers(len(WORDS), size=length))))


def words():
    """A tokenizer with a token for each of the words."""
    ranks = {bytes([byte]): byte for byte in range(256)}
    for word in WORDS:
        for end in range(2, len(word) + 2):
            ranks.setdefault(f" {word}".encode()[:end], len(ranks))
    return Tokenizer(ranks, {name: len(ranks) + place for place, name in enumerate(SPECIAL_TOKENS)})


def cropped(split, places, rows, bos):
    """Rows by the best fit in a window, and the tokens dropped for them."""
    order = iter(np.random.default_rng(1).permutation(split.documents).tolist() * 100)
    window, dropped = [], 0
    made = np.full((rows, places), bos, np.int64)
    for row in range(rows):
        at = 0
        while at < places:
            while len(window) < WINDOW:
                window.append(split.document(next(order))[0])
            free, best, longest = places - at, -1, 0
            for index, tokens in enumerate(window):
                if longest < len(tokens) <= free:
                    best, longest = index, len(tokens)
            if best < 0:
                best = min(range(len(window)), key=lambda index: len(window[index]))
            tokens = window.pop(best)
            dropped += max(0, len(tokens) - free)
            made[row, at : at + len(tokens)] = tokens[:free]
            at += min(free, len(tokens))
    return made, dropped


def stream(split, places, rows):
    """Rows of all documents one after the other, each document's tokens copied once."""
    order = np.random.default_rng(1).permutation(split.documents).tolist() * 100
    made, at = np.empty(rows * places, np.int64), 0
    for number in order:
        tokens = split.document(number)[0][: len(made) - at]
        made[at : at + len(tokens)] = tokens
        at += len(tokens)
        if at == len(made):
            break
    return made.reshape(rows, places)


def timed(call):
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--row-tokens", type=int, default=2048)
    parser.add_argument("--mean-tokens", type=int, default=450)
    parser.add_argument("--processes", type=int, default=max(2, cores()))
    options = parser.parse_args()
    places, rows = options.row_tokens + 1, options.rows
    texts = list(documents(3 * rows * options.row_tokens // options.mean_tokens, options.mean_tokens))
    tokenizer, rates, dropped = words(), {}, 0
    with tempfile.TemporaryDirectory() as name:
        for _ in range(options.rounds):
            for processes in (1, options.processes):
                seconds, index = timed(lambda n=processes: shards.write(Path(name, "d"), texts, tokenizer, processes=n))
                rates.setdefault(f"write, {processes} processes", []).append(
                    sum(shard.tokens for shard in index.shards) / seconds)
            opened = shards.open(Path(name, "d"))
            split = opened.split("train")

            def ours(opened=opened):
                loader = Loader(opened, row_tokens=options.row_tokens, step_rows=16, seed=1)
                return [loader.next() for _ in range(rows // 16)]

            for what, call in (("loader", ours), ("stream", lambda s=split: stream(s, places, rows)),
                               ("cropped", lambda s=split: cropped(s, places, rows, tokenizer.bos))):
                seconds, result = timed(call)
                rates.setdefault(what, []).append(rows * options.row_tokens / seconds)
                if what == "cropped":
                    dropped = result[1] / (result[1] + rows * places)
        plan, filled, made, start = Plan(opened, "train", options.row_tokens, 1), 0, 0, 0
        while start < len(plan.order(0)):
            window = plan.window(0, start)
            start, made = window.end, made + len(window.rows)
            filled += sum(piece.places for row in window.rows for piece in row)
    medians = {what: statistics.median(found) for what, found in rates.items()}
    for what, rate in medians.items():
        print(f"{what:24}{rate / 1e6:10.2f} M tokens/s")
    ratio = statistics.median(a / b for a, b in zip(rates["loader"], rates["cropped"], strict=True))
    several = f"write, {options.processes} processes"
    gain = statistics.median(a / b for a, b in zip(rates[several], rates["write, 1 processes"], strict=True))
    padded = 1 - filled / (made * places)
    print(f"loader: {padded:.2%} of the places padded, nothing dropped; cropped: {dropped:.1%} of the tokens dropped")
    print(json.dumps({
        "benchmark": "training_rows", "row_tokens": options.row_tokens, "rows": rows, "rounds": options.rounds,
        "documents": len(texts), "mean_tokens": float(split.lengths.mean()),
        "tokens_per_second": {what: round(rate) for what, rate in medians.items()},
        "loader_to_cropped": round(ratio, 2), "write_gain_of_processes": round(gain, 2), "padded": round(padded, 5),
        "dropped_by_cropping": round(dropped, 4), "cores": cores(), "load": os.getloadavg()[0],
        "python": platform.python_version(), "numpy": np.__version__}))


if __name__ == "__main__":
    main()

"""What share of the MLP's second matrices a decoded token reads: lines of 64 bytes that meet a hidden unit above zero.

Run: python benchmarks/zero_lines.py [--model PATH] [--tokens 250]. A table, one JSON line last. The text is the model's
own, from "Once upon a time" at temperature 0.8; every token is decoded alone, on the cpu backend, wave by wave.
"""

import argparse
import json

import numpy as np

import pynanochat as nc
from pynanochat import checkpoint
from pynanochat.backends.cpu.runner import CpuRunner
from pynanochat.batch import NO_TOKEN, PAGE_TOKENS, Batch, Span
from pynanochat.runner import sequence_pages

COLUMNS = {"q8": 4, "q4": 8}  # of a line


def shares(llm: nc.LLM, quantize: str, tokens: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """(tokens, layers) shares of lines and of hidden units that are in use."""
    cfg = llm.config
    tensors = checkpoint.quantized(cfg, llm.checkpoint.tensors, quantize)
    pages = sequence_pages(cfg, llm.context, 1)
    runner = CpuRunner(cfg, tensors.__getitem__, context=llm.context, pages=pages)
    table = [[page % count for page in range(-(-llm.context // PAGE_TOKENS))] for count in pages]
    lines, units = [], []
    for position, token in enumerate(tokens):
        before = tokens[position - 1] if position else NO_TOKEN
        team, _ = runner.prepare(Batch.of([Span([token], before, position, table, 1)]))
        for number, wave in enumerate(runner.plan.waves):
            team.run(number, number + 1)
            for call in runner.plan.calls[wave.first : wave.end]:
                if call.out is not None and runner.plan.buffers[call.out.buffer].kind == "sparse":
                    hidden = runner.read(call.out.buffer, 1)[0] != 0
                    units.append(hidden.mean())
                    lines.append(hidden.reshape(-1, COLUMNS[quantize]).any(1).mean())
    return np.reshape(lines, (len(tokens), -1)), np.reshape(units, (len(tokens), -1))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--model", default="tests/fixtures/story5m", help="a float checkpoint")
    options.add_argument("--tokens", type=int, default=250)
    asked = options.parse_args()
    llm = nc.load(asked.model, backend="cpu")
    start = llm.encode("Once upon a time")
    said = llm.generate(start, asked.tokens - len(start), temperature=0.8, seed=3, tools=False).tokens
    tokens, results = [*start, *said], {}
    print(f"{'format':<8}{'units':>8}{'lines':>8}   lines by layer")
    for quantize in COLUMNS:
        lines, units = shares(llm, quantize, tokens)
        by_layer = lines.mean(0).round(3).tolist()
        results[quantize] = {"units": round(units.mean(), 4), "lines": round(lines.mean(), 4), "by_layer": by_layer}
        layers = " ".join(f"{share:.0%}" for share in by_layer)
        print(f"{quantize:<8}{units.mean():>8.1%}{lines.mean():>8.1%}   {layers}")
    print(json.dumps({"benchmark": "zero_lines", "model": llm.checkpoint.path.name, "tokens": len(tokens),
                      "results": results}))


if __name__ == "__main__":
    main()

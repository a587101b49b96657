"""Milliseconds of an optimizer step: MuonAdamW with its polar factor in float32 and bfloat16, and torch's AdamW.

Run: python benchmarks/optimizer.py [--layers 6] [--width 256] [--vocabulary 4096] [--rounds 9] [--threads 1]. The
three take turns on the same gradients; medians, ratios to float32, and one JSON line last.
"""

import argparse
import json
import statistics
import time

import torch

from pynanochat.config import GPTConfig
from pynanochat.distributed.processes import Processes
from pynanochat.train.config import TrainConfig
from pynanochat.train.optimizer import MuonAdamW
from pynanochat.train.parameter_groups import parameter_groups
from pynanochat.weights import tensor_shapes


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    heads = max(1, asked.width // 64)
    cfg = GPTConfig(n_layer=asked.layers, n_embd=asked.width, n_head=heads, n_kv_head=heads, sequence_len=512,
                    vocab_size=asked.vocabulary)
    groups = parameter_groups(cfg, TrainConfig(network=cfg, steps=1))
    gradients = {name: torch.randn(shape) for name, shape in tensor_shapes(cfg).items()}

    def parameters():
        return {name: torch.nn.Parameter(torch.randn(shape) / 16) for name, shape in tensor_shapes(cfg).items()}

    def ours(polar):
        own = parameters()
        optimizer = MuonAdamW(own, groups, Processes.alone(), polar=polar)
        return own, lambda: optimizer.step(1.0, 0.95, 0.1)

    theirs = parameters()
    runs = {"float32": ours(torch.float32), "bfloat16": ours(torch.bfloat16),
            "torch AdamW": (theirs, torch.optim.AdamW(theirs.values(), fused=True).step)}
    taken = {name: [] for name in runs}
    for _ in range(asked.rounds + 1):
        for name, (own, step) in runs.items():
            for key, parameter in own.items():
                parameter.grad = gradients[key].clone()
            start = time.perf_counter()
            step()
            taken[name].append((time.perf_counter() - start) * 1e3)
    medians = {name: statistics.median(times[1:]) for name, times in taken.items()}
    for name, median in medians.items():
        print(f"{name:<12}{median:8.1f} ms  {median / medians['float32']:.2f}")
    print(json.dumps({"benchmark": "optimizer", "parameters": sum(g.numel() for g in gradients.values()),
                      "threads": asked.threads} | {f"{name}_ms": round(ms, 2) for name, ms in medians.items()}))


if __name__ == "__main__":
    main()

"""Resident megabytes of a model that answers: a random network from a native folder, in a process of its own.

Run: python benchmarks/memory.py [--depth 20] [--quantize q4] [--context 1024]. The folder (1.2 GB for a d20) is made in
a temporary place and removed. A prompt fills the context but for 120 tokens, which are decoded. Linux; one JSON line
last.
"""

import argparse
import json
import subprocess
import sys
import tempfile

from pynanochat import checkpoint
from pynanochat.bench.model import network_of_depth, random_model

DECODED = 120
CHILD = """
import json, sys
import pynanochat as nc
from pynanochat.bench.memory import Resident
folder, context, decoded = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
llm = nc.load(folder, context=context, backend="cpu")
loaded = Resident.measure()
output = llm.generate([5 + n % 900 for n in range(context - decoded)], decoded, temperature=0, tools=False)
after = Resident.measure()
print(json.dumps({"loaded_bytes": loaded.now_bytes, "resident_bytes": after.now_bytes,
                  "peak_bytes": after.peak_bytes, "decoded": len(output.tokens), "dtype": llm.backend.dtype}))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--quantize", choices=("q8", "q4"), default="q4")
    parser.add_argument("--context", type=int, default=1024)
    asked = parser.parse_args()
    cfg = network_of_depth(asked.depth)
    model = random_model(f"d{asked.depth}", cfg, "bfloat16", asked.quantize)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model"
        checkpoint.save(path, config=cfg, tensors=model.tensors, tokenizer=None, format="native", meta={})
        command = [sys.executable, "-c", CHILD, path, str(asked.context), str(DECODED)]
        subprocess.run(command, check=True, capture_output=True)  # compiles, which takes memory of its own
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    for name in ("loaded", "resident", "peak"):
        print(f"{name:<10}{found[f'{name}_bytes'] / 1e6:8.0f} MB")
    print(json.dumps({"benchmark": "memory", "depth": asked.depth, "context": asked.context} | found))


if __name__ == "__main__":
    main()

"""How far each backend is from what the original code computed, for every checkpoint of the parity fixtures.

NANOCHAT_PARITY names the whole folder; without it the part in tests/fixtures is used. A table, one JSON line last.
"""

import argparse
import json
import os
import platform
from pathlib import Path

import numpy as np

import pynanochat as nc

ROOT = Path(os.environ.get("NANOCHAT_PARITY") or Path(__file__).parents[1] / "tests" / "fixtures")
TOLD = {"g2b_2026-03-03_softcap20": {"softcap": 20.0}}  # what its tensors cannot show


def measure(folder: Path, backend: str, dtype: str) -> dict[str, float]:
    """Largest difference of logits, in short and long contexts, and greedy tokens that differ."""
    sizes = json.loads((folder / "info.json").read_text())["model_config"]
    llm = nc.load(folder, backend=backend, dtype=dtype, context=10 * sizes["sequence_len"], cache_bytes=1 << 25,
                  tokenizer=ROOT / f"tokenizer_{sizes['vocab_size']}", **TOLD.get(folder.name, {}))
    with np.load(folder / "expected.npz") as wanted:
        short = max(np.abs(llm.logits(idx) - logits).max()
                    for idx, logits in zip(wanted["idx"], wanted["logits"], strict=True))
        long = np.abs(llm.logits(wanted["idx_long"][0])[wanted["long_positions"]] - wanted["logits_long"]).max()
    cases = json.loads((folder / "greedy.json").read_text())["greedy"]
    different = tokens = 0
    for case in cases:
        output = llm.generate(case["prompt"], case["max_tokens"], temperature=0)
        found = output.tokens + [output.end_token] * (output.end_token is not None)
        tokens += len(case["tokens"])
        same = next((i for i, pair in enumerate(zip(found, case["tokens"], strict=False)) if pair[0] != pair[1]),
                    min(len(found), len(case["tokens"])))
        different += len(case["tokens"]) - same  # from the first difference on
    return {"logits": float(short), "logits_long": float(long), "greedy_different": different, "greedy_tokens": tokens}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--backend", action="append", help="name:dtype, may be given again; default all on the CPU")
    asked = options.parse_args().backend or ["cpu:float32", "reference:float32", "reference:float64", "torch:float32",
                                             "torch:bfloat16"]
    folders = sorted((ROOT / "models").iterdir())
    results: dict[str, dict[str, dict[str, float]]] = {}
    print(f"{'backend':<20}{'checkpoint':<34}{'logits':>10}{'long':>10}{'greedy different':>20}")
    for name in asked:
        backend, _, dtype = name.partition(":")
        for folder in folders:
            found = results.setdefault(name, {})[folder.name] = measure(folder, backend, dtype or "float32")
            print(f"{name:<20}{folder.name:<34}{found['logits']:>10.1e}{found['logits_long']:>10.1e}"
                  f"{found['greedy_different']:>12} of {found['greedy_tokens']}")
    worst = {name: {"logits": max(max(one["logits"], one["logits_long"]) for one in found.values()),
                    "greedy_different": sum(one["greedy_different"] for one in found.values()),
                    "greedy_tokens": sum(one["greedy_tokens"] for one in found.values())}
             for name, found in results.items()}
    print(json.dumps({"benchmark": "parity", "machine": platform.platform(), "python": platform.python_version(),
                      "checkpoints": len(folders), "worst": worst, "results": results}))


if __name__ == "__main__":
    main()

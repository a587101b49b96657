"""What refusing hostile files costs: seconds and MiB above the file's own size, each file in a fresh process.

Run: python benchmarks/hostile_files.py [--all]. A table of the dearest files on stderr, one JSON line on stdout.
The promise: at most 1 s + 1 s per GB and 64 MiB above the file's size.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent / "tests" / part) for part in ("checkpoint", "")]
import hostile_corpus  # noqa: E402
import numpy as np  # noqa: E402

from pynanochat import checkpoint  # noqa: E402
from pynanochat.checkpoint import torch_file  # noqa: E402
from pynanochat.config import GPTConfig  # noqa: E402
from pynanochat.tensor import Tensor  # noqa: E402
from pynanochat.weights import tensor_shapes  # noqa: E402

WEIGHTS = {"native": "model.safetensors", "nanochat": "model_000000.pt"}
MIB = 1 << 20
ADDRESS_SPACE = 2 << 30  # beyond what is in use: a refusal that asked for more would end as a MemoryError


def size_of(path: Path) -> int:
    """Bytes of a file, or of the files of a folder; links and pipes count nothing."""
    files = [path] if path.is_file() else [p for p in path.iterdir() if p.is_file() and not p.is_symlink()]
    return sum(file.stat().st_size for file in files)


def status(field: str) -> int:
    """A field of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0


def measure(path: Path) -> dict[str, object]:
    """Verdict, seconds and the most memory above the start, in a child process."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts again from here
        space = status("VmSize") + ADDRESS_SPACE
        resource.setrlimit(resource.RLIMIT_AS, (space, space))
        before, start = status("VmRSS"), time.perf_counter()
        try:
            hostile_corpus.read(path)
            verdict = "accepted"
        except hostile_corpus.NanochatError as error:
            verdict = type(error).__name__
        except BaseException as error:
            verdict = f"CRASH {type(error).__name__}"
        seconds = time.perf_counter() - start
        os.write(write_end, json.dumps([verdict, seconds, status("VmHWM") - before]).encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    verdict, seconds, memory = json.loads(answer) if answer else ("CRASH", 0.0, 0)
    size = size_of(path)
    return {"verdict": verdict, "seconds": seconds, "mib_above": max(0, memory - size) / MIB, "mib": size / MIB}


def large(root: Path) -> list[str]:
    """Models of 256 MiB whose last number is damaged, so that all of the file has to be read to refuse it; a record
    of 100 MB of nothing; tokenizers of 60 MB and of just as many values as are read.
    """
    cfg = GPTConfig(sequence_len=32, vocab_size=32768, n_layer=1, n_head=2, n_kv_head=1, n_embd=800)
    tensors = {name: Tensor.of(np.ones(shape, np.float32)) for name, shape in tensor_shapes(cfg).items()}
    for kind in ("native", "nanochat"):
        for damage in ("flipped", "nan"):
            folder = root / "large" / f"{kind}-{damage}"
            weights = checkpoint.save(folder, config=cfg, tensors=tensors, format=kind) / WEIGHTS[kind]
            if damage == "flipped":
                with weights.open("r+b") as file:
                    file.seek(-5000, os.SEEK_END)
                    file.write(b"\x01")
            elif kind == "nanochat":
                state = torch_file.read(weights)
                bad = state["lm_head.weight"].data.copy()
                bad[-1, -1] = np.nan
                weights.unlink()
                with weights.open("xb") as file:
                    torch_file.write(file, state | {"lm_head.weight": Tensor.of(bad)})
            else:
                with weights.open("r+b") as file:
                    file.seek(-4, os.SEEK_END)
                    file.write(np.float32(np.nan).tobytes())
                config = json.loads((folder / "config.json").read_text())
                own = hashlib.sha256(weights.read_bytes()).hexdigest()
                config["sha256"] |= {"config.json": "0" * 64, weights.name: own}
                text = json.dumps(config)
                (folder / "config.json").write_text(text.replace("0" * 64, hashlib.sha256(text.encode()).hexdigest()))
    record = root / "large" / "burn-nils"
    record.mkdir()
    (record / "config.json").write_bytes((root / "folders" / ".sound" / "burn" / "config.json").read_bytes())
    (record / "model.mpk").write_bytes(b"\xdd\x05\xf5\xe1\x00" + b"\xc0" * 100_000_000)
    for name, count in (("60MB", 20_000_000), ("values", 799_998)):
        (root / "large" / f"tokenizer-{name}.json").write_bytes(b"[" + b"[]," * count + b"[]]")
    return [f"large/{path.name}" for path in sorted((root / "large").iterdir())]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        child = os.fork()  # so that the memory that building needs is not there to be used again
        if child == 0:
            (root / "names.json").write_text(json.dumps(hostile_corpus.build(root) + large(root)))
            os._exit(0)
        os.waitpid(child, 0)
        names = json.loads((root / "names.json").read_text())
        (root / "warm.pkl").write_bytes(b"N.")
        for name in ("warm.pkl", "folders/.sound/native"):  # what is imported late is imported before
            with contextlib.suppress(hostile_corpus.NanochatError):
                hostile_corpus.read(root / name)
        results = {name: measure(root / name) for name in names}
    ranked = sorted(results, key=lambda name: -max(results[name]["seconds"], results[name]["mib_above"] / 64))
    shown = ranked if "--all" in sys.argv else ranked[:25]
    print(f"{'file':58} {'MiB':>7} {'seconds':>8} {'MiB above':>10}  verdict", file=sys.stderr)
    for name in shown:
        r = results[name]
        print(f"{name:58} {r['mib']:7.2f} {r['seconds']:8.3f} {r['mib_above']:10.1f}  {r['verdict']}", file=sys.stderr)
    late = [name for name, r in results.items() if r["seconds"] > 1 + r["mib"] * MIB / 1e9]
    fat = [name for name, r in results.items() if r["mib_above"] > 64]
    wrong = [name for name, r in results.items() if "CRASH" in str(r["verdict"]) or r["verdict"] == "accepted"]
    print(json.dumps({
        "benchmark": "hostile_files", "machine": platform.platform(), "python": platform.python_version(),
        "files": len(results), "not_refused": wrong, "over_1_s": late, "over_64_mib": fat,
        "max_seconds": round(max(r["seconds"] for r in results.values()), 3),
        "max_mib_above": round(max(r["mib_above"] for r in results.values()), 1),
    }))


if __name__ == "__main__":
    main()

"""Tokens per second on this CPU beside llama.cpp and transformers, side by side in one run.

Run: python benchmarks/cpu_peers.py --peers-python PYTHON [--shapes d12,d20] [--formats q8,q4,f32] [--kernels amx,plain]

PYTHON is of an environment with llama-cpp-python, gguf, transformers and torch; without it pynanochat races alone.
Every contestant is a process that lives through the run. Each round asks all of them, one at a time and in a new order,
so that a busy moment of the machine falls on all. Medians over the rounds; ratios are medians of each round's own. All
have random weights of one shape, and read as many of them for a token. A table, one JSON line last.
"""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from pynanochat.bench.machine import Machine
from pynanochat.bench.model import network_of_depth
from pynanochat.bench.roofline import read_bandwidth
from pynanochat.cores import cores

HERE = Path(__file__).parent
FORMATS = {  # ours, then the peers that hold weights in as many bits
    "q8": (["--quantize", "q8"], [("llama.cpp Q8_0", "llama.py", ["--type", "Q8_0"])]),
    "q4": (["--quantize", "q4"], [("llama.cpp Q4_0", "llama.py", ["--type", "Q4_0"])]),
    "f32": (["--dtype", "float32"], [("transformers float32", "huggingface.py", ["--dtype", "float32"]),
                                     ("llama.cpp F32", "llama.py", ["--type", "F32"])]),
    "bf16": (["--dtype", "bfloat16"], [("transformers bfloat16", "huggingface.py", ["--dtype", "bfloat16"]),
                                       ("llama.cpp BF16", "llama.py", ["--type", "BF16"])]),
}
TORCH = {"f32": "float32", "bf16": "bfloat16"}
REST_SECONDS = 0.05  # between contestants, so that threads which spin for work have gone to sleep


@dataclass
class Contestant:
    """A worker process and what it has reached, tokens per second of each round by measure."""

    name: str
    format: str
    ours: bool
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    facts: dict = field(default_factory=dict)
    rates: dict = field(default_factory=dict)

    def start(self):
        """The reason why it cannot take part; empty if it can."""
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        stderr=subprocess.DEVNULL, env=os.environ | self.environment)
        answer = self._read()
        self.facts = answer.get("ready", {})
        return answer.get("error") or self.ask(command="decode", tokens=2).get("error", "")

    def ask(self, **command):
        """The answer to a command."""
        print(json.dumps(command), file=self.process.stdin, flush=True)
        return self._read()

    def run(self, measure, tokens_a_step, **command):
        """Ask for a measure and keep the rate of its median step."""
        answer = self.ask(**command)
        if "seconds" not in answer:
            raise SystemExit(f"{self.name}, asked for {command}: {answer.get('error')}")
        self.rates.setdefault(measure, []).append(tokens_a_step / statistics.median(answer["seconds"]))

    def stop(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def _read(self):
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"error": f"the process ended with {self.process.wait()}"}


def contestants(shape, options):
    """All that were asked for, of one shape."""
    cfg = network_of_depth(int(shape[1:]))
    sizes = ["--shape", f"{shape},{cfg.n_layer},{cfg.n_embd},{cfg.n_head},{cfg.vocab_size}"]
    room = ["--batch", str(options.batch), "--steps", str(options.steps)]
    as_many = ["--threads", str(options.threads)]
    ours = [sys.executable, str(HERE / "peers" / "ours.py"), "--depth", shape[1:], *room]
    found = []
    for form in options.formats:
        own, peers = FORMATS[form]
        for kernels in options.kernels:
            name = f"pynanochat {form}" + (f" {kernels}" if kernels != "auto" else "")
            command = [*ours, "--backend", options.backend, *own, *(as_many if options.backend == "cpu" else ())]
            found.append(Contestant(name, form, True, command,
                                    {} if kernels == "auto" else {"NANOCHAT_CPU_KERNELS": kernels}))
        if form in TORCH and options.torch:
            found.append(Contestant(f"pynanochat torch {TORCH[form]}", form, False,
                                    [*ours, "--backend", "torch", "--dtype", TORCH[form]]))
        for name, script, arguments in peers if options.peers_python else ():
            command = [options.peers_python, str(HERE / "peers" / script), *sizes, *arguments, *as_many]
            if script == "llama.py":
                command += ["--work", options.work, *room]
                found += [Contestant(f"{name} {build}".strip(), form, False, command,
                                     {"LLAMA_CPP_LIB_PATH": folder} if folder else {})
                          for build, folder in options.llama_builds]
            else:
                found.append(Contestant(name, form, False, command))
    return [one for one in found if not options.only or any(part in one.name for part in options.only)]


def race(racing, options):
    """Run every measure of every round, after one that warms up; what else ran in each."""
    measures = [("decode", 1, {"command": "decode", "tokens": options.steps}),
                ("prefill", options.prompt, {"command": "prefill", "tokens": options.prompt}),
                ("batch", options.batch, {"command": "batch", "rows": options.batch, "tokens": options.steps // 2})]
    others = []
    for turn in range(options.rounds + 1):
        others.append(running_elsewhere())
        for measure, tokens, command in measures:
            if measure not in options.measures:
                continue
            for place in range(len(racing)):
                time.sleep(REST_SECONDS)
                racing[(place + turn) % len(racing)].run(measure, tokens, **command)
        if not turn:
            for one in racing:
                one.rates.clear()
        print(f"round {turn} of {options.rounds}" + f", {others[-1]} other threads running" * (others[-1] > 0),
              file=sys.stderr)
    return others[1:]


def running_elsewhere():
    """How many threads run now besides this one: with any, peers whose threads spin for each other lose most."""
    time.sleep(10 * REST_SECONDS)  # until our own have gone to sleep
    try:
        return int(Path("/proc/loadavg").read_text().split()[3].split("/")[0]) - 1
    except OSError:  # not Linux
        return 0


def ratio(one, other, measure):
    return statistics.median(a / b for a, b in zip(one.rates[measure], other.rates[measure], strict=True))


def told(racing, bandwidth):
    """What the JSON says of the contestants that ran."""
    documents = {}
    for one in racing:
        medians = {measure: statistics.median(rates) for measure, rates in one.rates.items()}
        documents[one.name] = {
            "format": one.format, "facts": one.facts,
            **{f"{measure}_tokens_per_second": round(median, 2) for measure, median in medians.items()},
            "rounds": {measure: [round(rate, 1) for rate in rates] for measure, rates in one.rates.items()}}
        if "bytes_per_token" in one.facts and "decode" in medians:
            share = one.facts["bytes_per_token"] * medians["decode"] / bandwidth
            documents[one.name]["bandwidth_share"] = round(share, 3)
    return documents


def show(shape, racing):
    """The medians, and each of ours as a multiple of each peer of its format."""
    measures = list(racing[0].rates)
    print(f"\n{shape:<30}" + "".join(f"{measure + ', tok/s':>18}" for measure in measures))
    for one in racing:
        print(f"{one.name:<30}" + "".join(f"{statistics.median(one.rates[measure]):>18,.1f}" for measure in measures))
    ratios = {}
    for one in (one for one in racing if one.ours):
        for other in (other for other in racing if not other.ours and other.format == one.format):
            name = f"{one.name} : {other.name}"
            ratios[name] = {measure: round(ratio(one, other, measure), 3) for measure in measures}
            print(f"{name:<56}" + "".join(f"{measure} {value:.2f}x  " for measure, value in ratios[name].items()))
    return ratios


def build_of(text):
    name, _, folder = text.rpartition("=")
    if not Path(folder).is_dir():
        raise argparse.ArgumentTypeError(f"{folder} is no folder; expected NAME=FOLDER")
    return name, folder


def words(text):
    return [word for word in text.split(",") if word]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", type=words, default=["d12"], help="depths, as in d12,d20")
    parser.add_argument("--formats", type=words, default=["q8", "q4", "f32"], help=f"of {','.join(FORMATS)}")
    parser.add_argument("--kernels", type=words, default=["auto"], help="levels of ours, as in auto,avxvnni,plain")
    parser.add_argument("--measures", type=words, default=["decode", "prefill", "batch"])
    parser.add_argument("--only", type=words, default=[], help="contestants whose name holds one of these")
    parser.add_argument("--backend", default="cpu", help="of ours")
    parser.add_argument("--torch", action="store_true", help="our torch backend takes part, too")
    parser.add_argument("--peers-python", help="a Python with llama-cpp-python, gguf, transformers, torch")
    parser.add_argument("--llama-build", action="append", type=build_of, dest="llama_builds", metavar="NAME=FOLDER",
                        help="libraries of llama.cpp other than the package's; may be given again")
    parser.add_argument("--work", default=str(Path(tempfile.gettempdir(), "nanochat-peers")),
                        help="folder of the GGUF files, which are made once")
    parser.add_argument("--threads", type=int, default=cores(), help="of every contestant")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=32, help="of decode in a round; half as many for the batch")
    parser.add_argument("--prompt", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--save", action="store_true", help="append the JSON to benchmarks/results")
    options = parser.parse_args()
    options.llama_builds = options.llama_builds or [("", os.environ.get("LLAMA_CPP_LIB_PATH"))]
    unknown = set(options.formats) - set(FORMATS)
    if unknown:
        parser.error(f"unknown format {unknown.pop()}; expected one of {', '.join(FORMATS)}")
    Path(options.work).mkdir(parents=True, exist_ok=True)
    if not options.peers_python:
        print("no --peers-python: pynanochat races alone", file=sys.stderr)
    bandwidth = read_bandwidth(options.threads)
    results, skipped = {}, {}
    for shape in options.shapes:
        racing = []
        for one in contestants(shape, options):
            reason = one.start()
            print(f"{shape} {one.name}: {reason or 'ready'}", file=sys.stderr)
            if reason:
                skipped[f"{shape} {one.name}"] = reason
            else:
                racing.append(one)
        if not racing:
            continue
        others = race(racing, options)
        for one in racing:
            one.stop()
        results[shape] = {"contestants": told(racing, bandwidth), "ratios": show(shape, racing),
                          "others_running_in_round": others}
    line = json.dumps({
        "benchmark": "cpu_peers", "date": datetime.date.today().isoformat(), "machine": Machine.here().to_dict(),
        "threads": options.threads, "rounds": options.rounds, "steps": options.steps, "prompt": options.prompt,
        "batch": options.batch, "read_bandwidth_bytes_per_second": round(bandwidth), "results": results,
        "skipped": skipped})
    if options.save:
        with (HERE / "results" / f"{datetime.date.today()}-cpu-peers.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    print(line)


if __name__ == "__main__":
    main()

"""Contestant: pynanochat, at the level of its runner: a batch in, logits on the host out."""

import argparse

from worker import PROMPT, serve

from pynanochat.backends import choose
from pynanochat.bench.model import network_of_depth, random_model
from pynanochat.bench.roofline import token_bytes
from pynanochat.bench.timing import timed
from pynanochat.bench.workload import Workload


class Ours:
    """A random network of a depth, with room for a batch and for one long sequence."""

    def __init__(self, options):
        cfg = network_of_depth(options.depth)
        choice = choose(options.backend, options.dtype)
        model = random_model(f"d{options.depth}", cfg, choice.dtype, options.quantize)
        self.alone = Workload(cfg, 1, 512)
        self.together = Workload(cfg, options.batch, PROMPT + options.steps)
        pages = tuple(map(max, self.alone.pages, self.together.pages))
        self.runner = model.open(choice, context=512, pages=pages, threads=options.threads)
        facts = self.runner.facts
        self.facts = {"backend": facts.name, "device": facts.device, "dtype": facts.dtype,
                      "bytes_per_token": token_bytes(cfg, facts, PROMPT)}

    def prefill(self, tokens):
        """One prompt in one step."""
        return timed(self.runner, [self.alone.batch(range(1), 0, tokens)])

    def decode(self, tokens):
        """A token at a time."""
        timed(self.runner, self.alone.fill(0, PROMPT))
        return timed(self.runner, self.alone.decode(1, PROMPT, tokens))

    def batch(self, rows, tokens):
        """A token of each sequence at a time."""
        timed(self.runner, self.together.fill(0, PROMPT))
        return timed(self.runner, self.together.decode(rows, PROMPT, tokens))


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--depth", type=int, required=True)
    options.add_argument("--backend", default="cpu")
    options.add_argument("--dtype")
    options.add_argument("--quantize", choices=("q8", "q4"))
    options.add_argument("--threads", type=int)
    options.add_argument("--batch", type=int, default=8)
    options.add_argument("--steps", type=int, default=32)
    serve(lambda: Ours(options.parse_args()))


if __name__ == "__main__":
    main()

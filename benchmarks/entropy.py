"""How near a model comes to the entropy of the texts that it was trained on, by kind: a table, then one JSON line.

Run: python benchmarks/entropy.py [MODEL] [--samples 1000] [--seed 99]

The generator counts the bits of the choices that make a sample: a bound from above on the text's entropy, which is what
a perfect model is left with. "visible" counts only the choices that leave a trace in the text, and lies closer. Beside
them stand the bits that the model needs for samples it has not seen: all their tokens, those of the conversation's form
included, over the bytes of what is said. A model before its fine-tuning is meant, such as runs/bundled/base; after it,
what users say is no longer learned.
"""

import argparse
import json
import math
from collections import defaultdict

import numpy as np

import pynanochat as nc
from pynanochat.chat import render_conversation
from pynanochat.engine.request import Request
from pynanochat.eval.bits_per_byte import token_nats
from pynanochat.synthetic import mixture
from pynanochat.synthetic.visible import visible_bits

TOGETHER = 16  # sequences in flight
LONGEST = 100_000  # tokens of a sample, before it is cut


def rendered(tokenizer, sample, most):
    """The token ids that training sees, cut where the context ends, and the share of them that is left."""
    if sample.messages is None:
        tokens = [tokenizer.bos, *tokenizer.encode(sample.text)]
    else:
        tokens = render_conversation(tokenizer, sample.messages, LONGEST)[0]
    return tokens[:most + 1], min(1.0, most / (len(tokens) - 1))


def nats(llm, sequences):
    """Of each sequence's tokens after the first, summed."""
    found = [0.0] * len(sequences)

    def request(place, tokens):
        def take(first, logits):
            found[place] += float(token_nats(logits, np.array(tokens[first + 1:first + 1 + len(logits)])).sum())

        return Request(prompt=tuple(tokens[:-1]), max_tokens=0, on_prompt_logits=take)

    llm.run([request(place, tokens) for place, tokens in enumerate(sequences)]).drain()
    return found


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("model", nargs="?")
    options.add_argument("--samples", type=int, default=1000)
    options.add_argument("--seed", type=int, default=99)
    asked = options.parse_args()
    llm = nc.load(asked.model)
    samples = [visible_bits(mixture.drawn, mixture.seed_of(asked.seed, place)) for place in range(asked.samples)]
    sums = defaultdict(lambda: np.zeros(4))  # bits of choices, of visible ones, that the model needs; bytes
    for at in range(0, len(samples), TOGETHER):
        some = samples[at:at + TOGETHER]
        made = [rendered(llm.need_tokenizer(), sample, llm.context) for sample, _ in some]
        needed = nats(llm, [tokens for tokens, _ in made])
        for (sample, visible), (_, share), cost in zip(some, made, needed, strict=True):
            size = len(mixture.text_of(sample).encode("utf-8"))
            for kind in (sample.kind, "all"):
                sums[kind] += (sample.bits * share, visible * share, cost / math.log(2), size * share)
    print(f"{'bits per byte':<16}{'bytes':>10}{'choices':>10}{'visible':>10}{'model':>10}")
    rows = {}
    for kind in sorted(sums, key=lambda kind: (kind == "all", kind)):
        *bits, size = sums[kind]
        choices, visible, needed = (float(value / size) for value in bits)
        rows[kind] = {"bytes": int(size), "choices": round(choices, 4), "visible": round(visible, 4),
                      "model": round(needed, 4)}
        print(f"{kind:<16}{int(size):>10,}{choices:>10.3f}{visible:>10.3f}{needed:>10.3f}")
    print(json.dumps({"benchmark": "entropy", "model": llm.checkpoint.path.name, "seed": asked.seed,
                      "samples": asked.samples, "kinds": rows}))


if __name__ == "__main__":
    main()

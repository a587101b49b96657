"""How sure the model is of each token, and what else it considered."""

import math

import pynanochat as nc

llm = nc.load()
output = llm.generate("Once upon a time, there was a", max_tokens=8, temperature=0, logprobs=3)
for token, found in zip(output.tokens, output.logprobs, strict=True):
    others = ", ".join(f"{llm.tokenizer.decode([i])!r} {math.exp(logprob):.0%}" for i, logprob in found.top)
    print(f"{llm.tokenizer.decode([token])!r:12} {math.exp(found.logprob):4.0%}   of {others}")

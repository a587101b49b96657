"""A sampling rule of your own: a function from logits (V,) and the tokens so far to logits (V,)."""

import numpy as np

import pynanochat as nc

llm = nc.load()
letters = [i for i in range(llm.config.vocab_size) if b"e" in llm.tokenizer.decode_bytes([i])]


def without_e(logits, tokens):
    """No token that holds the letter e."""
    logits[letters] = -np.inf
    return logits


policy = nc.SamplingPolicy(temperature=0.7, top_p=0.9, seed=3, processors=[without_e])
print(llm.generate("Once upon a", max_tokens=30, policy=policy, tools=False).text)

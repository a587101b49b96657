"""The network itself, below engine and front door: operations, weights, a batch and page memory."""

import numpy as np

from pynanochat import checkpoint, model, weights
from pynanochat.batch import NO_TOKEN, Batch, Span
from pynanochat.ops import reference as ops
from pynanochat.rope import rope_tables

opened = checkpoint.open(checkpoint.resolve(None))  # the bundled model
cfg = opened.config
tree = weights.build(cfg, lambda name: opened.tensors[name].numpy(), *rope_tables(cfg, cfg.sequence_len))
cache = ops.KVCache(cfg, pages=(4,), dtype=np.float32)  # one layer group: every window is as long

tokens = [2039, 508, 327]
batch = Batch.of([Span(tokens, NO_TOKEN, 0, [[0]], sampled=1)])  # one sequence, from position 0, on page 0
logits = model.forward(ops, cfg, tree, batch, cache)  # (1, V)
print(logits.shape, "next token:", int(logits[0].argmax()))

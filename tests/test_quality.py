"""Quality by hand: KL, agreement and perplexity of two models on the same tokens, in windows."""

import numpy as np
import pytest

from pynanochat.check.quality import quality
from pynanochat.config import GPTConfig
from pynanochat.errors import RequestError

V = 5


class Words:
    special_tokens = {"<|bos|>": 0}  # noqa: RUF012


class Table:
    """A model whose logits depend on the token alone, and that remembers its windows."""

    def __init__(self, table, context, vocab_size=V):
        self.table, self.context, self.windows = np.asarray(table, np.float32), context, []
        self.config = GPTConfig(sequence_len=8, vocab_size=vocab_size, n_layer=1, n_head=1, n_kv_head=1, n_embd=32)

    def need_tokenizer(self):
        return Words()

    def logits(self, tokens):
        self.windows.append(list(tokens))
        return self.table[np.array(tokens)]


def random(seed, context=3):
    return Table(np.random.default_rng(seed).standard_normal((V, V)), context)


def probabilities(model, token):
    values = np.exp(model.table[token].astype(float))
    return values / values.sum()


def test_by_hand():
    left, right, tokens = random(1), random(2, context=9), [1, 2, 2, 4, 3, 1, 0]
    found = quality(left, right, tokens)
    assert left.windows == right.windows == [[0, 1, 2], [0, 4, 3], [0]]
    pairs = [(0, 1), (1, 2), (2, 2), (0, 4), (4, 3), (3, 1), (0, 0)]
    p, q = ([probabilities(model, before) for before, _ in pairs] for model in (left, right))
    kl = [(a * np.log(a / b)).sum() for a, b in zip(p, q, strict=True)]
    assert found.tokens == 7
    assert found.kl == pytest.approx(np.mean(kl), rel=1e-6)
    assert found.kl_99 == pytest.approx(np.quantile(kl, 0.99), rel=1e-6)
    assert found.top1 == np.mean([a.argmax() == b.argmax() for a, b in zip(p, q, strict=True)])
    surprise = [[-np.log(one[after]) for one, (_, after) in zip(many, pairs, strict=True)] for many in (p, q)]
    assert found.perplexity == pytest.approx(np.exp(np.mean(surprise[0])), rel=1e-6)
    assert found.perplexity_ratio == pytest.approx(np.exp(np.mean(surprise[1]) - np.mean(surprise[0])), rel=1e-6)
    assert found.to_dict()["kl"] == found.kl


def test_a_model_and_itself():
    found = quality(random(1, 200), random(1, 200), [1, 2, 3, 4] * 100)  # more rows than are looked at together
    assert (found.kl, found.top1, found.perplexity_ratio, found.tokens) == (0, 1, 1, 400)


def test_refusals():
    with pytest.raises(RequestError, match="no tokens"):
        quality(random(1), random(1), [])
    with pytest.raises(RequestError, match="5 and 6 tokens"):
        quality(random(1), Table(np.zeros((6, 6)), 3, 6), [1])

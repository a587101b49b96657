"""Weights start as upstream's or the port's, each from the seed and its own name."""

from __future__ import annotations

import math

import pytest

from pynanochat import weights
from pynanochat.config import GPTConfig

torch = pytest.importorskip("torch")

from pynanochat.train.initialization import initialize  # noqa: E402
from pynanochat.train.network import GPT  # noqa: E402

CFG = GPTConfig(sequence_len=32, vocab_size=1024, n_layer=3, n_head=4, n_kv_head=2, n_embd=64)


def started(cfg=CFG, seed=0, kind="nanochat"):
    gpt = GPT(cfg, activations=torch.float32)
    initialize(gpt, seed, kind)
    return gpt.state_dict()


def is_uniform(tensor, low, high):
    width = high - low
    assert low <= tensor.min() < low + 0.1 * width
    assert high - 0.1 * width < tensor.max() <= high
    assert tensor.std().item() == pytest.approx(width / math.sqrt(12), rel=0.15)


def test_nanochats_start() -> None:
    found, s = started(), math.sqrt(3 / 64)
    assert found[weights.WTE].std().item() == pytest.approx(0.8, rel=0.02)
    assert found[weights.LM_HEAD].std().item() == pytest.approx(0.001, rel=0.02)
    for layer in range(3):
        for name in ("attn.c_q", "attn.c_k", "attn.c_v"):
            is_uniform(found[weights.block_tensor(layer, name)], -s, s)
        is_uniform(found[weights.block_tensor(layer, "mlp.c_fc")], -0.4 * s, 0.4 * s)
        for name in ("attn.c_proj", "mlp.c_proj"):
            assert not found[weights.block_tensor(layer, name)].any()
    is_uniform(found[weights.value_embed(2)], -s, s)
    is_uniform(found[weights.block_tensor(2, "attn.ve_gate")], 0, 0.02)
    is_uniform(found[weights.SMEAR_GATE], 0, 0.02)
    torch.testing.assert_close(found[weights.RESID_LAMBDAS], torch.tensor([1.15, 1.10, 1.05]))
    torch.testing.assert_close(found[weights.X0_LAMBDAS], torch.tensor([0.20, 0.125, 0.05]))
    assert found[weights.SMEAR_LAMBDA].item() == 0
    assert found[weights.BACKOUT_LAMBDA].item() == pytest.approx(0.2)


def test_the_ports_start() -> None:
    found, s = started(kind="kaiming"), 0.5 * math.sqrt(3 / 64)
    assert found[weights.WTE].std().item() == pytest.approx(1, rel=0.02)
    is_uniform(found[weights.LM_HEAD], -s, s)
    for name in ("attn.c_q", "attn.c_k", "attn.c_v", "attn.c_proj", "mlp.c_fc"):
        is_uniform(found[weights.block_tensor(1, name)], -s, s)
    is_uniform(found[weights.block_tensor(1, "mlp.c_proj")], -s / 2, s / 2)
    torch.testing.assert_close(found[weights.RESID_LAMBDAS], started()[weights.RESID_LAMBDAS])


def test_bigrams_and_a_single_layer_start_without_a_say() -> None:
    found = started(GPTConfig(sequence_len=32, vocab_size=64, n_layer=1, n_head=1, n_kv_head=1, n_embd=32, bigram=True))
    assert not found[weights.BIGRAM_EMBED].any()
    assert found[weights.RESID_LAMBDAS].tolist() == pytest.approx([1.15])


def test_a_tensor_depends_on_seed_and_name_alone() -> None:
    deeper = GPTConfig(sequence_len=32, vocab_size=1024, n_layer=5, n_head=4, n_kv_head=2, n_embd=64, smear=False)
    one, again, other, larger = started(), started(), started(seed=1), started(deeper)
    for name, tensor in one.items():
        assert torch.equal(tensor, again[name])
        if tensor.ndim == 2 and name in larger:
            assert torch.equal(tensor, larger[name]) or name.startswith("value_embeds")
        if tensor.ndim == 2 and tensor.any():
            assert not torch.equal(tensor, other[name])
    assert not torch.equal(one[weights.block_tensor(0, "attn.c_q")], one[weights.block_tensor(1, "attn.c_q")])


def test_one_fixed_number() -> None:
    """The same on every machine: what a seed means must not change."""
    assert started()[weights.block_tensor(0, "attn.c_q")][0, 0].item() == pytest.approx(-0.14009224, abs=1e-7)

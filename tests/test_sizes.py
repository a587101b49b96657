"""Sizes: the arithmetic equals the tensors of every generation, and numbers computed by hand."""

import math

import pytest

from pynanochat.config import GPTConfig
from pynanochat.errors import ConfigError
from pynanochat.generation import GENERATIONS
from pynanochat.sizes import (
    Sizes,
    bytes_per_token,
    flops_per_token,
    kv_bytes,
    kv_bytes_per_token,
    matmul_parameters,
    parameters,
    training_flops_per_token,
    weight_bytes,
)
from pynanochat.weights import tensor_shapes

DEMO = GPTConfig(  # what nanochat-rs shows
    vocab_size=256, n_layer=4, n_head=4, n_kv_head=2, n_embd=128, sequence_len=128, window_pattern=None,
    lambdas=False, value_embeds=False, smear=False, backout=False)
SMALL = GPTConfig(  # every feature, and a number of rows that is padded
    vocab_size=300, n_layer=5, n_head=4, n_kv_head=2, n_embd=64, sequence_len=1024, window_pattern="SSSL", bigram=True)


def test_the_demo_of_nanochat_rs():
    attention = 4 * (2 * 128 * 128 + 2 * 64 * 128)
    mlp = 4 * 2 * 512 * 128
    assert parameters(DEMO) == {
        "wte": 256 * 128, "value_embeds": 0, "bigram": 0, "attention": attention, "mlp": mlp, "gates": 0, "lambdas": 0,
        "lm_head": 256 * 128, "total": 786_432}
    assert matmul_parameters(DEMO) == 786_432 - 256 * 128
    assert kv_bytes_per_token(DEMO) == 2048
    assert kv_bytes(DEMO, 128) == 128 * 2048
    assert kv_bytes(DEMO, 1280) == 1280 * 2048  # no windows
    assert bytes_per_token(DEMO) == 4 * (786_432 - 256 * 128 + 128)
    assert bytes_per_token(DEMO, 2, 10) == 2 * (753_664 + 128) + 10 * 1024
    assert bytes_per_token(DEMO, 1.0625, 10, bytes_per_value=2) == round(1.0625 * 753_792) + 10 * 1024
    assert flops_per_token(DEMO, 100) == 2 * 753_664 + 4 * 4 * 4 * 32 * 100
    assert training_flops_per_token(DEMO) == 6 * 753_664 + 12 * 4 * 4 * 32 * 128  # nanochat's own formula


def test_every_feature_by_hand():
    kv = 2 * 16
    assert parameters(SMALL) == {
        "wte": 320 * 64,
        "value_embeds": 3 * 320 * kv,  # layers 0, 2 and 4
        "bigram": 5 * 300 * 64,
        "attention": 5 * (2 * 64 * 64 + 2 * kv * 64),
        "mlp": 5 * 2 * 256 * 64,
        "gates": 3 * 2 * 12 + 24,
        "lambdas": 5 + 5 + 5 + 1 + 1,
        "lm_head": 320 * 64,
        "total": sum(math.prod(shape) for shape in tensor_shapes(SMALL).values()),
    }
    matrices = 61_440 + 163_840 + 96 + 20_480
    assert matmul_parameters(SMALL) == matrices
    assert bytes_per_token(SMALL, 1) == matrices + 17 + 64 + 64 + 3 * kv


@pytest.mark.parametrize("name", GENERATIONS)
def test_groups_hold_every_tensor_of_every_generation(name):
    constants = GENERATIONS[name].constants
    cfg = GPTConfig(vocab_size=500, n_layer=6, n_head=6, n_kv_head=3, n_embd=96, **constants)
    groups, shapes = parameters(cfg), tensor_shapes(cfg)
    total = groups.pop("total")
    assert total == sum(groups.values()) == sum(math.prod(shape) for shape in shapes.values())
    matrices = sum(math.prod(shape) for name, shape in shapes.items()
                   if len(shape) == 2 and "embed" not in name and "wte" not in name)
    assert matmul_parameters(cfg) == matrices
    assert groups["lambdas"] == sum(shape[0] for shape in shapes.values() if len(shape) == 1)
    assert (groups["value_embeds"] > 0, groups["bigram"] > 0) == (cfg.value_embeds, cfg.bigram)


def test_windows_bound_the_cache_and_the_work():
    assert SMALL.short_window == 256
    windows = [SMALL.window(layer) for layer in range(5)]
    assert windows == [256, 256, 256, 1024, 1024]
    per_layer = 2 * 2 * 16 * 4
    assert kv_bytes(SMALL, 0) == 0
    assert kv_bytes(SMALL, 257) == 5 * 257 * per_layer == 257 * kv_bytes_per_token(SMALL)
    assert kv_bytes(SMALL, 258) == (3 * 257 + 2 * 258) * per_layer
    assert kv_bytes(SMALL, 5000) == (3 * 257 + 2 * 1025) * per_layer
    assert kv_bytes(SMALL, 5000, bytes_per_value=0.5) == (3 * 257 + 2 * 1025) * per_layer // 8
    seen = 3 * 257 + 2 * 1000
    assert flops_per_token(SMALL, 1000) == 2 * matmul_parameters(SMALL) + 4 * 64 * seen
    assert training_flops_per_token(SMALL, 1000) == 3 * flops_per_token(SMALL, 1000)
    assert training_flops_per_token(SMALL) == 3 * flops_per_token(SMALL, 1024)


def test_sizes_gathers_them():
    sizes = Sizes.of(SMALL, "bfloat16", 400)
    assert (sizes.dtype, sizes.context) == ("bfloat16", 400)
    assert sizes.parameters == parameters(SMALL)
    assert sizes.weight_bytes == 2 * parameters(SMALL)["total"]
    assert sizes.kv_bytes_per_token == kv_bytes_per_token(SMALL, 2)
    assert sizes.kv_bytes == kv_bytes(SMALL, 400, 2)
    assert sizes.bytes_per_token == bytes_per_token(SMALL, 2, 400)
    assert sizes.flops_per_token == flops_per_token(SMALL, 400)
    assert sizes.training_flops_per_token == training_flops_per_token(SMALL, 400)
    assert Sizes.of(SMALL).context == 1024
    with pytest.raises(ConfigError, match=r"dtype is 'int3'; expected one of float64.*, q8, q4"):
        Sizes.of(SMALL, "int3")
    with pytest.raises(ConfigError, match="context"):
        kv_bytes(SMALL, -1)


@pytest.mark.parametrize(("kind", "codes"), [("q8", 1), ("q4", 0.5)])
def test_quantised_weights_count_with_their_scales(kind, codes):
    matrices = 61_440 + 163_840 + 20_480  # without the gates
    size = matrices * codes + matrices // 64 * 2  # every row is whole groups of 64
    total = parameters(SMALL)["total"]
    for rest, width in (("float32", 4), ("bfloat16", 2)):
        sizes = Sizes.of(SMALL, kind, 400, rest=rest)
        assert sizes.weight_bytes == weight_bytes(SMALL, width, kind) == size + (total - matrices) * width
        assert sizes.kv_bytes == kv_bytes(SMALL, 400, 2)
        assert sizes.bytes_per_token == size + (96 + 17 + 64 + 64 + 3 * 32) * width + kv_bytes(SMALL, 400, 2)
        assert sizes.bytes_per_token == bytes_per_token(SMALL, width, 400, 2, kind)
        assert (sizes.dtype, sizes.parameters) == (kind, parameters(SMALL))
    assert weight_bytes(SMALL) == 4 * total

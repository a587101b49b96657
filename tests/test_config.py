"""GPTConfig: upstream's rules where a field is left out, and one clear word for numbers that describe no network."""

from __future__ import annotations

import pytest

from pynanochat.config import GPTConfig
from pynanochat.errors import ConfigError, UnsupportedError
from pynanochat.generation import GENERATIONS, detect, name_of
from pynanochat.weights import tensor_shapes


def test_upstreams_rules() -> None:
    cfg = GPTConfig(sequence_len=2048, vocab_size=50257, n_embd=768)
    assert (cfg.n_inner, cfg.padded_vocab_size, cfg.short_window, cfg.head_dim) == (3072, 50304, 512, 128)
    assert [cfg.window(i) for i in range(12)] == [512, 512, 512, 2048] * 3
    assert cfg.layer_groups() == ((2048, (3, 7, 11)), (512, (0, 1, 2, 4, 5, 6, 8, 9, 10)))
    assert [i for i in range(12) if cfg.has_value_embed(i)] == [1, 3, 5, 7, 9, 11]
    assert GPTConfig(sequence_len=100).short_window == 128


def test_a_config_survives_being_written_down() -> None:
    cfg = GPTConfig(n_layer=3, window_pattern=None, softcap=20.0)
    assert GPTConfig.from_dict(cfg.to_dict()) == cfg
    with pytest.raises(ConfigError, match="unknown config field 'n_experts'"):
        GPTConfig.from_dict(cfg.to_dict() | {"n_experts": 8})


@pytest.mark.parametrize(("field", "value"), [
    ("sequence_len", 0), ("sequence_len", "2048"), ("sequence_len", None), ("vocab_size", 2.0), ("n_layer", -1),
    ("n_layer", 10**9), ("n_head", 5), ("n_kv_head", 4), ("n_embd", True), ("n_embd", 10**18), ("n_inner", 1.5),
    ("padded_vocab_size", 100), ("window_pattern", "SXL"), ("window_pattern", ""), ("short_window", -1),
    ("rope_base", 0), ("rope_base", float("nan")), ("rope_base", "1e4"), ("norm_eps", float("inf")),
    ("rope_table_dtype", "float16"), ("softcap", None), ("softcap", -15.0), ("smear", 1), ("lambdas", None),
    ("value_gate_width", 9999), ("smear_gate_width", 769), ("qkv_clip", 0.0), ("logit_clip", True),
])
def test_numbers_that_describe_no_network(field: str, value: object) -> None:
    with pytest.raises(ConfigError, match=r"\S"):
        GPTConfig(**{field: value})


@pytest.mark.parametrize("name", GENERATIONS)
def test_each_generation_is_found_again_from_its_tensors(name: str) -> None:
    generation = GENERATIONS[name]
    vocab = 600 if name == "G0b" else 640
    sizes = {"sequence_len": 256, "vocab_size": vocab, "n_layer": 4, "n_head": 4, "n_kv_head": 2, "n_embd": 64}
    if generation.window_rule != "all":
        sizes["window_pattern"] = "sssl"
    window = {"window_pattern": "SSSL", "short_window": 128} if generation.window_rule != "all" else {
        "window_pattern": None}
    wanted = GPTConfig(**(sizes | window | generation.constants))
    told = {"softcap": generation.constants["softcap"], "rope_table_dtype": generation.constants["rope_table_dtype"]}
    _, found = detect(sizes, tensor_shapes(wanted), where="here", **told)
    assert found == wanted
    assert name_of(found) == name


def test_what_no_generation_has_is_refused() -> None:
    cfg = GPTConfig(n_layer=2, n_embd=64, n_head=2, n_kv_head=2, vocab_size=64)
    sizes = {key: getattr(cfg, key) for key in ("sequence_len", "vocab_size", "n_layer", "n_head", "n_kv_head",
                                                 "n_embd", "window_pattern")}
    shapes = tensor_shapes(cfg)
    for extra, error, words in (
            ({"router.weight": (4, 64)}, UnsupportedError, "'router.weight' belongs to no known nanochat"),
            ({"v0_lambdas": (2,)}, UnsupportedError, "v0_lambdas is from an experiment"),
            ({"transformer.h.1.mlp.c_fc.weight": (64, 64)}, UnsupportedError, "is 64x64, the config says 256x64")):
        with pytest.raises(error, match=words):
            detect(sizes, shapes | extra, where="here")
    missing = {name: shape for name, shape in shapes.items() if name != "transformer.h.0.attn.c_k.weight"}
    with pytest.raises(UnsupportedError, match=r"tensor transformer.h.0.attn.c_k.weight 64x64 is missing"):
        detect(sizes, missing, where="here")
    changes = (({"n_experts": 2}, "unknown key 'n_experts'"), ({"window_pattern": 3}, "window_pattern is 3"))
    for change, words in changes:
        with pytest.raises(ConfigError, match=words):
            detect(sizes | change, shapes, where="here")
    with pytest.raises(ConfigError, match="has no 'n_head'"):
        detect({key: value for key, value in sizes.items() if key != "n_head"}, shapes, where="here")

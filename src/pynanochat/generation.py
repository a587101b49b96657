"""Which nanochat a checkpoint is from: upstream changed its network ten times and wrote few of the constants down.

A generation is what `GPTConfig` fields it fixes. Source: git history of karpathy/nanochat, nanochat/gpt.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pynanochat.config import GPTConfig
from pynanochat.errors import ConfigError, UnsupportedError
from pynanochat.weights import (
    BIGRAM_EMBED,
    RESID_LAMBDAS,
    SMEAR_LAMBDA,
    WTE,
    Shape,
    check_tensors,
)


@dataclass(frozen=True)
class Generation:
    """A span of upstream's history with one network."""

    name: str
    since: str  # first commit and its date on master
    constants: dict[str, Any]  # the GPTConfig fields that it fixes
    window_rule: str = "all"  # of S layers: all, half, third, quarter


_FIRST: dict[str, Any] = {
    "rope_base": 10_000.0, "rope_table_dtype": "bfloat16", "qk_scale": 1.0, "softcap": 15.0,
    "lambdas": False, "value_embeds": False, "bigram": False, "smear": False, "backout": False,
}
_LAMBDAS = _FIRST | {"lambdas": True}
_VALUES = _LAMBDAS | {"value_embeds": True, "value_gate_width": 32, "value_gate_gain": 2.0}
_RESEARCHED = _VALUES | {
    "rope_base": 100_000.0, "rope_table_dtype": "float32", "qk_scale": 1.15,
    "value_gate_width": 12, "value_gate_gain": 3.0,
}

GENERATIONS: dict[str, Generation] = {g.name: g for g in (
    Generation("G0", "3a5e0bc 2025-10-13", _FIRST),
    Generation("G0b", "bc51da8 2025-12-23", _FIRST),  # as G0, rows of wte and lm_head padded to 64
    Generation("G1", "aa530cd 2026-01-11", _LAMBDAS),
    Generation("G1b", "fbc1484 2026-01-11", _LAMBDAS, "half"),
    Generation("G2", "a91743c 2026-01-18", _VALUES, "half"),
    Generation("G2e", "c88bbf8 2026-01-27", _VALUES | {"bigram": True}, "half"),
    Generation("G2b", "aba30cb 2026-03-03", _VALUES | {"softcap": 20.0}, "half"),
    Generation("G2c", "1076f97 2026-03-04", _VALUES | {"softcap": 20.0, "rope_table_dtype": "float32"}, "half"),
    Generation("G3", "6ed7d1d 2026-03-09", _RESEARCHED, "third"),
    Generation("G4", "a825e63 2026-03-14", _RESEARCHED | {"qk_scale": 1.2, "smear": True, "backout": True}, "quarter"),
)}

RUST_PORT: dict[str, Any] = _FIRST | {  # tuned-org-uk/nanochat-rs a9d8cec, src/gpt.rs
    "rope_table_dtype": "float32", "embed_norm": False, "norm_eps": 1e-6, "qkv_clip": 5.0, "logit_clip": 50.0,
    "window_pattern": None,
}

_SOFTCAP_20_EVAL_TOKENS = 80 * 524288  # base_train's default since 4 March 2026 (half of it before)
_NEVER_RELEASED = ("value_embed_A.", "value_embed_B.", "value_embed.", "v0_lambdas")


def detect(
    model_config: Mapping[str, Any],
    found: Mapping[str, Shape],
    *,
    where: str,
    user_config: Mapping[str, Any] | None = None,
    softcap: float | None = None,
    rope_table_dtype: str | None = None,
) -> tuple[str, GPTConfig]:
    """The generation's name and the whole config of a checkpoint, from its tensors' shapes and its meta file.

    Tensors do not show a softcap of 20 (3 to 9 March 2026) nor the rounding of the rotary tables; `user_config`
    usually does, `softcap` and `rope_table_dtype` settle it. Raises `UnsupportedError` or `ConfigError`.
    """
    for name in found:
        if name.startswith(_NEVER_RELEASED):
            raise UnsupportedError(f"{where}: tensor {name} is from an experiment of January 2026 that never reached "
                                   "nanochat's master; its network is not known here")
    if WTE not in found:
        raise UnsupportedError(f"{where}: no tensor {WTE}; expected the state dict of a nanochat model")
    generation = _generation(model_config, found, user_config or {}, softcap)
    constants = dict(generation.constants)
    if softcap is not None:
        constants["softcap"] = float(softcap)
    if rope_table_dtype is not None:
        constants["rope_table_dtype"] = rope_table_dtype
    cfg = _config(generation, constants, model_config, found, where)
    check_tensors(cfg, found, where)
    return generation.name, cfg


def name_of(cfg: GPTConfig) -> str:
    """The generation whose constants `cfg` has, nanochat-rs, or "custom"."""
    if all(getattr(cfg, field) == value for field, value in RUST_PORT.items()):
        return "nanochat-rs"
    for generation in GENERATIONS.values():
        windows = _window(generation, cfg.window_pattern, cfg.sequence_len)
        wanted = generation.constants | windows
        padded = cfg.padded_vocab_size != cfg.vocab_size
        if generation.name == ("G0" if padded else "G0b"):
            continue
        if all(getattr(cfg, field) == value for field, value in wanted.items()):
            return generation.name
    return "custom"


def _generation(
    model_config: Mapping[str, Any], found: Mapping[str, Shape], user_config: Mapping[str, Any], softcap: float | None
) -> Generation:
    gates = {shape[-1] for name, shape in found.items() if name.endswith("ve_gate.weight") and shape}
    if SMEAR_LAMBDA in found:
        name = "G4"
    elif BIGRAM_EMBED in found:
        name = "G2e"
    elif 12 in gates:
        name = "G3"
    elif gates:
        later = user_config.get("eval_tokens") == _SOFTCAP_20_EVAL_TOKENS
        name = "G2c" if later and softcap in (None, 20) else "G2b" if softcap == 20 else "G2"
    elif RESID_LAMBDAS in found:
        name = "G1b" if "window_pattern" in model_config else "G1"
    else:
        name = "G0b" if found[WTE][0] != model_config.get("vocab_size") else "G0"
    return GENERATIONS[name]


def _config(
    generation: Generation,
    constants: dict[str, Any],
    model_config: Mapping[str, Any],
    found: Mapping[str, Shape],
    where: str,
) -> GPTConfig:
    sizes = ("sequence_len", "vocab_size", "n_layer", "n_head", "n_kv_head", "n_embd")
    missing = [key for key in sizes if key not in model_config]
    if missing:
        raise ConfigError(f"{where}: model_config has no {missing[0]!r}; expected {', '.join(sizes)}")
    unknown = sorted(set(model_config) - {*sizes, "window_pattern"})
    if unknown:
        raise ConfigError(f"{where}: model_config has an unknown key {unknown[0]!r}; it could change the network")
    pattern = model_config.get("window_pattern", "L")  # upstream's rule for a meta file without the key
    if not isinstance(pattern, str):
        raise ConfigError(f"{where}: window_pattern is {pattern!r}; expected letters S and L, as in 'SSSL'")
    values: dict[str, Any] = {key: model_config[key] for key in sizes}
    values["padded_vocab_size"] = found[WTE][0]
    if type(values["sequence_len"]) is int:
        values |= _window(generation, pattern.upper(), values["sequence_len"])
    return GPTConfig(**values, **constants)


def _window(generation: Generation, pattern: str | None, sequence_len: int) -> dict[str, Any]:
    if generation.window_rule == "all":
        return {"window_pattern": None}
    if generation.window_rule == "half":
        return {"window_pattern": pattern, "short_window": sequence_len // 2}
    parts = {"third": 3, "quarter": 4}[generation.window_rule]
    return {"window_pattern": pattern, "short_window": -(-sequence_len // parts // 128) * 128}

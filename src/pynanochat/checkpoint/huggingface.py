"""Hugging Face folders of NanoChatForCausalLM: config.json and model.safetensors, also in shards.

Their network is nanochat's first (G0) with unrounded rotary tables, its own norm eps and no padding of the vocabulary.
Source: huggingface/transformers 5.23.0, models/nanochat/configuration_nanochat.py and modeling_nanochat.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pynanochat.checkpoint import json_file, safetensors_file
from pynanochat.checkpoint.checkpoint import Checkpoint, check_network, crop_vocabulary, described, differences
from pynanochat.checkpoint.lazy_tensors import kinds, renamed
from pynanochat.config import GPTConfig
from pynanochat.errors import DamagedFileError, NotFoundError, UnsupportedError
from pynanochat.generation import GENERATIONS
from pynanochat.tensor import Tensor
from pynanochat.weights import LM_HEAD, WTE, block_tensor, refuse_unknown

MODEL_TYPE = "nanochat"
MODEL, INDEX, CONFIG = "model.safetensors", "model.safetensors.index.json", "config.json"
_SIZES = {  # config.json: (GPTConfig field, transformers' default)
    "vocab_size": ("vocab_size", 50304), "hidden_size": ("n_embd", 768), "num_hidden_layers": ("n_layer", 12),
    "num_attention_heads": ("n_head", 6), "intermediate_size": ("n_inner", 8192),
    "max_position_embeddings": ("sequence_len", 2048), "rms_norm_eps": ("norm_eps", 1e-6),
}
_SOFTCAP = ("final_logit_softcapping", "logits_soft_cap", "logits_softcap")  # today's name and two older ones
_MUST_BE = {"hidden_act": "relu2"}  # and every key that is not known: absent, null or false
_HARMLESS = frozenset((
    "_from_model_config", "_name_or_path", "architectures", "attention_dropout", "bos_token_id",
    "chunk_size_feed_forward", "dtype", "eos_token_id", "id2label", "initializer_range", "label2id", "max_length",
    "model_type", "output_attentions", "output_hidden_states", "pad_token_id", "problem_type", "return_dict",
    "torch_dtype", "transformers_version", "use_cache",
))
_KNOWN = _HARMLESS | {*_SIZES, *_SOFTCAP, "num_key_value_heads", "head_dim", "rope_parameters", "rope_theta"}
_BLOCK = {
    "attn.c_q": "self_attn.q_proj", "attn.c_k": "self_attn.k_proj", "attn.c_v": "self_attn.v_proj",
    "attn.c_proj": "self_attn.o_proj", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2",
}
_NETWORK = GENERATIONS["G0"].constants | {"rope_table_dtype": "float32", "window_pattern": None}


def read(
    folder: Path, *, tokenizer: Path | None = None, softcap: float | None = None, rope_table_dtype: str | None = None
) -> Checkpoint:
    """The checkpoint of a folder; `UnsupportedError` names a config key that makes another network."""
    where = str(folder / CONFIG)
    cfg = _config(json_file.read(folder / CONFIG), where, softcap, rope_table_dtype)
    found = _tensors(folder)
    names = _names(cfg)
    refuse_unknown(found, names.values(), str(folder))
    tensors = {name: found[other] for name, other in names.items() if other in found}
    check_network(cfg, tensors, str(folder))
    own = next((folder / name for name in ("tokenizer.json", "tokenizer.pkl") if (folder / name).is_file()), None)
    return Checkpoint(path=folder, format="huggingface", generation="G0", config=cfg, tensors=tensors,
                      tokenizer_path=tokenizer or own)


def write(folder: Path, cfg: GPTConfig, tensors: Mapping[str, Tensor], tokenizer: Any, meta: dict[str, Any]) -> None:
    """Fill an empty folder; `UnsupportedError` says what of the network Hugging Face's cannot hold.

    Rows that pad the vocabulary are left out, and so is `meta`, for which the format has no place.
    """
    cfg, tensors = crop_vocabulary(cfg, tensors)
    values = _values(cfg, tensors, tokenizer)
    wrong = differences(cfg, _config(values, str(folder), None, None))
    if wrong == ["rope_table_dtype"]:
        raise UnsupportedError("Hugging Face's network has unrounded rotary tables, this model's are rounded to "
                               'bfloat16; open it with rope_table_dtype float32 to accept logits that differ by 0.02')
    wrong = [name for name in wrong if not name.endswith(("_width", "_gain"))] or wrong
    if wrong:
        raise UnsupportedError(f"Hugging Face's NanoChat network is nanochat's first one and has no place for this "
                               f"model's {', '.join(wrong)}; save it as native instead")
    (folder / CONFIG).write_bytes(json_file.dumps(values))
    ends = {key: values[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id") if key in values}
    (folder / "generation_config.json").write_bytes(json_file.dumps(ends))
    with (folder / MODEL).open("xb") as file:
        safetensors_file.write(file, renamed(tensors, _names(cfg)), {"format": "pt"})
    if tokenizer is not None:
        tokenizer.save(folder)


def _names(cfg: GPTConfig) -> dict[str, str]:
    """nanochat's tensor names and Hugging Face's, in the order of the model."""
    names = {WTE: "model.embed_tokens.weight"}
    for i in range(cfg.n_layer):
        names |= {block_tensor(i, own): f"model.layers.{i}.{other}.weight" for own, other in _BLOCK.items()}
    return names | {LM_HEAD: LM_HEAD}


def _config(values: dict[str, Any], where: str, softcap: float | None, rope_table_dtype: str | None) -> GPTConfig:
    kind = values.get("model_type")
    if kind != MODEL_TYPE:
        raise UnsupportedError(f"{where}: model_type is {str(kind)[:60]!r}; expected {MODEL_TYPE!r} "
                               "(NanoChatForCausalLM)")
    for key, value in values.items():
        if key in _KNOWN or value is None or value is False or (key in _MUST_BE and value == _MUST_BE[key]):
            continue
        raise UnsupportedError(f"{where}: {key[:60]} is {str(value)[:60]!r}; no nanochat network that is known here "
                               "has that")
    heads, kv_heads = (values.get(key, default) for key, default in (("num_attention_heads", 6),
                                                                     ("num_key_value_heads", None)))
    fields: dict[str, Any] = {field: values.get(key, default) for key, (field, default) in _SIZES.items()}
    caps = [values[key] for key in _SOFTCAP if key in values] or [15.0]
    if any(cap != caps[0] for cap in caps):
        raise UnsupportedError(f"{where}: different softcaps under the old and the new name: {str(caps)[:80]}")
    fields |= {
        "n_kv_head": heads if kv_heads is None else kv_heads,
        "softcap": caps[0] if softcap is None else softcap,
        "rope_base": _rope_base(values, where),
        "padded_vocab_size": fields["vocab_size"],
    }
    fields |= {} if rope_table_dtype is None else {"rope_table_dtype": rope_table_dtype}
    cfg = described(where, lambda: GPTConfig(**(_NETWORK | fields)))
    if values.get("head_dim") not in (None, cfg.head_dim):
        raise UnsupportedError(f"{where}: head_dim is {str(values['head_dim'])[:40]}; expected {cfg.head_dim}")
    return cfg


def _rope_base(values: dict[str, Any], where: str) -> Any:
    rope = values.get("rope_parameters")
    rope = {} if rope is None else rope
    if not isinstance(rope, dict) or rope.get("rope_type", "default") != "default" or (
            set(rope) - {"rope_theta", "rope_type"}):
        raise UnsupportedError(f"{where}: rope_parameters are {str(rope)[:80]!r}; expected rope_type 'default' and a "
                               "rope_theta")
    return rope.get("rope_theta", values.get("rope_theta", 10_000.0))


def _tensors(folder: Path) -> dict[str, Tensor]:
    if (folder / MODEL).is_file():
        return safetensors_file.read(folder / MODEL)
    if not (folder / INDEX).is_file():
        raise NotFoundError(f"{folder} holds no {MODEL}; expected it beside {CONFIG}")
    weights = json_file.read(folder / INDEX).get("weight_map")
    if not isinstance(weights, dict) or not all(isinstance(name, str) for name in weights.values()):
        raise DamagedFileError(f"{folder / INDEX} has no weight_map; get an intact copy")
    tensors: dict[str, Tensor] = {}
    for shard in sorted(set(weights.values())):
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,120}\.safetensors", shard):
            raise DamagedFileError(f"{folder / INDEX} names {shard[:80]!r}; expected a .safetensors file beside it")
        part = safetensors_file.read(folder / shard)
        if set(part) != {name for name, file in weights.items() if file == shard}:
            raise DamagedFileError(f"{folder / shard} holds other tensors than {INDEX} says; get an intact copy")
        tensors |= part
    return tensors


def _values(cfg: GPTConfig, tensors: Mapping[str, Tensor], tokenizer: Any) -> dict[str, Any]:
    """The config.json of a network, every value that transformers reads."""
    dtypes = {dtype for dtype, _ in kinds(tensors).values()}
    values: dict[str, Any] = {key: getattr(cfg, field) for key, (field, _) in _SIZES.items()}
    values |= {
        "architectures": ["NanoChatForCausalLM"], "model_type": MODEL_TYPE, "attention_bias": False,
        "final_logit_softcapping": cfg.softcap, "hidden_act": "relu2", "num_key_value_heads": cfg.n_kv_head,
        "rope_parameters": {"rope_theta": cfg.rope_base, "rope_type": "default"}, "tie_word_embeddings": False,
        "dtype": dtypes.pop() if len(dtypes) == 1 else "float32",
    }
    special = {} if tokenizer is None else tokenizer.special_tokens
    for key, name in (("bos_token_id", "<|bos|>"), ("eos_token_id", "<|assistant_end|>"),
                      ("pad_token_id", "<|assistant_end|>")):
        if name in special:
            values[key] = special[name]
    return values

"""nanochat-rs folders: config.json and model.mpk, a record of Burn 0.18, read and written.

Linear weights lie [in, out] there, the transpose of ours. Sources: tuned-org-uk/nanochat-rs a9d8cec src/gpt.rs,
src/config.rs; tracel-ai/burn v0.18.0 burn-core/src/record (NamedMpkFileRecorder<FullPrecisionSettings>).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pynanochat.checkpoint import json_file, msgpack_file
from pynanochat.checkpoint.checkpoint import Checkpoint, check_network, crop_vocabulary, described, differences
from pynanochat.checkpoint.layout import check_range, is_shape, nbytes, raw, tensor_at
from pynanochat.checkpoint.lazy_tensors import Kind, LazyTensors, kinds
from pynanochat.checkpoint.mapped_file import map_file
from pynanochat.config import GPTConfig
from pynanochat.errors import ConfigError, DamagedFileError, UnsafeFileError, UnsupportedError
from pynanochat.generation import RUST_PORT, name_of
from pynanochat.tensor import Tensor
from pynanochat.weights import LM_HEAD, WTE, block_tensor, tensor_shapes

CONFIG, MODEL = "config.json", "model.mpk"
_SIZES = ("sequence_len", "vocab_size", "n_layer", "n_head", "n_kv_head", "n_embd")
_OURS = "pynanochat"  # key of config.json with the whole config of a network that is not nanochat-rs' own
_DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64"}
_METADATA = {
    "float": "f32", "int": "i32",
    "format": "burn_core::record::file::NamedMpkFileRecorder<burn_core::record::settings::FullPrecisionSettings>",
    "version": "0.18.0", "settings": "FullPrecisionSettings",
}
_NOTE = ("nanochat-rs' own network: no norm after the embedding, q, k and v limited to 5, logits to 50; the LayerNorm "
         "parameters of the record are left out, its forward pass does not use them")
_UNITS = ("ln1", "ln2")  # LayerNorms of a block; those of attention are as wide as a head
_HEAD_UNITS = ("qk_norm_q", "qk_norm_k")
_LINEARS = {"attn": ("c_q", "c_k", "c_v", "c_proj"), "mlp": ("c_fc", "c_proj")}
_NUMBERS = {"attn": ("layer_idx", "n_head", "n_kv_head", "head_dim"), "mlp": ()}  # constants, stored as nil


def read(
    folder: Path, *, tokenizer: Path | None = None, softcap: float | None = None, rope_table_dtype: str | None = None
) -> Checkpoint:
    """The checkpoint of a folder; its tensors are turned to [out, in] when they are asked for."""
    cfg = _config(json_file.read(folder / CONFIG), str(folder / CONFIG), softcap, rope_table_dtype)
    record = _Record(folder / MODEL)
    tensors = record.tensors(cfg.n_layer)
    check_network(cfg, tensors, record.where)
    own = next((folder / name for name in ("tokenizer.json", "tokenizer.pkl") if (folder / name).is_file()), None)
    generation = name_of(cfg)
    return Checkpoint(
        path=folder, format="burn", generation=generation, config=cfg, tensors=tensors,
        tokenizer_path=tokenizer or own, notes=(_NOTE,) if generation == "nanochat-rs" else ())


def write(folder: Path, cfg: GPTConfig, tensors: Mapping[str, Tensor], tokenizer: Any, meta: dict[str, Any]) -> None:
    """Fill an empty folder; `UnsupportedError` says which tensors a nanochat-rs record has no place for.

    nanochat-rs runs any record with its own network, so a config that differs from it is kept beside the sizes, for
    us to read. Rows that pad the vocabulary are left out, and so is `meta`.
    """
    cfg, tensors = crop_vocabulary(cfg, tensors)
    rust = _rust(cfg)
    extra = sorted(set(tensor_shapes(cfg)) - set(tensor_shapes(rust)))
    if extra:
        raise UnsupportedError(f"nanochat-rs has no place for tensor {extra[0]!r} and knows only nanochat's first "
                               "network; save it as native instead")
    if tensor_shapes(cfg) != tensor_shapes(rust):
        raise UnsupportedError(f"nanochat-rs' MLP is 4 n_embd wide, this model's {cfg.n_inner}; save it as native")
    values: dict[str, Any] = {name: getattr(cfg, name) for name in _SIZES}
    values |= {"block_size": cfg.sequence_len, "dropout": 0.0}
    if differences(cfg, rust):
        values[_OURS] = cfg.to_dict()
    (folder / CONFIG).write_bytes(json_file.dumps(values))
    with (folder / MODEL).open("xb") as file:
        msgpack_file.dump(file, {"metadata": _METADATA, "item": _item(cfg, tensors), "_b": []})
    if tokenizer is not None:
        tokenizer.save(folder)


def _rust(cfg: GPTConfig) -> GPTConfig:
    sizes = {name: getattr(cfg, name) for name in _SIZES}
    return GPTConfig(**sizes, **RUST_PORT, padded_vocab_size=cfg.vocab_size)


def _config(values: dict[str, Any], where: str, softcap: float | None, rope_table_dtype: str | None) -> GPTConfig:
    unknown = sorted(set(values) - {*_SIZES, "block_size", "dropout", _OURS})
    if unknown:
        raise UnsupportedError(f"{where}: unknown key {unknown[0][:60]!r}; it could change the network")
    missing = [name for name in _SIZES if name not in values]
    if missing:
        raise ConfigError(f"{where} has no {missing[0]!r}; expected {', '.join(_SIZES)}")
    sizes = {name: values[name] for name in _SIZES}
    told = {"softcap": softcap, "rope_table_dtype": rope_table_dtype}
    fields = sizes | RUST_PORT | {"padded_vocab_size": values["vocab_size"]}
    if _OURS in values:
        ours = values[_OURS]
        if not isinstance(ours, dict) or any(
                type(size) is not int or ours.get(name) != size for name, size in sizes.items()):
            raise DamagedFileError(f"{where}: the key {_OURS!r} contradicts the sizes beside it; get an intact copy")
        fields = ours
    fields |= {name: value for name, value in told.items() if value is not None}
    return described(where, lambda: GPTConfig.from_dict(fields))


class _Record:
    """A model.mpk: the item's fields are exactly the known ones."""

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self.view = map_file(path)
        self.entries: dict[str, tuple[Kind, Callable[[], Tensor]]] = {}
        top = self.fields(msgpack_file.load(self.view, self.where), "the record", "metadata", "item", "_b")
        self.item = self.fields(top["item"], "item", "wte", "blocks", "ln_f", "lm_head", nil=("cos", "sin", "n_embd"))

    def tensors(self, n_layer: int) -> Mapping[str, Tensor]:
        item, blocks = self.item, self.item["blocks"]
        if not isinstance(blocks, list) or len(blocks) != n_layer:
            raise UnsupportedError(f"{self.where}: expected {n_layer} blocks, as {CONFIG} says")
        self.param(WTE, self.fields(item["wte"], "wte", "weight")["weight"])
        for i, block in enumerate(blocks):
            place = f"blocks[{i}]"
            block = self.fields(block, place, *_UNITS, *_LINEARS, nil=("layer_idx",))
            for part, linears in _LINEARS.items():
                norms = _HEAD_UNITS if part == "attn" else ()
                fields = self.fields(block[part], f"{place}.{part}", *linears, *norms, nil=_NUMBERS[part])
                for name in linears:
                    self.linear(block_tensor(i, f"{part}.{name}"), fields[name])
                for name in norms:
                    self.layer_norm(f"{place}.{part}.{name}", fields[name])
            for name in _UNITS:
                self.layer_norm(f"{place}.{name}", block[name])
        self.layer_norm("ln_f", item["ln_f"])
        self.linear(LM_HEAD, item["lm_head"])
        return LazyTensors(self.entries)

    def fields(self, value: Any, place: str, *names: str, nil: tuple[str, ...] = ()) -> dict[str, Any]:
        """A struct with exactly these fields; those in `nil` hold nothing."""
        if not isinstance(value, dict):
            raise DamagedFileError(f"{self.where}: {place} is no struct; get an intact copy")
        unknown, missing = sorted(set(value) - {*names, *nil}), [name for name in names if name not in value]
        if unknown:
            raise UnsupportedError(f"{self.where}: {place} has an unknown field {unknown[0][:60]!r}; "
                                   "it could change the network")
        if missing:
            raise UnsupportedError(f"{self.where}: {place} has no {missing[0]!r}; expected nanochat-rs' GptModel")
        full = [name for name in nil if value.get(name) is not None]
        if full:
            raise UnsupportedError(f"{self.where}: {place}.{full[0]} holds something; expected nothing there")
        return value

    def linear(self, name: str, value: Any) -> None:
        self.param(name, self.fields(value, name, "weight", nil=("bias",))["weight"], transposed=True)

    def layer_norm(self, place: str, value: Any) -> None:
        norm = self.fields(value, place, "gamma", "beta", nil=("epsilon",))
        self.stored(f"{place}.gamma", norm["gamma"])
        self.stored(f"{place}.beta", norm["beta"])

    def param(self, name: str, value: Any, *, transposed: bool = False) -> None:
        (dtype, shape), data = self.stored(name, value)
        if len(shape) != 2:
            raise UnsupportedError(f"{self.where}: {name} has {len(shape)} dimensions; expected 2")

        def make() -> Tensor:
            tensor = tensor_at(data, 0, shape, dtype)
            return Tensor(np.ascontiguousarray(tensor.data.T), dtype) if transposed else tensor

        self.entries[name] = (dtype, shape[::-1] if transposed else shape), make

    def stored(self, place: str, value: Any) -> tuple[Kind, memoryview]:
        """The dtype, shape and bytes of a parameter."""
        param = self.fields(self.fields(value, place, "id", "param")["param"], place, "bytes", "shape", "dtype")
        data, shape, dtype = param["bytes"], param["shape"], _DTYPES.get(str(param["dtype"]))
        if dtype is None:
            raise UnsupportedError(f"{self.where}: {place} is {str(param['dtype'])[:40]!r}; expected one of "
                                   f"{', '.join(_DTYPES)}")
        if not isinstance(data, memoryview) or not is_shape(shape):
            raise DamagedFileError(f"{self.where}: {place} has no bytes and shape; get an intact copy")
        if len(data) != nbytes(tuple(shape), dtype):
            raise UnsafeFileError(f"{self.where}: {place} of shape {shape} claims to lie in {len(data):,} bytes")
        return (dtype, tuple(shape)), data


def _item(cfg: GPTConfig, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The record of a model, its fields in the order of nanochat-rs' structs; LayerNorms are the identity."""

    def linear(name: str) -> dict[str, Any]:
        return {"weight": _param(name, tensors, transposed=True), "bias": None}

    def layer_norm(place: str, width: int) -> dict[str, Any]:
        ones = {f"{place}.gamma": Tensor.of(np.ones(width, np.float32))}
        zeros = {f"{place}.beta": Tensor.of(np.zeros(width, np.float32))}
        return {"gamma": _param(f"{place}.gamma", ones), "beta": _param(f"{place}.beta", zeros), "epsilon": None}

    def block(i: int) -> dict[str, Any]:
        place = f"blocks.{i}"
        attn = dict.fromkeys(_NUMBERS["attn"]) | {
            name: linear(block_tensor(i, f"attn.{name}")) for name in _LINEARS["attn"]}
        attn |= {name: layer_norm(f"{place}.attn.{name}", cfg.head_dim) for name in _HEAD_UNITS}
        mlp = {name: linear(block_tensor(i, f"mlp.{name}")) for name in _LINEARS["mlp"]}
        return {"layer_idx": None, "ln1": layer_norm(f"{place}.ln1", cfg.n_embd), "attn": attn,
                "ln2": layer_norm(f"{place}.ln2", cfg.n_embd), "mlp": mlp}

    return {
        "wte": {"weight": _param(WTE, tensors)},
        "blocks": [block(i) for i in range(cfg.n_layer)],
        "ln_f": layer_norm("ln_f", cfg.n_embd),
        "lm_head": linear(LM_HEAD),
        "cos": None, "sin": None, "n_embd": None,
    }


def _param(name: str, tensors: Mapping[str, Tensor], *, transposed: bool = False) -> dict[str, Any]:
    def data() -> memoryview:
        tensor = tensors[name]
        values = check_range(Tensor(tensor.numpy(), "float32"), name, tensor.dtype).data
        return raw(Tensor(values.T if transposed else values, "float32"))

    shape = list(kinds(tensors)[name][1])
    key = base64.b32hexencode(hashlib.sha256(name.encode()).digest()[:8]).decode().rstrip("=").lower()
    return {"id": key, "param": {"bytes": data, "shape": shape[::-1] if transposed else shape, "dtype": "F32"}}

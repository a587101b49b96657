"""Checkpoints on disk: `resolve` a name, `open` a file or folder of any format, `save` one.

Formats: native (pynanochat's own), nanochat (upstream's .pt and .json), huggingface, burn (nanochat-rs' records).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pynanochat.checkpoint import burn, huggingface, json_file, nanochat, native, staging
from pynanochat.checkpoint.checkpoint import Checkpoint, Format, check_network, check_tokenizer
from pynanochat.checkpoint.directory import find_largest_model, find_last_step, resolve
from pynanochat.checkpoint.lazy_tensors import LazyTensors, kinds, renamed
from pynanochat.config import GPTConfig
from pynanochat.errors import CheckpointError, ConfigError, NotFoundError, UnsupportedError
from pynanochat.tensor import Tensor, round_bfloat16
from pynanochat.weights import tensor_shapes

__all__ = ["FORMATS", "Checkpoint", "Format", "check_tokenizer", "find_largest_model", "find_last_step", "open",
           "resolve", "save"]

_WRITERS = {
    "native": native.write, "nanochat": nanochat.write, "huggingface": huggingface.write, "burn": burn.write,
}
FORMATS = tuple(_WRITERS)


def open(  # noqa: A001 - checkpoint.open
    path: str | os.PathLike[str],
    *,
    step: int | None = None,
    tokenizer: str | os.PathLike[str] | None = None,
    softcap: float | None = None,
    rope_table_dtype: Literal["float32", "bfloat16"] | None = None,
    verify: bool = True,
) -> Checkpoint:
    """The checkpoint in a folder, or the one that a file belongs to; its format is seen from the files.

    `verify` reads everything once: checksums, and that every weight is a finite number. `softcap` and
    `rope_table_dtype` settle what tensors do not show. Raises `CheckpointError` or `ConfigError`; nothing in a file
    can run, and a refusal costs little whatever the file claims.
    """
    place = Path(path).expanduser()
    if softcap is not None and not (isinstance(softcap, (int, float)) and 0 < softcap < 1e30):
        raise ConfigError(f"softcap is {softcap!r}; expected a number above 0, such as 15 or 20")
    own_tokenizer = Path(tokenizer).expanduser() if tokenizer is not None else None
    if own_tokenizer is not None and not own_tokenizer.exists():
        raise NotFoundError(f"{own_tokenizer} does not exist; give a tokenizer.pkl, a tokenizer.json or their folder")
    try:
        checkpoint = _open(place, step, own_tokenizer, softcap, rope_table_dtype, verify)
    except OSError as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{place} cannot be read: {error.strerror or error}") from None
    if verify:
        checkpoint.check_values()
    return checkpoint


def _open(
    place: Path, step: int | None, tokenizer: Path | None, softcap: float | None, rope_table_dtype: str | None,
    verify: bool,
) -> Checkpoint:
    if not place.exists():
        raise NotFoundError(f"{place} does not exist; give the folder that holds the weights")
    folder = place if place.is_dir() else place.parent
    constants: dict[str, Any] = {"softcap": softcap, "rope_table_dtype": rope_table_dtype}
    if place.is_file() and place.suffix == ".pt":
        if step is not None and place != nanochat.model_file(folder, step):
            raise CheckpointError(f"{place} is not the model of step {step}; give its folder or leave the step out")
        return nanochat.read(place, tokenizer=tokenizer, verify=verify, **constants)
    config = folder / native.CONFIG
    values = json_file.read(config) if config.is_file() else {}
    if values.get("format") == native.FORMAT and (place.is_dir() or place.name in (native.CONFIG, native.MODEL)):
        return native.read(folder, tokenizer=tokenizer, verify=verify, **constants)
    if place.is_dir() and (step is not None or any(folder.glob("model_*.pt")) or (folder / "model.pt").is_file()):
        return nanochat.read(folder, step=step, tokenizer=tokenizer, verify=verify, **constants)
    if "model_type" in values and place.suffix != ".mpk":
        return huggingface.read(folder, tokenizer=tokenizer, **constants)
    if (folder / burn.MODEL).is_file():
        return burn.read(folder, tokenizer=tokenizer, **constants)
    raise NotFoundError(f"{place} holds no model_*.pt, model.safetensors or model.mpk. {_hint(place)}")


def _hint(place: Path) -> str:
    inside = sorted(path.parent.name for path in place.glob("*/model_*.pt")) if place.is_dir() else []
    if inside:
        return f"Give one of the folders in it that do: {', '.join(dict.fromkeys(inside))[:300]}"
    if place.is_dir() and any(place.glob("*_checkpoints/*/model_*.pt")):
        return "It is laid out as NANOCHAT_BASE_DIR: set that to it, and name a tag in it, such as d20"
    return "Give the folder that holds the weights"


def save(
    path: str | os.PathLike[str],
    *,
    config: GPTConfig,
    tensors: Mapping[str, Tensor],
    tokenizer: Any = None,
    format: str = "native",  # noqa: A002
    meta: Mapping[str, Any] | None = None,
    dtype: Literal["float32", "bfloat16"] | None = None,
) -> Path:
    """The folder, written whole or not at all: an older checkpoint there stays until the new one is on the disk.

    `format` is native, nanochat, huggingface or burn; `dtype` converts every tensor.
    Raises `UnsupportedError` where the format cannot hold the network, `CheckpointError` where writing fails or other
    files are in the way.
    """
    write = _WRITERS.get(format)
    if write is None:
        raise UnsupportedError(f"format is {format!r}; expected one of {', '.join(FORMATS)}")
    where = "the model to save"
    check_network(config, tensors, where)
    if tokenizer is not None:
        check_tokenizer(tokenizer, config, where)
    for name, tensor in tensors.items():
        tensor.check_finite(name, where)
    ordered = renamed(tensors, {name: name for name in tensor_shapes(config)})
    converted = ordered if dtype is None else _convert(ordered, dtype)
    with staging.replacing(path) as folder:
        write(folder, config, converted, tokenizer, dict(meta or {}))
    return Path(path).expanduser()


def _convert(tensors: Mapping[str, Tensor], dtype: Literal["float32", "bfloat16"]) -> Mapping[str, Tensor]:
    if dtype not in ("float32", "bfloat16"):
        raise UnsupportedError(f"dtype is {dtype!r}; expected 'float32' or 'bfloat16'")

    def convert(name: str) -> Tensor:
        tensor = tensors[name]
        if tensor.dtype == dtype:
            return tensor
        values = tensor.numpy(np.float32)
        return Tensor(round_bfloat16(values), dtype) if dtype == "bfloat16" else Tensor(values, dtype)

    return LazyTensors({name: ((dtype, shape), lambda name=name: convert(name))  # type: ignore[misc]
                        for name, (_, shape) in kinds(tensors).items()})

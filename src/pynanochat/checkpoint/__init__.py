"""Checkpoints on disk: `resolve` a name, `open` a file or folder of any format, `save` one.

Formats: native (pynanochat's own), nanochat (upstream's .pt and .json), huggingface, burn (nanochat-rs' records).
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pynanochat.checkpoint import burn, huggingface, json_file, nanochat, native, run_folder, staging
from pynanochat.checkpoint.checkpoint import Checkpoint, Format, check_network, check_tokenizer, differences
from pynanochat.checkpoint.directory import find_largest_model, find_last_step, resolve
from pynanochat.checkpoint.layout import check_range
from pynanochat.checkpoint.lazy_tensors import Kind, LazyTensors, kinds, renamed
from pynanochat.checkpoint.place import place_of
from pynanochat.checkpoint.quantized_tensors import quantization, quantized
from pynanochat.config import GPTConfig
from pynanochat.errors import CheckpointError, ConfigError, NotFoundError, TokenizerError, UnsupportedError
from pynanochat.quantize import formats
from pynanochat.quantize.formats import AnyTensor
from pynanochat.tensor import Tensor, round_bfloat16
from pynanochat.tokenizer import Tokenizer
from pynanochat.weights import tensor_shapes

__all__ = ["FORMATS", "Checkpoint", "Format", "check_tokenizer", "find_largest_model", "find_last_step", "open",
           "quantization", "quantized", "resolve", "save"]

_WRITERS: dict[str, Callable[[Path, GPTConfig, Mapping[str, Any], Any, dict[str, Any]], None]] = {
    "native": native.write, "nanochat": nanochat.write, "huggingface": huggingface.write, "burn": burn.write,
}
FORMATS = tuple(_WRITERS)
_MODEL_FILES = re.compile(
    r".+\.pt|config\.json|model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json|model\.mpk")


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

    Of a training run's folder it is the one of `step`, or the newest that is whole; notes tell of newer ones.
    `verify` reads everything once: checksums, and that every weight is a finite number. `softcap` and
    `rope_table_dtype` settle what tensors do not show. Raises `CheckpointError` or `ConfigError`; nothing in a file
    can run, and a refusal costs little whatever the file claims.
    """
    place, step = place_of(path, "the model's path"), nanochat.step_of(step)
    if softcap is not None and not (isinstance(softcap, (int, float)) and 0 < softcap < 1e30):
        raise ConfigError(f"softcap is {softcap!r}; expected a number above 0, such as 15 or 20")
    own_tokenizer = place_of(tokenizer, "tokenizer") if tokenizer is not None else None
    try:
        if own_tokenizer is not None and not own_tokenizer.exists():
            raise NotFoundError(f"{own_tokenizer} does not exist; give a tokenizer.pkl, a tokenizer.json or their "
                                "folder")
        if run_folder.is_run(place):
            read = partial(open, tokenizer=tokenizer, softcap=softcap, rope_table_dtype=rope_table_dtype, verify=verify)
            if step is not None:
                return read(run_folder.of_step(place, step))
            newest, notes = run_folder.newest(place, read)
            return replace(newest, notes=(*newest.notes, *notes))
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
    whole = place.is_dir()
    place = place if whole else _model_file(place)
    folder = place if whole else place.parent
    constants: dict[str, Any] = {"softcap": softcap, "rope_table_dtype": rope_table_dtype}
    if not whole and place.suffix == ".pt":
        if step is not None and place != nanochat.model_file(folder, step):
            raise CheckpointError(f"{place} is not the model of step {step}; give its folder or leave the step out")
        return nanochat.read(place, tokenizer=tokenizer, verify=verify, **constants)
    if not whole and step is not None:
        raise CheckpointError(f"{place} has no training steps; leave step {step} out")
    config = folder / native.CONFIG
    values = json_file.read(config) if config.is_file() else {}
    if values.get("format") == native.FORMAT and (whole or place.name in (native.CONFIG, native.MODEL)):
        return native.read(folder, tokenizer=tokenizer, verify=verify, **constants)
    if whole and (step is not None or any(folder.glob("model_*.pt")) or (folder / "model.pt").is_file()):
        return nanochat.read(folder, step=step, tokenizer=tokenizer, verify=verify, **constants)
    if "model_type" in values and place.suffix != ".mpk":
        return huggingface.read(folder, tokenizer=tokenizer, **constants)
    if (whole or place.name in (burn.CONFIG, burn.MODEL)) and (folder / burn.MODEL).is_file():
        return burn.read(folder, tokenizer=tokenizer, **constants)
    raise NotFoundError(f"{place} holds no model_*.pt, model.safetensors or model.mpk. {_hint(place)}")


def _model_file(place: Path) -> Path:
    """The file itself, or the model of a meta file; `NotFoundError` where it is no part of a model."""
    if not stat.S_ISREG(place.stat().st_mode):
        raise NotFoundError(f"{place} is neither a file nor a folder; give the folder that holds the weights")
    if match := re.fullmatch(r"meta((_\d+)?)\.json", place.name):
        return place.with_name(f"model{match[1]}.pt")
    if not _MODEL_FILES.fullmatch(place.name):
        raise NotFoundError(f"{place} is no model; expected model_*.pt, model.safetensors, model.mpk, their "
                            "config.json, or the folder that holds them")
    return place


def _hint(place: Path) -> str:
    found = place.glob("*/model_*.pt") if place.is_dir() else iter(())
    inside = sorted(path.parent.name for path in found if not path.parent.name.startswith("."))
    if inside:
        return f"Give one of the folders in it that do: {', '.join(dict.fromkeys(inside))[:300]}"
    if place.is_dir() and any(place.glob("*_checkpoints/*/model_*.pt")):
        return "It is laid out as NANOCHAT_BASE_DIR: set that to it, and name a tag in it, such as d20"
    return "Give the folder that holds the weights"


def save(
    path: str | os.PathLike[str],
    *,
    config: GPTConfig,
    tensors: Mapping[str, AnyTensor],
    tokenizer: Any = None,
    format: str = "native",  # noqa: A002
    meta: Mapping[str, Any] | None = None,
    dtype: Literal["float32", "bfloat16"] | None = None,
    quantize: formats.Format | None = None,
    beside: Callable[[Path], None] | None = None,
) -> Path:
    """The folder, written whole or not at all: an older checkpoint there stays until the new one is on the disk.

    What was written is opened again before it counts, so that nothing is saved which loading refuses. `beside` writes
    further files into the folder before that, such as what a training run goes on from.
    `format` is native, nanochat, huggingface or burn. `quantize` stores the matrices in q8 or q4, which only native
    can hold; `dtype` converts every other tensor, quantised ones to the floats that they stand for.
    Raises `UnsupportedError` where the format cannot hold the network, `CheckpointError` where writing fails or other
    files are in the way.
    """
    write = _WRITERS.get(format) if isinstance(format, str) else None
    if write is None:
        raise UnsupportedError(f"format is {format!r:.60}; expected one of {', '.join(FORMATS)}")
    where, target = "the model to save", place_of(path, "the folder to save to")
    if meta is not None and not isinstance(meta, Mapping):
        raise CheckpointError(f"meta is a {type(meta).__name__}; expected a dict of what JSON can hold")
    check_network(config, tensors, where)
    if tokenizer is not None:
        check_tokenizer(tokenizer, config, where)
    for name, tensor in tensors.items():
        tensor.check_finite(name, where)
    ordered = renamed(tensors, {name: name for name in tensor_shapes(config)})
    made: Mapping[str, AnyTensor] = ordered if quantize is None else quantized(config, ordered, quantize)
    if dtype is not None:
        made = _convert(made, dtype, leave=() if quantize is None else (quantize,))
    found = quantization(made)
    if found is not None and format != "native":
        raise UnsupportedError(f"the {format} format has no place for {found} weights; leave quantize out, convert the "
                               "float original, or give dtype float32 to store the numbers that they stand for")
    with staging.replacing(target) as folder, np.errstate(over="ignore"):  # check_range raises instead
        write(folder, config, made, tokenizer, dict(meta or {}))
        if beside is not None:
            beside(folder)
        with _refusals(folder, target):
            _check_staged(folder, config, with_tokenizer=tokenizer is not None)
    return target


def _check_staged(folder: Path, config: GPTConfig, *, with_tokenizer: bool) -> None:
    """Open what was written as any reader will: checksums, every number, the network and the tokenizer."""
    opened = open(folder)
    rows = opened.config.padded_vocab_size  # fewer where the format leaves the padding out
    wrong = differences(opened.config, replace(config, padded_vocab_size=rows))
    if rows not in (config.padded_vocab_size, config.vocab_size):
        wrong.append("padded_vocab_size")
    if wrong:
        raise UnsupportedError(f"another {', '.join(wrong)} is read than was written")
    if with_tokenizer and opened.tokenizer_path is not None:
        check_tokenizer(Tokenizer.load(opened.tokenizer_path), opened.config, str(folder))


@contextlib.contextmanager
def _refusals(folder: Path, target: Path) -> Iterator[None]:
    """Say why what lies in the staged folder cannot take the target's place."""
    try:
        yield
    except (CheckpointError, ConfigError, TokenizerError) as error:
        said = str(error).replace(f"{folder}{os.sep}", "").replace(str(folder), "the folder")
        raise UnsupportedError(f"{target} was not saved, loading would refuse it: {said}; nothing was changed"
                               ) from None


def _convert(
    tensors: Mapping[str, AnyTensor], dtype: Literal["float32", "bfloat16"], leave: Collection[str]
) -> Mapping[str, AnyTensor]:
    """The tensors in `dtype`, those of a dtype in `leave` as they are."""
    if dtype not in ("float32", "bfloat16"):
        raise UnsupportedError(f"dtype is {dtype!r}; expected 'float32' or 'bfloat16'")

    def convert(name: str) -> AnyTensor:
        tensor = tensors[name]
        if tensor.dtype == dtype or tensor.dtype in leave:
            return tensor
        values = tensor.numpy(np.float32)
        return check_range(Tensor(round_bfloat16(values) if dtype == "bfloat16" else values, dtype), name, tensor.dtype)

    def entry(name: str, own: str, shape: tuple[int, ...]) -> tuple[Kind, Callable[[], AnyTensor]]:
        return (own if own in leave else dtype, shape), lambda: convert(name)

    return LazyTensors({name: entry(name, own, shape) for name, (own, shape) in kinds(tensors).items()})

"""pynanochat's own format: config.json, model.safetensors, tokenizer.json; every constant and checksum written down.

config.json: {"format": "pynanochat", "version": 1, "generation", "config": every GPTConfig field, "meta",
"sha256": {file: hex}}; its own checksum is that of its text with these 64 digits zero. Quantised weights make it
version 2, with "quantization": "q8" or "q4".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pynanochat.checkpoint import json_file, safetensors_file
from pynanochat.checkpoint.checkpoint import Checkpoint, check_network, described
from pynanochat.checkpoint.mapped_file import read_small, sha256
from pynanochat.checkpoint.quantized_tensors import joined, quantization, split
from pynanochat.checkpoint.staging import HashingFile
from pynanochat.config import GPTConfig
from pynanochat.errors import DamagedFileError, NotFoundError, UnsupportedError
from pynanochat.generation import name_of
from pynanochat.quantize.formats import FORMATS, AnyTensor, format_of

FORMAT = "pynanochat"
VERSION = 2  # the newest that is read; files without quantised weights are still written as version 1
CONFIG, MODEL, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
_KEYS = {"format", "version", "generation", "config", "meta", "sha256"}


def read(
    folder: Path,
    *,
    tokenizer: Path | None = None,
    softcap: float | None = None,
    rope_table_dtype: str | None = None,
    verify: bool = True,
) -> Checkpoint:
    """The checkpoint of a native folder; with `verify` the checksums of its files are compared."""
    where = str(folder / CONFIG)
    text = read_small(folder / CONFIG, json_file.MAX_BYTES)
    values = json_file.parse(text, where)
    version = values.get("version") if isinstance(values, dict) else None
    if type(version) is not int or version < 1:
        raise DamagedFileError(f"{where} has no version number; get an intact copy")
    if version > VERSION:
        raise UnsupportedError(f"{where}: version {version} of the format; this pynanochat reads up to {VERSION}, "
                               "install a newer one")
    kinds = {"config": dict, "meta": dict, "sha256": dict, "generation": str, "format": str}
    keys = _KEYS | ({"quantization"} if version > 1 else set())
    if set(values) != keys or not all(isinstance(values[key], kind) for key, kind in kinds.items()):
        raise DamagedFileError(f"{where}: expected exactly the keys {', '.join(sorted(keys))}; get an intact copy")
    _check_config(text, values["sha256"], where)
    told = {"softcap": softcap, "rope_table_dtype": rope_table_dtype}
    fields = values["config"] | {name: value for name, value in told.items() if value is not None}
    cfg = described(where, lambda: GPTConfig.from_dict(fields))
    if verify:
        _check_files(folder, values["sha256"])
    tensors = _tensors(folder / MODEL, cfg, values.get("quantization"), version)
    check_network(cfg, tensors, str(folder / MODEL))
    own = folder / TOKENIZER
    return Checkpoint(
        path=folder, format="native", generation=name_of(cfg), config=cfg, tensors=tensors, meta=values["meta"],
        tokenizer_path=tokenizer or (own if own.is_file() else None))


def write(
    folder: Path, cfg: GPTConfig, tensors: Mapping[str, AnyTensor], tokenizer: Any, meta: dict[str, Any]
) -> None:
    """Fill an empty folder with the files of the format."""
    sums, quantized_to = {CONFIG: "0" * 64}, quantization(tensors)
    stored, order = split(tensors)
    with HashingFile(folder / MODEL) as file:
        safetensors_file.write(file, stored, {"format": FORMAT}, order)
    sums[MODEL] = file.hexdigest()
    if tokenizer is not None:
        tokenizer.save(folder)
        sums[TOKENIZER] = hashlib.sha256((folder / TOKENIZER).read_bytes()).hexdigest()
    values = {"format": FORMAT, "version": 1, "generation": name_of(cfg), "config": cfg.to_dict(), "meta": meta}
    if quantized_to is not None:
        values |= {"version": 2, "quantization": quantized_to}
    values["sha256"] = sums
    text = json_file.dumps(values)
    own = hashlib.sha256(text).hexdigest().encode()
    at = text.rindex(b"0" * 64)
    (folder / CONFIG).write_bytes(text[:at] + own + text[at + 64 :])


def _tensors(path: Path, cfg: GPTConfig, quantized_to: object, version: int) -> Mapping[str, AnyTensor]:
    tensors = safetensors_file.read(path)
    if version == 1:
        return tensors
    format = format_of(quantized_to)  # noqa: A001
    if format is None:
        raise DamagedFileError(f"{path.with_name(CONFIG)}: quantization is {str(quantized_to)[:40]!r}; expected one of "
                               f"{', '.join(FORMATS)}")
    return joined(cfg, tensors, format, str(path))


def _check_config(text: bytes, sums: dict[str, Any], where: str) -> None:
    own = sums.get(CONFIG)
    if not isinstance(own, str) or not re.fullmatch("[0-9a-f]{64}", own):
        raise DamagedFileError(f"{where} has no checksum of itself; get an intact copy")
    at = text.rfind(own.encode())
    if at < 0 or hashlib.sha256(text[:at] + b"0" * 64 + text[at + 64 :]).hexdigest() != own:
        raise DamagedFileError(f"{where} was changed after it was written; get an intact copy, or give softcap and "
                               "rope_table_dtype when loading")


def _check_files(folder: Path, sums: dict[str, Any]) -> None:
    if MODEL not in sums or set(sums) - {CONFIG, MODEL, TOKENIZER}:
        raise DamagedFileError(f"{folder / CONFIG}: expected checksums of {MODEL} and {TOKENIZER}")
    if TOKENIZER not in sums and (folder / TOKENIZER).exists():
        raise DamagedFileError(f"{folder / TOKENIZER} is not the model's: {CONFIG} does not list it; remove it, and "
                               "give a tokenizer by its path")
    for name in (MODEL, TOKENIZER):
        if name not in sums:
            continue
        path = folder / name
        try:
            found = sha256(path)
        except NotFoundError:
            raise NotFoundError(f"{path} is missing; get an intact copy of the folder") from None
        if found != sums[name]:
            raise DamagedFileError(f"{path} was altered: its SHA-256 is not the one in {CONFIG}; get an intact copy")

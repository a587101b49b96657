"""Upstream's own files: model_%06d.pt and meta_%06d.json, the tokenizer beside them or where upstream keeps it.

Source: karpathy/nanochat nanochat/checkpoint_manager.py, 92d63d4.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pynanochat.checkpoint import json_file, torch_file
from pynanochat.checkpoint.checkpoint import Checkpoint, check_floats, described, differences, shapes_of
from pynanochat.config import GPTConfig
from pynanochat.errors import CheckpointError, ConfigError, DamagedFileError, NotFoundError, UnsupportedError
from pynanochat.generation import detect
from pynanochat.tensor import Tensor

_STEPS = 10**12
_STEP = re.compile(r"model_(\d{1,12})\.pt$")  # searched, as upstream does, so "x_model_000007.pt" counts
_COMPILED = "_orig_mod."  # torch.compile's prefix
_OURS = "pynanochat"  # key of the meta file for what the tensors do not show
_HIDDEN = ("softcap", "rope_table_dtype")


def step_of(value: object) -> int | None:
    """A training step that a user asks for, or None for the last; `CheckpointError` where it is no such number."""
    if value is None:
        return None
    try:
        step = -1 if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        step = -1
    if not 0 <= step < _STEPS:
        shown = str(value)[:40] if type(value) is int and abs(value) < _STEPS else f"a {type(value).__name__}"
        raise CheckpointError(f"step is {shown}; expected a whole number, 0 or more and at most 12 digits long")
    return step


def find_last_step(folder: Path) -> int:
    """The highest step that a file name of the folder has, by upstream's rule; `NotFoundError` if there is none."""
    names = (entry.name for entry in folder.iterdir()) if folder.is_dir() else iter(())
    steps = [int(match[1]) for name in names if (match := _STEP.search(name))]
    if not steps:
        raise NotFoundError(f"{folder} holds no model_*.pt")
    return max(steps)


def model_file(folder: Path, step: int | None = None) -> Path:
    """The model file of a step, the last one if None; a lone model.pt counts where no file has a number."""
    if step is None:
        if not any(folder.glob("*model_*.pt")) and (folder / "model.pt").is_file():
            return folder / "model.pt"
        step = find_last_step(folder)
    exact = folder / f"model_{step:06d}.pt"
    if exact.is_file():
        return exact
    for path in sorted(folder.glob(f"model_*{step}.pt")):
        if (match := _STEP.match(path.name)) and int(match[1]) == step:
            return path
    there = sorted(path.name for path in folder.glob("model_*.pt"))
    raise NotFoundError(f"{folder} holds no model_{step:06d}.pt; it has {', '.join(there[:8]) or 'no model_*.pt'}")


def read(
    path: Path,
    *,
    step: int | None = None,
    tokenizer: Path | None = None,
    softcap: float | None = None,
    rope_table_dtype: str | None = None,
    verify: bool = True,
) -> Checkpoint:
    """The checkpoint of a folder, or of one model file in it."""
    model = path if path.suffix == ".pt" else model_file(path, step)
    where, folder = str(model), model.parent
    meta = _read_meta(model)
    tensors = _tensors(torch_file.read(model, verify=verify), where)
    check_floats(tensors, where)
    hints = _hints(meta, where)
    generation, cfg = described(where, lambda: detect(
        meta["model_config"], shapes_of(tensors), where=where, user_config=_user_config(meta),
        softcap=hints.get("softcap") if softcap is None else softcap,
        rope_table_dtype=hints.get("rope_table_dtype") if rope_table_dtype is None else rope_table_dtype))
    told = {*hints} | {name for name, value in zip(_HIDDEN, (softcap, rope_table_dtype), strict=True) if value}
    return Checkpoint(
        path=folder, format="nanochat", generation=generation, config=cfg, tensors=tensors,
        tokenizer_path=tokenizer or _find_tokenizer(folder), meta=meta, notes=_notes(generation, cfg, told))


def write(folder: Path, cfg: GPTConfig, tensors: Mapping[str, Tensor], tokenizer: Any, meta: dict[str, Any]) -> None:
    """Fill an empty folder: model and meta, and the tokenizer's files, which upstream wants in tokenizer/ instead.

    Raises `UnsupportedError` naming the constants that this format cannot express.
    """
    sizes = ("sequence_len", "vocab_size", "n_layer", "n_head", "n_kv_head", "n_embd")
    model_config: dict[str, Any] = {name: getattr(cfg, name) for name in sizes}
    if cfg.window_pattern is not None:
        model_config["window_pattern"] = cfg.window_pattern
    meta = {key: value for key, value in meta.items() if key not in ("model_config", _OURS)}
    meta["model_config"] = model_config
    shapes, where = shapes_of(tensors), str(folder)
    hints: dict[str, Any] = {}

    def different() -> list[str]:
        try:
            _, found = detect(model_config, shapes, where=where, user_config=_user_config(meta), **hints)
        except (UnsupportedError, ConfigError):
            return ["set of tensors"]
        return differences(found, cfg)

    if different():
        hints = meta[_OURS] = {name: getattr(cfg, name) for name in _HIDDEN}
    if missing := different():
        raise UnsupportedError(f"nanochat's format cannot express this model: no upstream version has its "
                               f"{', '.join(missing)}; save it as native instead")
    step = meta.get("step")
    number = step if type(step) is int and 0 <= step < 10**9 else 0
    with (folder / f"model_{number:06d}.pt").open("xb") as file:
        torch_file.write(file, tensors)
    (folder / f"meta_{number:06d}.json").write_bytes(json_file.dumps(meta))
    if tokenizer is not None:
        tokenizer.save_pickle(folder)
        with (folder / "token_bytes.pt").open("xb") as file:
            torch_file.write(file, Tensor.of(np.array(tokenizer.token_bytes(), np.int32)))


def _read_meta(model: Path) -> dict[str, Any]:
    path = model.with_name(re.sub(r"model((_\d+)?)\.pt$", r"meta\1.json", model.name))
    if path == model or not path.is_file():
        raise NotFoundError(f"{model} has no {path.name if path != model else 'meta_*.json'} beside it; copy it there, "
                            "it holds the sizes of the network")
    meta = json_file.read(path)
    if not isinstance(meta.get("model_config"), dict):
        raise DamagedFileError(f"{path} has no object model_config; expected the sizes of the network")
    return meta


def _user_config(meta: Mapping[str, Any]) -> dict[str, Any] | None:
    value = meta.get("user_config")
    return value if isinstance(value, dict) else None


def _hints(meta: Mapping[str, Any], where: str) -> dict[str, Any]:
    hints = meta.get(_OURS, {})
    if not isinstance(hints, dict) or set(hints) - set(_HIDDEN) or None in hints.values():
        raise DamagedFileError(f"{where}: the meta file's key {_OURS!r} holds something else than "
                               f"{' and '.join(_HIDDEN)}")
    if type(hints.get("softcap", 1.0)) not in (int, float):
        raise DamagedFileError(f"{where}: the meta file's softcap is no number")
    return hints


def _tensors(data: Any, where: str) -> dict[str, Tensor]:
    if not isinstance(data, dict) or not data:
        raise UnsupportedError(f"{where} holds no state dict; expected the tensors of a nanochat model by name")
    tensors: dict[str, Tensor] = {}
    for key, value in data.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise UnsupportedError(f"{where}: {str(key)[:80]!r} is no tensor; expected the state dict of a model")
        name = key.removeprefix(_COMPILED)
        if name in tensors:
            raise DamagedFileError(f"{where}: tensor {name[:80]!r} is there twice, with and without {_COMPILED!r}")
        tensors[name] = value
    return tensors


def _find_tokenizer(folder: Path) -> Path | None:
    """The tokenizer of a checkpoint: in its folder, or in tokenizer/ beside it or up to the base folder."""
    folder = folder.resolve()
    places = [folder, folder / "tokenizer", folder.parent / "tokenizer", folder.parent.parent / "tokenizer"]
    for place in places:
        for name in ("tokenizer.pkl", "tokenizer.json"):
            if (place / name).is_file():
                return place / name
    return None


def _notes(generation: str, cfg: GPTConfig, told: set[str]) -> tuple[str, ...]:
    notes = []
    if generation in ("G2", "G2b", "G2c"):
        if "softcap" not in told:
            notes.append(f"tensors do not show the softcap: took {cfg.softcap:g} (it was 20 from 3 to 9 March 2026, "
                         "15 before and after); softcap settles it")
        if "rope_table_dtype" not in told and cfg.softcap == 20:
            notes.append(f"tensors do not show the rounding of the rotary tables: took {cfg.rope_table_dtype} (it was "
                         "bfloat16 until 4 March 2026, float32 after); rope_table_dtype settles it")
    return tuple(notes)

"""From a model's name to its folder: a path, the bundled model, a tag under NANOCHAT_BASE_DIR, or a hub id.

The folder of a training run stands for its newest checkpoint, which is found when it is opened.

Source: karpathy/nanochat nanochat/checkpoint_manager.py and nanochat/common.py, 92d63d4.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from pynanochat.checkpoint import hub, run_folder
from pynanochat.checkpoint.nanochat import find_last_step, model_file, step_of
from pynanochat.checkpoint.place import place_of
from pynanochat.errors import CheckpointError, NotFoundError

__all__ = ["BUNDLED", "STAGES", "base_dir", "find_largest_model", "find_last_step", "resolve"]

BUNDLED = "nano8m"
STAGES = {  # newest first: the same tag may be in several
    "rl": "chatrl_checkpoints", "sft": "chatsft_checkpoints", "mid": "mid_checkpoints", "base": "base_checkpoints",
}
_ASSETS = Path(__file__).parent.parent / "assets"
_TAG = re.compile(r"(?:(?P<source>[a-z]+)/)?(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,99})(?:@(?P<step>\d{1,12}))?")
_HUB_ID = re.compile(
    r"(?P<repo>[A-Za-z0-9][\w.-]{0,99}/[A-Za-z0-9][\w.-]{0,99})"
    r"(?:@(?P<revision>(?!/|.*\.\.)[\w./-]{1,200}))?", re.ASCII)


def base_dir() -> Path:
    """Where upstream keeps its models: NANOCHAT_BASE_DIR, else ~/.cache/nanochat."""
    return place_of(os.environ.get("NANOCHAT_BASE_DIR") or "~/.cache/nanochat", "NANOCHAT_BASE_DIR")


def tags_of(folder: Path) -> list[str]:
    """The names of the models in a folder; what begins with a dot, such as an unfinished save, is none."""
    entries = folder.iterdir() if folder.is_dir() else iter(())
    return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def find_largest_model(folder: Path) -> str:
    """The tag of the deepest model of a folder, d<depth> by upstream's rule, else the newest one."""
    tags = tags_of(folder)
    if not tags:
        raise NotFoundError(f"{folder} holds no models")
    deep = [(int(match[1]), tag) for tag in tags if (match := re.match(r"d(\d{1,12})", tag))]
    if deep:
        return max(deep, key=lambda pair: pair[0])[1]
    return max(tags, key=lambda tag: (folder / tag).stat().st_mtime)


def resolve(
    name: str | os.PathLike[str] | None, *, source: str | None = None, step: int | None = None, offline: bool = False
) -> Path:
    """The folder of a model; where a step is asked for, its model_*.pt, or the checkpoint's folder in a run's.

    An existing path wins, then the bundled model, then tags ("d20", "sft/d20", "d20@650", newest stage first), then
    a hub id ("owner/name", "owner/name@revision"), which is downloaded. None is the bundled model, or the largest one
    of `source`. Raises `NotFoundError` with what was looked at and what there is.
    """
    try:
        return _resolve(name, source, step_of(step), offline)
    except OSError as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{error.filename or name} cannot be read: {error.strerror or error}") from None


def _resolve(name: str | os.PathLike[str] | None, source: str | None, step: int | None, offline: bool) -> Path:
    if source is not None and source not in tuple(STAGES):
        raise CheckpointError(f"source is {source!r:.60}; expected one of {', '.join(reversed(STAGES))}")
    if name is None:
        if source is None:
            return _with_step(_bundled(BUNDLED), step)
        return _with_step(base_dir() / STAGES[source] / find_largest_model(base_dir() / STAGES[source]), step)
    text = os.fspath(name) if isinstance(name, (str, os.PathLike)) else name
    if not isinstance(text, str):
        raise CheckpointError(f"the model's name is a {type(name).__name__}; expected text or pathlib.Path")
    path = _existing(text)
    if path is not None:
        _refuse_source(source, f"{path} is a path")
        return _with_step(path, step)
    if text == BUNDLED:
        _refuse_source(source, f"{text} is bundled")
        return _with_step(_bundled(text), step)
    match = _TAG.fullmatch(text)
    if match and match["source"] in (None, *STAGES):
        if source is not None and match["source"] not in (None, source):
            raise CheckpointError(f"{text} names one training stage and source another, {source}; give one of them")
        found = _tag(match["tag"], match["source"] or source)
        if found is not None:
            own = int(match["step"]) if match["step"] else None
            if None not in (own, step) and own != step:
                raise CheckpointError(f"{text} names step {own}, and step {step} is asked for; give one of them")
            return _with_step(found, step if own is None else own)
    hub_id = _HUB_ID.fullmatch(text)
    if hub_id and text.partition("/")[0] not in STAGES:
        _refuse_source(source, f"{text} is no path or tag here but a Hugging Face id")
        return hub.download(hub_id["repo"], revision=hub_id["revision"], step=step, offline=offline)
    raise NotFoundError(f"no model {text[:200]!r}: it is no path, and no tag under {base_dir()}. "
                        f"Use {_known()}; a folder; or a Hugging Face id, owner/name")


def _refuse_source(source: str | None, why: str) -> None:
    if source is not None:
        raise CheckpointError(f"source {source} picks a training stage of a tag, but {why}; leave source out")


def _tag(tag: str, source: str | None) -> Path | None:
    folders = (base_dir() / STAGES[stage] / tag for stage in ([source] if source else STAGES))
    return next((folder for folder in folders if folder.is_dir()), None)


def _with_step(path: Path, step: int | None) -> Path:
    if step is None or path.is_file():
        return path
    if run_folder.is_run(path):
        return run_folder.of_step(path, step)
    if not any(path.glob("model_*.pt")):
        raise NotFoundError(f"{path} holds one model and no training steps; leave step {step} out")
    return model_file(path, step)


def _existing(text: str) -> Path | None:
    try:
        path = place_of(text, "the model's name")
        return path if text and path.exists() else None
    except (OSError, CheckpointError):  # a name that is too long, or that no file can have
        return None


def _bundled(name: str) -> Path:
    folder = _ASSETS / name
    if not folder.is_dir():
        raise NotFoundError(f"the bundled model {name} is not installed: no {folder}; install pynanochat again")
    return folder


def _known() -> str:
    tags = [f"{stage}/{tag}" for stage, place in STAGES.items() for tag in tags_of(base_dir() / place)]
    return ", ".join([f"{BUNDLED} (bundled)", *tags])[:600]

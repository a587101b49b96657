"""Models from the Hugging Face hub: only the files of one checkpoint are fetched, into the hub's own cache."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from pynanochat.errors import CheckpointError, NotFoundError

_MODEL = re.compile(r"model_(\d{1,12})\.pt")
_TOKENIZER = ("tokenizer.json", "tokenizer.pkl")
_HUGGINGFACE = ("config.json", "generation_config.json", *_TOKENIZER)
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")


def download(
    repo: str,
    *,
    revision: str | None = None,
    step: int | None = None,
    offline: bool = False,
    endpoint: str | None = None,
    cache_dir: Path | None = None,
) -> Path:
    """The local folder with one checkpoint of a hub repository; `offline` (or HF_HUB_OFFLINE) uses the cache alone.

    Raises `NotFoundError` where repository, revision or checkpoint do not exist, `CheckpointError` where the network,
    the access or the library is missing.
    """
    try:
        import huggingface_hub
        from huggingface_hub import constants, errors
    except ImportError:
        raise CheckpointError(f"{repo} is no path and no tag here; to look for it on the Hugging Face hub, "
                              "run: pip install 'pynanochat[hub]'") from None
    what = f"{repo}@{revision}" if revision else repo
    common: dict[str, Any] = {"revision": revision, "endpoint": endpoint, "cache_dir": cache_dir}
    try:
        if offline or constants.HF_HUB_OFFLINE:
            # no pattern: whatever files are in the cache, since not all of the repository were ever fetched
            folder = Path(huggingface_hub.snapshot_download(repo, local_files_only=True, allow_patterns=[], **common))
            names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
            return folder / _wanted(names, step, what)[0]
        info = huggingface_hub.HfApi(endpoint=endpoint).model_info(repo, revision=revision)
        place, wanted = _wanted((file.rfilename for file in info.siblings or ()), step, what)
        return Path(huggingface_hub.snapshot_download(repo, allow_patterns=wanted, **common)) / place
    except errors.GatedRepoError:
        raise CheckpointError(f"{what} is gated: accept its terms on the hub, then run: hf auth login") from None
    except errors.RevisionNotFoundError:
        raise NotFoundError(f"{repo} has no revision {revision!r} on the Hugging Face hub") from None
    except errors.RepositoryNotFoundError:
        raise NotFoundError(f"{what} is not on the Hugging Face hub, or it is private: run hf auth login") from None
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled):
        raise NotFoundError(f"{what} is not in the hub's cache, and the hub cannot be reached; "
                            "load it once while online") from None
    except (errors.EntryNotFoundError, errors.HFValidationError) as error:
        raise NotFoundError(f"{what}: {_line(error)}") from None
    except errors.HfHubHTTPError as error:
        raise CheckpointError(f"{what}: the Hugging Face hub answered with an error: {_line(error)}") from None
    except CheckpointError:
        raise
    except Exception as error:  # the hub's transport changed from requests to httpx: any of their errors ends here
        raise CheckpointError(f"{what} is no path or tag here, and the Hugging Face hub was not reached: "
                              f"{_line(error)}") from None


def _wanted(files: Iterable[str], step: int | None, what: str) -> tuple[str, list[str]]:
    """The folder of the checkpoint in a repository, and its files: at the top, else in the newest stage's."""
    folders: dict[str, set[str]] = {}
    for file in files:
        path = PurePosixPath(file)
        folders.setdefault(str(path.parent), set()).add(path.name)
    order = ("chatrl_", "chatsft_", "mid_", "base_")
    ranked = sorted(folders, key=lambda name: (
        name != ".", next((i for i, stage in enumerate(order) if name.startswith(stage)), 9), -_depth(name), name))
    for folder in ranked:
        names = _files(folders[folder], step)
        if names:
            tokenizers = [f"tokenizer/{name}" for name in (*_TOKENIZER, "token_bytes.pt")
                          if name in folders.get("tokenizer", ())]
            prefix = "" if folder == "." else f"{folder}/"
            return folder, [f"{prefix}{name}" for name in names] + tokenizers
    wish = f" of step {step}" if step is not None else ""
    raise NotFoundError(f"{what} holds no checkpoint{wish}: no model_*.pt with its meta_*.json, config.json with "
                        "model.safetensors, or model.mpk")


def _files(names: set[str], step: int | None) -> list[str]:
    """The files of the checkpoint that a folder holds, none if it holds none."""
    tokenizers = {name for name in (*_TOKENIZER, "token_bytes.pt") if name in names}
    steps = {int(match[1]): name for name in names if (match := _MODEL.fullmatch(name))}
    model = steps.get(max(steps, default=-1) if step is None else step)
    if model is None and step is None and "model.pt" in names:
        model = "model.pt"
    if model is not None:
        meta = model.replace("model", "meta", 1).removesuffix(".pt") + ".json"
        return sorted({model, meta} & names | tokenizers)
    if step is None and "config.json" in names:
        shards = {name for name in names if _SHARD.fullmatch(name)} | {"model.safetensors.index.json"}
        for weights in ({"model.safetensors"}, shards, {"model.mpk"}):
            if weights <= names:
                return sorted(weights | {name for name in _HUGGINGFACE if name in names} | tokenizers)
    return []


def _depth(folder: str) -> int:
    match = re.search(r"(?:^|/)d(\d{1,9})", folder)
    return int(match[1]) if match else -1


def _line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:300]

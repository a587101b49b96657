"""Checkpoint: an opened model of any format, under upstream's tensor names and [out, in] shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from pynanochat.checkpoint.lazy_tensors import LazyTensors, derived, kinds
from pynanochat.checkpoint.mapped_file import release
from pynanochat.checkpoint.quantized_tensors import quantization
from pynanochat.config import GPTConfig
from pynanochat.errors import ConfigError, TokenizerError, UnsupportedError
from pynanochat.quantize.formats import AnyTensor, QuantizedTensor
from pynanochat.quantize.quantizer import matrices
from pynanochat.tensor import FLOAT_DTYPES, Tensor
from pynanochat.weights import LM_HEAD, WTE, Shape, check_tensors, value_embed

R = TypeVar("R")
Format = Literal["native", "nanochat", "huggingface", "burn"]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a file or folder holds; tensors are views of mapped files, so that opening costs no memory."""

    path: Path  # the folder
    format: Format
    generation: str
    config: GPTConfig
    tensors: Mapping[str, AnyTensor]
    tokenizer_path: Path | None = None
    meta: dict[str, Any] = field(default_factory=dict)  # step, val_bpb and whatever else was there
    notes: tuple[str, ...] = ()  # what could not be seen in the files and was assumed

    def check_values(self) -> None:
        """Raise `DamagedFileError` if a weight is not a finite number; reads every tensor once."""
        for name, tensor in self.tensors.items():
            tensor.check_finite(name, str(self.path))
            for array in (tensor.codes, tensor.scales) if isinstance(tensor, QuantizedTensor) else (tensor.data,):
                release(array)


class HasVocabulary(Protocol):
    """The part of a tokenizer that a model's config must agree with."""

    @property
    def vocab_size(self) -> int:
        """How many ids there are."""
        ...


def described(where: str, describe: Callable[[], R]) -> R:
    """What `describe` makes of a file's numbers; `ConfigError` names the file where they describe no network."""
    try:
        return describe()
    except ConfigError as error:
        text = str(error)
        raise ConfigError(text if text.startswith(where) else f"{where}: {text}") from None
    except (TypeError, AttributeError):  # a list, a text or nothing where a number belongs
        raise ConfigError(f"{where}: a value is of the wrong kind; expected the numbers of a network") from None


def check_tokenizer(tokenizer: HasVocabulary, cfg: GPTConfig, where: str) -> None:
    """Raise `TokenizerError` if a tokenizer has another vocabulary than the model."""
    if tokenizer.vocab_size != cfg.vocab_size:
        raise TokenizerError(f"{where}: the tokenizer has {tokenizer.vocab_size:,} ids, the model {cfg.vocab_size:,}; "
                             "give the tokenizer that the model was trained with")


def shapes_of(tensors: Mapping[str, AnyTensor]) -> dict[str, Shape]:
    """The shape of every tensor."""
    return {name: shape for name, (_, shape) in kinds(tensors).items()}


def check_floats(tensors: Mapping[str, AnyTensor], where: str) -> None:
    """Raise `UnsupportedError` naming a tensor that holds no floating-point numbers."""
    for name, (dtype, _) in kinds(tensors).items():
        if dtype not in FLOAT_DTYPES:
            raise UnsupportedError(f"{where}: tensor {name} is {dtype}; expected one of {', '.join(FLOAT_DTYPES)}")


def check_network(cfg: GPTConfig, tensors: Mapping[str, AnyTensor], where: str) -> None:
    """Raise `UnsupportedError` where tensors are not those of `cfg`: floats, or all matrices quantised alike."""
    check_tensors(cfg, shapes_of(tensors), where)
    found = quantization(tensors)
    if found is None:
        return check_floats(tensors, where)
    names = matrices(cfg)
    for name, (dtype, _) in kinds(tensors).items():
        wanted = (found,) if name in names else FLOAT_DTYPES
        if dtype not in wanted:
            raise UnsupportedError(f"{where}: tensor {name} is {dtype} in a model quantised to {found}; expected "
                                   f"{' or '.join(wanted)}")
    return None


def differences(cfg: GPTConfig, other: GPTConfig) -> list[str]:
    """Names of the config fields in which two networks differ; fields of features that are off do not count."""
    left, right = _canonical(cfg), _canonical(other)
    different = [f.name for f in fields(GPTConfig) if getattr(left, f.name) != getattr(right, f.name)]
    if _windows(cfg) != _windows(other):
        different.append("window_pattern")
    return different


def crop_vocabulary(cfg: GPTConfig, tensors: Mapping[str, Tensor]) -> tuple[GPTConfig, Mapping[str, Tensor]]:
    """A network without the rows of its tables that pad the vocabulary and that no token reaches."""
    rows, cropped = cfg.vocab_size, replace(cfg, padded_vocab_size=cfg.vocab_size)
    if cfg == cropped:
        return cfg, tensors
    tables = {WTE, LM_HEAD, *(value_embed(layer) for layer in range(cfg.n_layer))}
    return cropped, LazyTensors({
        name: derived(tensors, name, (dtype, (rows, *shape[1:])), lambda data: data[:rows]) if name in tables
        else derived(tensors, name, (dtype, shape), lambda data: data)
        for name, (dtype, shape) in kinds(tensors).items()})


def _windows(cfg: GPTConfig) -> list[int | None]:
    return [cfg.window(layer) for layer in range(cfg.n_layer)]


def _canonical(cfg: GPTConfig) -> GPTConfig:
    default = GPTConfig()
    unused = ["window_pattern", "short_window"]  # compared by what they mean, layer by layer
    unused += [] if cfg.value_embeds else ["value_gate_width", "value_gate_gain"]
    unused += [] if cfg.smear else ["smear_gate_width"]
    values = {f.name: getattr(cfg, f.name) for f in fields(GPTConfig)}
    values |= {name: getattr(default, name) for name in unused}
    if not cfg.value_embeds:
        values["value_gate_width"] = 1
    if not cfg.smear:
        values["smear_gate_width"] = 1
    return GPTConfig(**values)

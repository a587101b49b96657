"""TrainConfig: everything that decides a training run, as plain data that a run's folder keeps."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from pynanochat.config import GPTConfig
from pynanochat.errors import TrainingError

_MOST_BATCH_TOKENS = 1 << 27  # far above any good batch, and small enough to lie in memory
Dtype = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The numbers of a run; defaults are upstream's at depth 12, where a batch is 2^19 tokens.

    Rates are those before the schedule. Raises `TrainingError` when numbers contradict each other.
    Source: karpathy/nanochat scripts/base_train.py, July 2026.
    """

    network: GPTConfig
    steps: int
    batch_tokens: int = 524_288  # of an optimizer step, over all processes
    rows: int = 32  # of a micro-batch, on one process
    row_tokens: int = 0  # T; 0: the network's sequence_len
    seed: int = 0

    # optimizer
    embedding_lr: float = 0.3
    unembedding_lr: float = 0.008
    matrix_lr: float = 0.02
    scalar_lr: float = 0.5
    weight_decay: float = 0.28  # of the matrices; a cosine takes it to 0
    warmup_steps: int = 40
    warmdown_ratio: float = 0.65  # share of the steps at the end in which the rates fall
    final_lr_frac: float = 0.05
    start_lr_frac: float = 1.0  # of all rates; upstream fine-tunes with 0.8

    # network while it trains
    init: Literal["nanochat", "kaiming"] = "nanochat"
    dropout: float = 0.0
    dtype: Dtype = "auto"  # of activations; weights are float32
    compile: Literal["auto", "on", "off"] = "auto"

    # a loss or gradient that is not finite, or a loss above `spike` times the recent mean
    on_bad_step: Literal["stop", "skip"] = "stop"
    spike: float | None = None

    # how often, in steps; 0: only at the end
    eval_every: int = 250
    eval_tokens: int = 262_144
    save_every: int = 250
    keep_last: int = 2
    keep_best: bool = True
    sample_prompts: tuple[str, ...] = ()  # continued from every checkpoint that is saved; after sft, answered

    def __post_init__(self) -> None:
        if not isinstance(self.network, GPTConfig):
            raise TrainingError(f"network is a {type(self.network).__name__}; expected a GPTConfig")
        prompts = self.sample_prompts
        if not isinstance(prompts, (tuple, list)) or not all(isinstance(prompt, str) for prompt in prompts):
            raise TrainingError("sample_prompts is no list of texts; expected some, or ()")
        object.__setattr__(self, "sample_prompts", tuple(self.sample_prompts))  # JSON has lists alone
        if not self.row_tokens:
            object.__setattr__(self, "row_tokens", self.network.sequence_len)
        self._check()

    def _check(self) -> None:
        whole = ("steps", "batch_tokens", "rows", "row_tokens", "keep_last")
        for name in (*whole, "seed", "warmup_steps", "eval_every", "eval_tokens", "save_every"):
            value = getattr(self, name)
            least, most = int(name in whole), _MOST_BATCH_TOKENS if name in ("batch_tokens", "row_tokens") else 1 << 50
            if type(value) is not int or not least <= value <= most:
                raise TrainingError(f"{name} is {value!r:.40}; expected a whole number, {least} to {most:,}")
        for name in ("embedding_lr", "unembedding_lr", "matrix_lr", "scalar_lr", "weight_decay", "warmdown_ratio",
                     "final_lr_frac", "start_lr_frac", "dropout"):
            value = getattr(self, name)
            if type(value) not in (int, float) or not 0 <= value < 1e6:
                raise TrainingError(f"{name} is {value!r}; expected a number, 0 or more")
        if self.warmdown_ratio > 1 or self.dropout >= 1:
            raise TrainingError("warmdown_ratio is at most 1 and dropout below 1; "
                                f"got {self.warmdown_ratio} and {self.dropout}")
        if self.row_tokens > self.network.max_context:
            raise TrainingError(f"row_tokens is {self.row_tokens}; the rotary tables of this network reach "
                                f"{self.network.max_context}")
        if self.batch_tokens % self.row_tokens:
            raise TrainingError(f"batch_tokens {self.batch_tokens:,} is no multiple of row_tokens {self.row_tokens}; "
                                "a step is made of whole rows")
        if self.spike is not None and not (type(self.spike) in (int, float) and 1 < self.spike < 1e6):
            raise TrainingError(f"spike is {self.spike!r}; expected a number above 1 and below a million, or None")
        choices = {"init": ("nanochat", "kaiming"), "dtype": ("auto", "float32", "bfloat16"),
                   "compile": ("auto", "on", "off"), "on_bad_step": ("stop", "skip")}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise TrainingError(f"{name} is {getattr(self, name)!r}; expected {' or '.join(allowed)}")

    @property
    def step_rows(self) -> int:
        """R: rows of an optimizer step, over all processes."""
        return self.batch_tokens // self.row_tokens

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        """The config of `to_dict`; `TrainingError` names a field that is unknown or missing."""
        if not isinstance(values, dict) or not isinstance(values.get("network", {}), dict):
            raise TrainingError("the settings of a training run are no object of names and values")
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise TrainingError(f"unknown training setting {unknown[0]!r}; this version does not know it")
        missing = sorted({"network", "steps"} - set(values))
        if missing:
            raise TrainingError(f"the training setting {missing[0]!r} is missing")
        return cls(**{**values, "network": GPTConfig.from_dict(values["network"])})

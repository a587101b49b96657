"""GPTConfig: every constant of a nanochat network, so that one `model.py` is all generations.

Shape letters: C n_embd, H n_head, G n_kv_head, D head_dim, F n_inner, V vocab_size, L n_layer, T sequence_len.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from pynanochat.errors import ConfigError, ContextError

FLOAT32_EPS = 1.1920928955078125e-07  # what torch's rms_norm adds in every dtype when eps is None
CONTEXT_FACTOR = 10  # rotary tables reach this many sequence_len, as upstream's do

_LIMITS = {  # far beyond any nanochat, small enough that no product of two overflows or fills a disk
    "sequence_len": 1 << 24,
    "vocab_size": 1 << 24,
    "padded_vocab_size": 1 << 24,
    "n_layer": 1 << 12,
    "n_head": 1 << 12,
    "n_kv_head": 1 << 12,
    "n_embd": 1 << 18,
    "n_inner": 1 << 20,
    "value_gate_width": 1 << 18,
    "smear_gate_width": 1 << 18,
}


@dataclass(frozen=True, kw_only=True)
class GPTConfig:
    """The numbers that define a network; the defaults are nanochat's of July 2026 at depth 12.

    Zero for `n_inner`, `padded_vocab_size` or `short_window` means upstream's rule for it, filled in here.
    Raises `ConfigError` when the numbers describe no network.
    """

    # sizes, as upstream's meta_*.json stores them
    sequence_len: int = 2048
    vocab_size: int = 32768
    n_layer: int = 12
    n_head: int = 6
    n_kv_head: int = 6
    n_embd: int = 768
    n_inner: int = 0  # F; 0: 4 C
    padded_vocab_size: int = 0  # rows of wte and lm_head; 0: vocab_size rounded up to 64

    # attention
    window_pattern: str | None = "SSSL"  # tiled over the layers, the last is always L; None: every layer sees all
    short_window: int = 0  # tokens an S layer sees before the current one; 0: T/4 rounded up to 128
    rope_base: float = 100_000.0
    rope_table_dtype: Literal["float32", "bfloat16"] = "float32"  # rounding of the tables, on every device
    qk_scale: float = 1.2  # on queries and on keys, after their norm
    qkv_clip: float | None = None  # nanochat-rs limits q, k and v to +-5

    # what the blocks add
    lambdas: bool = True  # x = resid_lambdas[i] x + x0_lambdas[i] x0 before block i
    value_embeds: bool = True  # every second layer, the last included
    value_gate_width: int = 12
    value_gate_gain: float = 3.0
    bigram: bool = False  # a hashed table of token pairs (27 and 28 January 2026)
    smear: bool = True  # a gated share of the token before
    smear_gate_width: int = 24
    backout: bool = True  # take the middle of the network out again before the head

    # ends
    embed_norm: bool = True
    norm_eps: float = FLOAT32_EPS
    softcap: float = 15.0
    logit_clip: float | None = None  # nanochat-rs limits logits to +-50 before its softcap

    def __post_init__(self) -> None:
        for name in ("sequence_len", "vocab_size", "n_embd"):
            if type(getattr(self, name)) is not int:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; expected a whole number")
        derived = {"n_inner": 4 * self.n_embd, "padded_vocab_size": -(-self.vocab_size // 64) * 64,
                   "short_window": -(-self.sequence_len // 4 // 128) * 128}
        for name, value in derived.items():
            if not getattr(self, name):
                object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        for name, limit in _LIMITS.items():
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= limit:
                raise ConfigError(f"{name} is {value!r}; expected a whole number from 1 to {limit:,}")
        for name in ("rope_base", "qk_scale", "norm_eps", "softcap", "value_gate_gain", "qkv_clip", "logit_clip"):
            value = getattr(self, name)
            if value is None and name in ("qkv_clip", "logit_clip"):
                continue
            if type(value) not in (int, float) or not 0 < value < 1e30:
                raise ConfigError(f"{name} is {value!r}; expected a number above 0")
        for name in ("lambdas", "value_embeds", "bigram", "smear", "backout", "embed_norm"):
            if type(getattr(self, name)) is not bool:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; expected true or false")
        if self.n_embd % self.n_head or self.head_dim % 2:
            raise ConfigError(f"n_embd {self.n_embd} does not split into {self.n_head} heads of even width")
        if self.n_head % self.n_kv_head:
            raise ConfigError(f"n_head {self.n_head} is not a multiple of n_kv_head {self.n_kv_head}")
        if self.padded_vocab_size < self.vocab_size:
            raise ConfigError(f"padded_vocab_size {self.padded_vocab_size} is below vocab_size {self.vocab_size}")
        if self.window_pattern is not None and (not self.window_pattern or set(self.window_pattern) - set("SL")):
            raise ConfigError(f"window_pattern is {self.window_pattern!r}; expected letters S and L, as in 'SSSL'")
        if type(self.short_window) is not int or not 0 <= self.short_window <= 1 << 24:
            raise ConfigError(f"short_window is {self.short_window!r}; expected a whole number of tokens")
        if self.rope_table_dtype not in ("float32", "bfloat16"):
            raise ConfigError(f"rope_table_dtype is {self.rope_table_dtype!r}; expected 'float32' or 'bfloat16'")
        for name, on in (("value_gate_width", self.value_embeds), ("smear_gate_width", self.smear)):
            if on and getattr(self, name) > self.n_embd:
                raise ConfigError(f"{name} {getattr(self, name)} is wider than n_embd {self.n_embd}")

    @property
    def head_dim(self) -> int:
        """D, the width of a head."""
        return self.n_embd // self.n_head

    @property
    def bigram_rows(self) -> int:
        """Rows of the hashed table of token pairs."""
        return 5 * self.vocab_size

    @property
    def max_context(self) -> int:
        """The most tokens a sequence may have: as far as upstream's rotary tables reach."""
        return CONTEXT_FACTOR * self.sequence_len

    def context(self, wanted: int | None) -> int:
        """`wanted` tokens of context if the rotary tables reach that far, sequence_len for None; or `ContextError`."""
        if wanted is None:
            return self.sequence_len
        if type(wanted) is not int or not 1 <= wanted <= self.max_context:
            raise ContextError(f"a context of {wanted!r} tokens is not possible; expected 1 to {self.max_context}, "
                               "ten times sequence_len")
        return wanted

    def has_value_embed(self, layer: int) -> bool:
        """Whether `layer` adds value embeddings: every second one, counted back from the last."""
        return self.value_embeds and layer % 2 == (self.n_layer - 1) % 2

    def window(self, layer: int) -> int | None:
        """How many tokens before the current one `layer` sees; None: all. Query i sees keys i - window .. i."""
        if self.window_pattern is None:
            return None
        last = layer == self.n_layer - 1
        long = last or self.window_pattern[layer % len(self.window_pattern)] == "L"
        return self.sequence_len if long else self.short_window

    def layer_groups(self) -> tuple[tuple[int | None, tuple[int, ...]], ...]:
        """Layers that keep the same tokens, as (window, layers), widest window first; each has its own pages."""
        layers: dict[int | None, list[int]] = {}
        for layer in range(self.n_layer):
            layers.setdefault(self.window(layer), []).append(layer)
        widest_first = sorted(layers, key=lambda window: float("inf") if window is None else window, reverse=True)
        return tuple((window, tuple(layers[window])) for window in widest_first)

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> GPTConfig:
        """The config of `to_dict`; `ConfigError` names a field that is unknown or of the wrong kind."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise ConfigError(f"unknown config field {unknown[0]!r}; this version of pynanochat does not know it")
        return cls(**values)

"""Report: everything that was measured, as lines for people and as one JSON document."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pynanochat import __version__
from pynanochat.bench.machine import Machine
from pynanochat.bench.memory import Resident
from pynanochat.runner import Facts

_DIGITS = 5  # more than any repetition agrees on


@dataclass(frozen=True, kw_only=True)
class Report:
    """One benchmark of one model on one backend; rates are tokens per second, at the median."""

    model: str
    generation: str
    parameters: int
    random: bool
    facts: Facts
    threads: int
    machine: Machine
    decode: float
    decode_context: int  # in the middle of what was decoded
    engine: float  # decode through the engine, with sampling
    prefill: float
    prompt: int  # tokens of prefill and before the first token
    first_token_ms: float  # through the engine
    bytes_per_token: int  # at decode_context
    bandwidth: float  # bytes per second of a buffer that no cache holds
    near_bandwidth: float  # of only as many bytes as a token reads, part of which a cache may hold
    batch_sweep: dict[int, float]  # sequences: tokens per second of all together
    context_sweep: dict[int, float]
    memory: Resident

    @property
    def bandwidth_share(self) -> float:
        """The part of the memory's bandwidth that decode uses."""
        return self.bytes_per_token * self.decode / self.bandwidth

    @property
    def near_bandwidth_share(self) -> float:
        """The same of the bandwidth over as many bytes as a token reads."""
        return self.bytes_per_token * self.decode / self.near_bandwidth

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        document = {
            "benchmark": "bench", "version": __version__, "model": self.model, "generation": self.generation,
            "parameters": self.parameters, "random_weights": self.random, "backend": asdict(self.facts),
            "dtype": self.facts.dtype, "threads": self.threads, "machine": self.machine.to_dict(),
            "decode_tokens_per_second": self.decode,
            "decode_context": self.decode_context,
            "engine_decode_tokens_per_second": self.engine,
            "prefill_tokens_per_second": self.prefill,
            "prompt_tokens": self.prompt,
            "time_to_first_token_ms": self.first_token_ms,
            "bytes_per_token": self.bytes_per_token,
            "read_bandwidth_bytes_per_second": self.bandwidth,
            "bandwidth_share": self.bandwidth_share,
            "near_bandwidth_bytes_per_second": self.near_bandwidth,
            "near_bandwidth_share": self.near_bandwidth_share,
            "batch_sweep": [{"batch": batch, "tokens_per_second": rate} for batch, rate in self.batch_sweep.items()],
            "context_sweep": [{"context": context, "tokens_per_second": rate}
                              for context, rate in self.context_sweep.items()],
            "resident_bytes": self.memory.now_bytes, "peak_resident_bytes": self.memory.peak_bytes,
        }
        return {name: _rounded(value) for name, value in document.items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, list):
        return [{name: _rounded(number) for name, number in point.items()} for point in value]
    return value

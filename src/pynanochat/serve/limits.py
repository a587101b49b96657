"""Limits: what a client can ask for. Settings: what the one who runs the server has chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

BosPolicy = Literal["auto", "always", "never"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on everything that a client can send or hold; sizes in bytes, times in seconds."""

    url_bytes: int = 8 << 10  # longer: 414
    header_bytes: int = 32 << 10  # request line included; more: 431
    headers: int = 128  # fields; more: 431
    body_bytes: int = 1 << 20  # more: 413, while it is read
    json_depth: int = 32
    json_nodes: int = 10_000  # objects, arrays and strings: what a JSON text can blow up into
    json_numbers: int = 1 << 18  # eight prompts of 32k token ids; at 4 bytes each, what a body can hold anyway
    header_seconds: float = 10.0  # from the first byte of a request to the end of its headers; longer: 408
    body_seconds: float = 30.0  # from there to the end of the body; longer: 408
    stall_seconds: float = 30.0  # a write that blocks for longer drops the reader and cancels its request
    keep_alive_seconds: int = 30  # of silence between two requests
    linger_seconds: float = 1.0  # for a refused client to read why
    connections: int = 256  # beyond: 503, but for /health and /metrics
    stuck_seconds: float = 30.0  # pending work without a step for longer: /health says 503
    prompts: int = 128  # in one request to /v1/completions
    messages: int = 1000
    samples: int = 16  # n, best_of
    stops: int = 16  # stop strings
    logprobs: int = 20  # alternatives of a token
    logit_bias: int = 1024  # entries


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How this server behaves."""

    bos: BosPolicy = "auto"
    request_seconds: float | None = 600.0  # a request that takes longer is cancelled; None: no limit
    shutdown_seconds: float = 30.0  # for running requests to finish after SIGTERM
    log_requests: bool = False

"""Metrics: what Prometheus reads at /metrics, under vLLM's names where vLLM has one.

What the engine counts is read when it is asked for, so a step costs nothing; a `RequestRecord` observes the times of
one request. Source of the names: https://docs.vllm.ai/en/latest/usage/metrics
"""

from __future__ import annotations

import time
from asyncio import CancelledError
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from pynanochat.serve.errors import ApiError, Disconnected

if TYPE_CHECKING:
    from pynanochat.serve.bridge import EngineThread
    from pynanochat.serve.exchange import Exchange

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_MODEL = ("model_name",)
_WAIT = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0)
_STEP = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0)
_WHOLE = (0.1, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 60.0, 120.0, 240.0, 480.0, 960.0)
_COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000)
_ENGINE = (  # name, whether a counter, help, what of the engine's statistics
    ("vllm:num_requests_running", False, "Sequences that run.", "running"),
    ("vllm:num_requests_waiting", False, "Sequences that wait for room.", "waiting"),
    ("vllm:num_preemptions", True, "Sequences that gave their pages up and were computed again.", "preemptions"),
    ("vllm:generation_tokens", True, "Tokens generated.", "generated_tokens"),
    ("vllm:prefix_cache_hits", True, "Prompt tokens found in the prefix cache.", "prompt_tokens_cached"),
    ("nanochat_prompt_tokens_computed", True, "Prompt tokens that had to be computed.", "prompt_tokens_computed"),
    ("nanochat_steps", True, "Steps of the engine.", "steps"),
    ("nanochat_cache_pages_used", False, "Pages of the key and value cache in use.", "pages_used"),
    ("nanochat_cache_pages", False, "Pages of the key and value cache.", "pages_total"),
)


class Metrics:
    """The numbers of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._engines = _Engines()
        self.registry.register(self._engines)
        self.first_token = self._histogram("vllm:time_to_first_token_seconds", "From request to first token.", _WAIT)
        self.between = self._histogram("vllm:inter_token_latency_seconds", "Between two tokens of a request.", _STEP)
        self.per_token = self._histogram("vllm:request_time_per_output_token_seconds",
                                         "Mean time of a token after the first, per request.", _STEP)
        self.whole = self._histogram("vllm:e2e_request_latency_seconds", "From request to last token.", _WHOLE)
        self.prompt = self._histogram("vllm:request_prompt_tokens", "Prompt tokens per request.", _COUNTS)
        self.generated = self._histogram("vllm:request_generation_tokens", "Tokens generated per request.", _COUNTS)
        self.success = self._counter("vllm:request_success", "Samples that came to an end.",
                                     (*_MODEL, "finished_reason"))
        self.cancelled = self._counter("nanochat_requests_cancelled", "Requests that ended unfinished.",
                                       (*_MODEL, "reason"))
        self.stalled = self._counter("nanochat_stalled_readers_dropped", "Connections that were not read from.")
        self.responses = self._counter("nanochat_http_responses", "Answers by route and status.",
                                       ("method", "route", "status"))
        self.refused = self._counter("nanochat_http_refused", "Connections refused before they became a request.",
                                     ("status",))

    def serve(self, name: str, engine: EngineThread) -> None:
        """Report this engine under the name of its model, from now on."""
        self._engines.by_name[name] = engine

    def request(self, model: str, exchange: Exchange | None = None) -> RequestRecord:
        """A record of one request to a model, to be entered with `with`; the exchange's log line tells its counts."""
        record = RequestRecord(self, model)
        if exchange is not None:
            exchange.record = record
        return record

    def document(self) -> bytes:
        """All numbers as Prometheus' text format 0.0.4."""
        return generate_latest(self.registry)

    def _histogram(self, name: str, text: str, buckets: Iterable[float]) -> Histogram:
        return Histogram(name, text, _MODEL, registry=self.registry, buckets=tuple(buckets))

    def _counter(self, name: str, text: str, labels: Iterable[str] = ()) -> Counter:
        return Counter(name, text, tuple(labels), registry=self.registry)


class RequestRecord:
    """What happens to one request, told as it happens.

    `with metrics.request(model, exchange) as record:` around its whole life; inside `prompt_tokens` once,
    `tokens` for each batch of pieces (the first is the first token), `finished` for each sample that ends. A request
    that is left with no sample finished counts as cancelled, with the reason "disconnected", "refused", "error" or
    "cancelled".
    """

    def __init__(self, metrics: Metrics, model: str) -> None:
        self.model = model
        self.prompt = 0
        self.cached = 0
        self.generated = 0
        self._metrics = metrics
        self._started = self._last = time.perf_counter()
        self._first: float | None = None
        self._ends = 0

    def __enter__(self) -> RequestRecord:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        metrics, model = self._metrics, self.model
        if not self._ends:
            reason = ("cancelled" if error is None or isinstance(error, CancelledError) else
                      "disconnected" if isinstance(error, Disconnected) else
                      "refused" if ApiError.of(error).status < 500 else "error")
            metrics.cancelled.labels(model, reason).inc()
            return
        metrics.whole.labels(model).observe(self._last - self._started)
        metrics.prompt.labels(model).observe(self.prompt)
        metrics.generated.labels(model).observe(self.generated)
        if self._first is not None and self.generated > 1:
            metrics.per_token.labels(model).observe((self._last - self._first) / (self.generated - 1))

    def prompt_tokens(self, total: int, cached: int = 0) -> None:
        """How long the prompt is, and how much of it came from the prefix cache."""
        self.prompt, self.cached = total, cached

    def tokens(self, count: int) -> None:
        """So many tokens have come, together."""
        if not count:
            return
        now = time.perf_counter()
        if self._first is None:
            self._first = now
            self._metrics.first_token.labels(self.model).observe(now - self._started)
        else:
            self._metrics.between.labels(self.model).observe(now - self._last)
        self._last = now
        self.generated += count

    def finished(self, reason: str) -> None:
        """A sample has come to an end: stop, length, tool_calls."""
        self._ends += 1
        self._last = time.perf_counter()
        self._metrics.success.labels(self.model, reason).inc()


class _Engines(Collector):
    """The engines' own counters, read when Prometheus asks."""

    def __init__(self) -> None:
        self.by_name: dict[str, EngineThread] = {}

    def collect(self) -> Iterator[Metric]:
        read = {name: engine.statistics for name, engine in self.by_name.items()}
        for name, counts, text, attribute in _ENGINE:
            family = (CounterMetricFamily if counts else GaugeMetricFamily)(name, text, labels=_MODEL)
            for model, now in read.items():
                family.add_metric([model], getattr(now, attribute))
            yield family
        usage = GaugeMetricFamily("vllm:kv_cache_usage_perc", "Share of the cache's pages in use, from 0 to 1.",
                                  labels=_MODEL)
        prompts = CounterMetricFamily("vllm:prompt_tokens", "Prompt tokens, computed or cached.", labels=_MODEL)
        queries = CounterMetricFamily("vllm:prefix_cache_queries", "Prompt tokens looked up in the prefix cache.",
                                      labels=_MODEL)
        for model, now in read.items():
            usage.add_metric([model], now.pages_used / max(1, now.pages_total))
            total = now.prompt_tokens_computed + now.prompt_tokens_cached
            prompts.add_metric([model], total)
            queries.add_metric([model], total)
        yield from (usage, prompts, queries)

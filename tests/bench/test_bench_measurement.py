"""A whole measurement on tiny networks: what is counted, and what the numbers are made of; never how fast."""

import dataclasses
import json

import pytest

from pynanochat.backends import choose
from pynanochat.bench.effort import Effort, batch_sizes
from pynanochat.bench.end_to_end import answers, front_of
from pynanochat.bench.measurement import measure
from pynanochat.bench.memory import Resident
from pynanochat.bench.model import network_of_depth, random_model
from pynanochat.bench.report import Report
from pynanochat.bench.roofline import read_bandwidth, token_bytes
from pynanochat.bench.timing import Timing
from pynanochat.bench.workload import Workload
from pynanochat.errors import RequestError
from pynanochat.runner import Facts, page_bytes
from pynanochat.sizes import bytes_per_token, kv_bytes, matmul_parameters

KEYS = {
    "decode_tokens_per_second", "prefill_tokens_per_second", "time_to_first_token_ms", "bytes_per_token",
    "read_bandwidth_bytes_per_second", "bandwidth_share", "batch_sweep", "context_sweep", "model", "backend", "dtype",
    "threads", "machine", "engine_decode_tokens_per_second", "resident_bytes", "peak_resident_bytes"}


@pytest.fixture(autouse=True)
def small_buffer(monkeypatch):
    def read(threads, buffer_bytes=1 << 20, *, repeats=9):
        return read_bandwidth(threads, min(buffer_bytes, 1 << 20), repeats=repeats)

    monkeypatch.setattr("pynanochat.bench.measurement.read_bandwidth", read)


@pytest.mark.parametrize(("backend", "form", "kept"), [
    ("reference", None, "float32"), ("torch", "q8", "float32"), ("cpu", "q8", "q8"), ("cpu", None, "float32")])
def test_a_measurement_holds_everything(cfg, least, backend, form, kept):
    said = []
    choice = choose(backend, None)
    report = measure(random_model("tiny", cfg, choice.dtype, form), choice, least, progress=said.append)
    assert len(said) == 6
    document = json.loads(json.dumps(report.to_dict()))
    assert set(document) >= KEYS
    assert [point["batch"] for point in document["batch_sweep"]] == [1, 3]
    assert [point["context"] for point in document["context_sweep"]] == [16, 32]
    rates = [report.decode, report.engine, report.prefill, report.first_token_ms, report.bandwidth,
             report.near_bandwidth, *report.batch_sweep.values(), *report.context_sweep.values()]
    assert all(rate > 0 for rate in rates)
    assert (report.model, report.random, report.prompt) == ("tiny", True, 16)
    assert (document["backend"]["name"], document["dtype"]) == (backend, kept)
    assert report.decode_context == 8 + 4 // 2
    assert report.bytes_per_token == bytes_per_token(
        cfg, 4, 10, 2 if kept == "q8" else None, None if kept == "float32" else kept)
    assert report.bandwidth_share == pytest.approx(report.bytes_per_token * report.decode / report.bandwidth)
    assert report.memory.peak_bytes >= report.memory.now_bytes > 1 << 20


def test_the_plan_is_cut_to_the_context():
    assert Effort().within(2048) == Effort()
    assert Effort().within(4096).contexts == (128, 512, 1024, 2048)
    assert Effort().within(700).contexts == (128, 512, 700)
    short = Effort().within(16)
    assert (short.start, short.steps, short.sweep_steps, short.prompt, short.contexts) == (8, 8, 8, 8, (16,))
    with pytest.raises(RequestError, match="16 or more"):
        Effort().within(15)


def test_batch_sizes():
    assert batch_sizes((8, 1, 8)) == (1, 8)
    for wrong in ((), (0,), (1, 257)):
        with pytest.raises(RequestError, match="batch sizes"):
            batch_sizes(wrong)


def test_the_shortest_context_can_be_measured(cfg):
    short = dataclasses.replace(cfg, sequence_len=16)
    choice = choose("reference", None)
    report = measure(random_model("short", short, "float32"), choice, Effort(repeats=1, batches=(1,)))
    assert list(report.context_sweep) == [16]


def test_answers_are_as_long_as_asked_and_to_prompts_of_their_own(cfg):
    model, choice = random_model("tiny", cfg, "float32"), choose("reference", None)
    llm = front_of(model, model.open(choice, context=64, pages=(8, 8)), 64)
    asked = []
    generate = llm.generate
    llm.generate = lambda ids, *rest, **more: (asked.append(tuple(ids)), generate(ids, *rest, **more))[1]
    usages = answers(llm, prompt=20, tokens=5, repeats=3)
    assert [(usage.prompt_tokens, usage.completion_tokens) for usage in usages] == [(20, 5)] * 3
    assert len(set(asked)) == 4


def test_bytes_of_a_token():
    cfg = network_of_depth(12)
    work = Workload(cfg, 1, 2048)
    cache = sum(count * size for count, size in zip(work.pages, page_bytes(cfg, 4), strict=True))
    facts = {dtype: Facts("cpu", "cpu", dtype, work.pages, cache, 0) for dtype in ("float32", "bfloat16", "q8", "q4")}
    assert token_bytes(cfg, facts["float32"], 96) == bytes_per_token(cfg, 4, 96)
    assert token_bytes(cfg, facts["bfloat16"], 96) == bytes_per_token(cfg, 2, 96, 4)
    assert token_bytes(cfg, facts["q8"], 0) == pytest.approx(matmul_parameters(cfg) * 66 / 64, rel=1e-3)
    assert token_bytes(cfg, facts["q4"], 0) == pytest.approx(matmul_parameters(cfg) * 34 / 64, rel=1e-3)
    halved = dataclasses.replace(facts["q8"], cache_bytes=cache // 2)
    assert token_bytes(cfg, halved, 100) - token_bytes(cfg, halved, 0) == kv_bytes(cfg, 100, 2)


@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
@pytest.mark.parametrize("threads", [1, 3])
def test_bandwidth_is_a_number(size, threads):
    assert read_bandwidth(threads, size, repeats=1) > 0


def test_medians():
    timing = Timing(4, (1.0, 9.0, 2.0))
    assert (timing.median_seconds, timing.tokens_per_second) == (2.0, 2.0)


def test_memory_where_the_system_does_not_say(monkeypatch):
    monkeypatch.setattr("builtins.open", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError))
    memory = Resident.measure()
    assert memory.now_bytes is None
    assert memory.peak_bytes > 1 << 20


def test_a_report_is_rounded_and_keeps_counts():
    fields = dict.fromkeys((field.name for field in dataclasses.fields(Report)), 1.23456789)
    facts = Facts("cpu", "cpu", "q8", (3,), 123456789, 5)
    machine = type("M", (), {"to_dict": lambda self: {"processor": "P"}})()
    fields |= {"facts": facts, "machine": machine, "memory": Resident(1, None), "bytes_per_token": 123456789,
               "batch_sweep": {2: 7.654321}, "context_sweep": {}}
    report = Report(**fields)
    document = report.to_dict()
    assert document["decode_tokens_per_second"] == 1.2346
    assert document["batch_sweep"] == [{"batch": 2, "tokens_per_second": 7.6543}]
    assert document["bytes_per_token"] == document["backend"]["cache_bytes"] == 123456789
    assert document["peak_resident_bytes"] is None

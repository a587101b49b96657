"""The CPU backend as a whole: every call as the reference, threads that change no bit, memory that grows when asked."""

from __future__ import annotations

import gc
import inspect
import logging
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
from fixture_files import STORY5M

import pynanochat as nc
from pynanochat import checkpoint
from pynanochat.backends.cpu import compiled, processor
from pynanochat.backends.cpu.runner import CpuRunner
from pynanochat.batch import NO_TOKEN, Batch, Span
from pynanochat.check.trace import PROMPTS, trace
from pynanochat.config import GPTConfig
from pynanochat.errors import BackendError
from pynanochat.generation import RUST_PORT
from pynanochat.initialize import random_tensors

TINY: dict[str, Any] = {"n_layer": 3, "vocab_size": 70, "sequence_len": 128, "short_window": 12}
CONFIGS = {
    "grouped": GPTConfig(**TINY, n_head=8, n_kv_head=2, n_embd=128),
    "one key head": GPTConfig(**TINY, n_head=6, n_kv_head=1, n_embd=96),
    "odd sizes": GPTConfig(**TINY, n_head=5, n_kv_head=5, n_embd=90, n_inner=200),
    "small heads": GPTConfig(**TINY, n_head=4, n_kv_head=2, n_embd=32),
    "bigram": GPTConfig(**TINY, n_head=2, n_kv_head=2, n_embd=64, bigram=True),
    "port": GPTConfig(**TINY, **RUST_PORT, n_head=4, n_kv_head=2, n_embd=64),
}
TOKENS = np.random.default_rng(0).integers(0, 70, 200).tolist()


def tensors(cfg: GPTConfig, quantize: Any = None) -> Any:
    made = random_tensors(cfg, 1)
    return made if quantize is None else checkpoint.quantized(cfg, made, quantize)


def runner(cfg: GPTConfig, quantize: Any = None, **options: Any) -> CpuRunner:
    pages = (64,) * len(cfg.layer_groups())
    return CpuRunner(cfg, tensors(cfg, quantize).__getitem__, context=128, pages=pages, **options)


def span(cfg: GPTConfig, tokens: list[int], position: int = 0, place: int = 0, sampled: int | None = None) -> Span:
    before = TOKENS[position - 1] if position else NO_TOKEN
    pages = [list(range(8 * place, 8 * place + 8))] * len(cfg.layer_groups())
    return Span(tokens, before, position, pages, len(tokens) if sampled is None else sampled)


@pytest.mark.parametrize("options", [{}, {"cache_dtype": "bfloat16"}], ids=str)
@pytest.mark.parametrize("quantize", [None, "q8", "q4"])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_call_is_the_references(name: str, quantize: Any, options: dict[str, Any]) -> None:
    cfg = CONFIGS[name]
    calls = list(trace(cfg, tensors(cfg, quantize).__getitem__, TOKENS[: sum(PROMPTS) + 2], **options))
    wrong = [call for call in calls if not call.right]
    assert not wrong, wrong[0]
    assert {call.step for call in calls} == {"prefill", "decode"}


def test_a_wrong_kernel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trace can fail: with another reference, the first call that differs is the one that was changed."""
    from pynanochat.ops import reference

    right = reference.rope
    monkeypatch.setattr(reference, "rope", lambda x, positions, cos, sin: right(x, positions, cos, -sin))
    cfg = CONFIGS["grouped"]
    wrong = [call for call in trace(cfg, tensors(cfg).__getitem__, TOKENS[: sum(PROMPTS) + 2]) if not call.right]
    assert wrong
    assert all("rope(" in call.call for call in wrong)


@pytest.mark.parametrize("quantize", [None, "q8", "q4"])
def test_threads_and_levels_change_no_bit(quantize: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = CONFIGS["grouped"]
    batches = [Batch.of([span(cfg, TOKENS[:40]), span(cfg, TOKENS[:7], place=1)]),
               Batch.of([span(cfg, TOKENS[40:41], 40), span(cfg, TOKENS[7:30], 7, place=1)])]
    found = []
    for threads in (1, 2, 5):
        one = runner(cfg, quantize, threads=threads)
        found.append([one.forward(batch).numpy() for batch in batches])
    if quantize == "q8":  # one level of those that are not the fastest, the whole network on it
        monkeypatch.setenv(processor.VARIABLE, "plain")
        plain = runner(cfg, quantize)
        assert plain.level == "plain"
        found.append([plain.forward(batch).numpy() for batch in batches])
    for logits in found[1:]:
        assert all(map(np.array_equal, logits, found[0]))


def test_workers_sleep_wake_and_go_home() -> None:
    cfg = CONFIGS["small heads"]
    gc.collect()  # runners of other tests
    time.sleep(0.1)
    before = threading.active_count()
    one = runner(cfg, threads=3)
    batch = Batch.of([span(cfg, TOKENS[:20])])
    wanted = one.forward(batch).numpy()
    for pause in (0, 0.001, 0.05, 0.2):
        time.sleep(pause)
        assert np.array_equal(one.forward(batch).numpy(), wanted)
    for _ in range(300):
        assert np.array_equal(one.forward(batch).numpy(), wanted)
    assert threading.active_count() == before + 2
    del one
    gc.collect()
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_more_rows_than_there_was_room_for() -> None:
    cfg = CONFIGS["grouped"]
    one = runner(cfg)
    few = one.forward(Batch.of([span(cfg, TOKENS[:10])])).numpy()
    many = one.forward(Batch.of([span(cfg, TOKENS[:100])])).numpy()
    assert np.array_equal(many[:10], few)
    assert len(one.forward(Batch.of([span(cfg, TOKENS[:100], sampled=0)])).numpy()) == 0


def test_pages_are_copied() -> None:
    cfg = CONFIGS["grouped"]
    one = runner(cfg)
    one.forward(Batch.of([span(cfg, TOKENS[:20])]))
    for group in range(len(cfg.layer_groups())):
        for page in range(2):
            one.copy_page(group, page, 8 + page)
    here, there = (one.forward(Batch.of([span(cfg, TOKENS[20:21], 20, place=place)])).numpy() for place in (0, 1))
    assert np.array_equal(here, there)


def test_settings_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(processor.VARIABLE, "sse1")
    with pytest.raises(BackendError, match="this processor runs"):
        nc.load(backend="cpu")
    monkeypatch.delenv(processor.VARIABLE)
    with pytest.raises(BackendError, match="setting of the cpu backend"):
        nc.load(backend="reference", threads=2)
    with pytest.raises(nc.RequestError, match="whole number"):
        nc.load(backend="cpu", threads=0)
    with pytest.raises(nc.RequestError, match="cache_dtype"):
        nc.load(backend="cpu", cache_dtype="float16")  # type: ignore[arg-type]


def test_weights_run_as_they_are_stored() -> None:
    """bfloat16 files are widened on the way, which is exact; asking for bfloat16 rounds float32 weights."""
    assert nc.load(STORY5M, backend="cpu").backend.dtype == "bfloat16"
    assert nc.load(backend="cpu").backend.dtype == "q8"
    cfg = CONFIGS["grouped"]
    assert runner(cfg).facts.dtype == "float32"
    assert runner(cfg, dtype="bfloat16").facts.dtype == "bfloat16"
    assert runner(cfg, "q4").facts.dtype == "q4"


def test_every_kernel_has_a_name_of_its_own() -> None:
    """Two kernels of one name in machine code, loaded from disk, would be one: whichever came first."""
    from pynanochat.backends.cpu import attention, linear, replay

    found: dict[str, Any] = {}

    def visit(thing: Any) -> None:
        function = getattr(thing, "py_func", None)
        if function is None or found.get(function.__module__ + function.__qualname__) is function:
            return
        assert function.__module__ + function.__qualname__ not in found, function.__qualname__
        found[function.__module__ + function.__qualname__] = function
        for other in (*inspect.getclosurevars(function).globals.values(), *(
                cell.cell_contents for cell in function.__closure__ or ())):
            visit(other)

    for kernel in (replay.replay, *linear._BLOCKS.values(),
                   *(kernel for pair in attention._KERNELS.values() for kernel in pair)):
        visit(kernel)
    assert len(found) > 30


def test_kernels_are_kept_on_disk(tmp_path: Any, monkeypatch: pytest.MonkeyPatch,
                                  caplog: pytest.LogCaptureFixture) -> None:
    """The second process finds what the first has compiled; a folder that cannot be written only costs time."""
    compiled.loop("plain", "q4", "float32", None)
    assert compiled.cache_folder().is_dir()
    program = (
        "import logging; logging.basicConfig()\n"
        "from pynanochat.backends.cpu import compiled\n"
        "said = []\n"
        "compiled.loop('plain', 'q4', 'float32', said.append)\n"
        "print(len(said))\n")
    again = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert again.stdout == "0\n"
    with caplog.at_level(logging.WARNING):
        monkeypatch.setenv(compiled.VARIABLE, str(tmp_path / "file" / "below"))
        (tmp_path / "file").write_text("no folder")
        assert compiled.cache_folder() == tmp_path / "file" / "below"
        assert compiled._Locator.from_function(None, "") is None


@pytest.mark.parametrize("threads", [2, 3])
def test_an_interrupt_leaves_no_step_open(threads: int) -> None:
    """Ctrl-C may come at any line of Python: between opening a step and leading it, and while sleepers are woken."""
    cfg = CONFIGS["small heads"]
    one = runner(cfg, threads=threads)
    batch = Batch.of([span(cfg, TOKENS[:40])])
    wanted = one.forward(batch).numpy()
    real = one._team._loop
    for pause in (0, 0.05) * 20:
        time.sleep(pause)
        calls = 0

        def interrupted(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            result = real(*arguments)
            if calls == 2:  # the first finishes what was open, the second opens
                raise KeyboardInterrupt
            return result

        one._team._loop = interrupted
        with pytest.raises(KeyboardInterrupt):
            one.forward(batch)
        one._team._loop = real
        assert np.array_equal(one.forward(batch).numpy(), wanted)


def test_a_damaged_cache_is_compiled_again(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files cut, emptied, scrambled or exchanged count as missing; nothing of them runs."""
    files = compiled._SealedFiles(cache_path=str(tmp_path), filename_base="loop", source_stamp="s")
    files.save("a", {"code": b"A" * 100})
    files.save("b", {"code": b"B" * 100})
    assert files.load("a") == {"code": b"A" * 100}
    assert files.load("c") is None
    index, first, second = (tmp_path / f"loop.{name}" for name in ("nbi", "1.nbc", "2.nbc"))
    kept = {path: path.read_bytes() for path in (index, first, second)}
    for path in kept:
        for damage in (b"", kept[path][:40], kept[path][:-1], bytes(len(kept[path])), kept[path][32:]):
            path.write_bytes(damage)
            assert files.load("a") is None or path == second
            path.write_bytes(kept[path])
    first.write_bytes(kept[second])  # as two processes that save at once may leave them
    compiled._seal(str(first))
    assert files.load("a") is None
    first.write_bytes(kept[first])
    compiled._seal(str(first))
    other = compiled._SealedFiles(cache_path=str(tmp_path), filename_base="loop", source_stamp="t")
    assert other.load("a") is None, "code of another source"

    def full(overloads: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(files, "_save_index", full)
    files.save("d", 1)
    assert files.load("d") is None

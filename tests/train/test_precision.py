"""bfloat16 where the processor has it, float32 elsewhere, and the reason in words."""

from __future__ import annotations

import pytest

from pynanochat.errors import TrainingError

torch = pytest.importorskip("torch")

from pynanochat.train.precision import choose  # noqa: E402


@pytest.mark.parametrize("wanted", ["float32", "bfloat16"])
def test_a_wish_is_kept(wanted: str) -> None:
    found = choose("cpu", wanted)
    assert found.dtype == getattr(torch, wanted)
    assert found.reason == f"{wanted}, as asked"


@pytest.mark.parametrize(("amx", "avx", "dtype", "word"), [
    (True, True, torch.bfloat16, "AMX"),
    (False, True, torch.bfloat16, "AVX512_BF16"),
    (False, False, torch.float32, "no instructions"),
])
def test_the_cpu_decides(monkeypatch, amx: bool, avx: bool, dtype: torch.dtype, word: str) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx)
    found = choose("cpu")
    assert found.dtype == dtype
    assert word in found.reason


@pytest.mark.parametrize(("capability", "dtype"), [((7, 5), torch.float32), ((8, 0), torch.bfloat16),
                                                   ((9, 0), torch.bfloat16)])
def test_the_gpu_decides(monkeypatch, capability: tuple[int, int], dtype: torch.dtype) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    found = choose("cuda")
    assert found.dtype == dtype
    assert "a GPU" in found.reason


def test_what_cannot_be_is_refused(monkeypatch) -> None:
    with pytest.raises(TrainingError, match="expected auto, float32 or bfloat16"):
        choose("cpu", "float16")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainingError, match="no CUDA device"):
        choose("cuda")

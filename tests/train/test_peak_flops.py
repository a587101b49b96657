"""The most that a GPU can do, by the name that its driver gives it; and when compiling a run pays."""

from __future__ import annotations

import pytest

from pynanochat.train.flops import peak_flops


@pytest.mark.parametrize(("name", "peak"), [
    ("NVIDIA H100 80GB HBM3", 989e12), ("NVIDIA H100 PCIe", 756e12), ("NVIDIA H100 NVL", 835e12),
    ("NVIDIA H200", 989e12), ("NVIDIA H200 NVL", 835e12), ("NVIDIA GH200 480GB", 989e12),
    ("NVIDIA A100-SXM4-80GB", 312e12), ("NVIDIA L4", 121e12), ("NVIDIA GeForce RTX 4090", 165e12),
    ("NVIDIA L40", None), ("Tesla T4", None), ("", None)])
def test_peak_of_a_name(name: str, peak: float | None) -> None:
    assert peak_flops(name) == peak


def test_a_gpu_takes_longer_runs_to_be_worth_compiling() -> None:
    pytest.importorskip("torch")
    from pynanochat.train import recipes, stages

    tiny, bundled, twelve = recipes.tiny(), recipes.bundled(), recipes.depth(12)
    assert [stages._is_short(one, "cpu") for one in (tiny, bundled, twelve)] == [True, False, False]
    assert [stages._is_short(one, "cuda") for one in (tiny, bundled, twelve)] == [True, True, False]
    assert not stages._is_short(recipes.tiny(compile="on"), "cuda")

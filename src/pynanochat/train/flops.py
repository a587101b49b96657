"""The arithmetic of a training step, and the most that a device can do of it: what `mfu` is the share of."""

from __future__ import annotations

from pynanochat.config import GPTConfig
from pynanochat.sizes import matmul_parameters

# Dense bfloat16, FLOP/s; the makers' data sheets. Cards that are slower than others of their name come first. NVIDIA's
# sheets of H100 (PCIe 1,513, NVL 1,671, SXM 1,979 TFLOP/s) and H200 (NVL 1,671) count sparsity, which doubles it.
_PEAKS = {
    "H100 PCIe": 756e12, "H100 NVL": 835e12, "H200 NVL": 835e12,
    "H200": 989e12, "H100": 989e12, "GH200": 989e12, "B200": 2250e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12,
    "4090": 165e12, "5090": 209e12, "3090": 71e12,
}


def training_flops_per_token(cfg: GPTConfig, row_tokens: int) -> int:
    """Floating-point operations of one token, forward and backward: 6 per matrix weight, and 12 H D per key.

    A layer counts min(window, T) keys for every token, the causal half too.
    Source: karpathy/nanochat nanochat/gpt.py, estimate_flops; arXiv 2204.02311, appendix B.
    """
    windows = (cfg.window(layer) for layer in range(cfg.n_layer))
    keys = sum(row_tokens if window is None else min(window, row_tokens) for window in windows)
    return 6 * matmul_parameters(cfg) + 12 * cfg.n_head * cfg.head_dim * keys


def peak_flops(device_name: str) -> float | None:
    """FLOP/s of a GPU by its name; None where no data sheet is known, as for CPUs."""
    parts = set(device_name.replace("-", " ").split())
    return next((peak for name, peak in _PEAKS.items() if parts.issuperset(name.split())), None)

"""The torch runner: the network's operations one by one on a device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pynanochat import model, tensor, weights
from pynanochat.backends.torch import ops
from pynanochat.backends.torch.cache import Cache, TorchBatch
from pynanochat.batch import Batch
from pynanochat.config import GPTConfig
from pynanochat.errors import BackendError
from pynanochat.quantize.formats import AnyTensor, QuantizedTensor
from pynanochat.rope import rope_tables
from pynanochat.runner import Facts

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class TorchLogits:
    """Logits on the device."""

    values: torch.Tensor

    def numpy(self) -> NDArray[np.float32]:
        """(M, V); waits for the device."""
        host: NDArray[np.float32] = self.values.float().cpu().numpy()
        return host


class TorchRunner:
    """A network over torch tensors; float32, or bfloat16 with float32 lambdas as upstream runs on CUDA."""

    def __init__(
        self,
        cfg: GPTConfig,
        get: Callable[[str], AnyTensor],
        *,
        context: int,
        pages: tuple[int, ...],
        device: str = "cpu",
        dtype: str = "float32",
        reason: str = "",
    ) -> None:
        self._cfg, self._device, numbers, sizes = cfg, _device(device), DTYPES[dtype], []

        def load(name: str) -> torch.Tensor:
            loaded = as_torch(get(name)).to(self._device, torch.float32 if "lambda" in name else numbers)
            sizes.append(loaded.nbytes)
            return loaded

        cos, sin = (torch.from_numpy(table).to(self._device, numbers) for table in rope_tables(cfg, context))
        self._weights = weights.build(cfg, load, cos, sin)
        self._cache = Cache(cfg, pages, numbers, self._device)
        self.facts = Facts("torch", _describe(self._device), dtype, pages, self._cache.nbytes, sum(sizes), reason)

    @torch.inference_mode()
    def forward(self, batch: Batch) -> TorchLogits:
        """Run one step."""
        step = TorchBatch(batch, self._device)
        return TorchLogits(model.forward(ops, self._cfg, self._weights, step, self._cache))

    def copy_page(self, group: int, source: int, target: int) -> None:
        """Copy a page in every layer of a group."""
        self._cache.copy_page(group, source, target)


def as_torch(source: AnyTensor) -> torch.Tensor:
    """The same numbers in torch's own memory, whose alignment is always the same: some kernels' sums depend on it."""
    if isinstance(source, QuantizedTensor):
        source = tensor.Tensor.of(source.numpy())
    if source.dtype == "bfloat16":
        return as_torch(tensor.Tensor(source.data.view(np.int16), "int16")).view(torch.bfloat16)
    own = torch.empty(source.shape, dtype=getattr(torch, source.dtype))
    own.numpy()[...] = source.data
    return own


def _device(name: str) -> torch.device:
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise BackendError("torch finds no CUDA device; use backend='torch' for the CPU, or install torch with CUDA")
    if name == "mps" and not torch.backends.mps.is_available():
        raise BackendError("torch finds no MPS device (Apple GPU); use backend='torch' for the CPU")
    return torch.device(name)


def _describe(device: torch.device) -> str:
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)

"""GPT: the one network of `model.py` as a torch module that trains.

B rows of T tokens, C n_embd, V vocab_size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pynanochat import model, tensor, weights
from pynanochat.backends.torch import ops
from pynanochat.backends.torch.runner import as_torch
from pynanochat.config import GPTConfig
from pynanochat.errors import ConfigError, TrainingError
from pynanochat.quantize.formats import AnyTensor
from pynanochat.rope import rope_tables
from pynanochat.train.loss import Chunk, Reduction, head_loss
from pynanochat.train.operations import Operations, Rows


def blocks(cfg: GPTConfig, operations: Operations, tensors: Mapping[str, Tensor], cos: Tensor, sin: Tensor) -> Tensor:
    """The residual stream (B, T, C) of `tensors`, whose tables hold the rows looked up; cos and sin (T, D/2)."""
    rows = Rows(torch.arange(cos.size(0), device=cos.device))
    x: Tensor = model.hidden(operations, cfg, weights.build(cfg, tensors.__getitem__, cos, sin), rows, None)
    return x


@dataclass(frozen=True)
class Compiled:
    """`blocks` and `loss.chunk_loss` as a compiler made them for batches of one shape."""

    shape: tuple[int, int]  # (B, T)
    blocks: Callable[[GPTConfig, Operations, Mapping[str, Tensor], Tensor, Tensor], Tensor]
    chunk_loss: Chunk
    own_attention: bool


class GPT(nn.Module):
    """A network whose parameters are float32 and have upstream's names; `activations` is the dtype it computes in.

    Rows are packed documents, each a whole sequence to the network: it may look back over a document's start, as
    upstream's does.
    """

    def __init__(self, cfg: GPTConfig, *, activations: torch.dtype, dropout: float = 0.0) -> None:
        super().__init__()
        self.cfg, self.activations, self.dropout = cfg, activations, dropout
        for name, shape in weights.tensor_shapes(cfg).items():
            *path, last = name.split(".")
            place: nn.Module = self
            for part in path:
                if part not in place._modules:
                    place.add_module(part, nn.Module())
                place = place.get_submodule(part)
            place.register_parameter(last, nn.Parameter(torch.zeros(shape)))
        self.compiled: Compiled | None = None
        self._tables: dict[tuple[int, torch.device], tuple[Tensor, Tensor]] = {}

    def hidden(self, tokens: Tensor) -> Tensor:
        """The residual stream (B, T, C) after the last block, of tokens (B, T)."""
        found: dict[str, Tensor] = dict(self.named_parameters())
        for name, ids in self._ids(tokens).items():
            found[name] = F.embedding(ids, found[name]).to(self.activations)
        compiled = self._compiled_for(tokens)
        own_attention = compiled is not None and compiled.own_attention and torch.is_grad_enabled()
        operations = Operations(self.dropout if self.training else 0.0, own_attention)
        run = compiled.blocks if compiled else blocks
        return run(self.cfg, operations, found, *self._rope(tokens.size(1), tokens.device))

    def forward(self, tokens: Tensor) -> Tensor:
        """The logits (B, T, V) after each token (B, T), float32."""
        tree = weights.build(self.cfg, self.get_parameter, *self._rope(1, tokens.device))
        logits: Tensor = model.head(Operations(), self.cfg, tree, self.hidden(tokens))
        return logits

    def loss(self, tokens: Tensor, targets: Tensor, reduction: Reduction = "sum") -> Tensor:
        """Cross entropy in nats of targets (B, T) after tokens (B, T); targets of -1 are ignored.

        "none" gives (B, T), zeros where the target is ignored. Logits never lie in memory whole.
        """
        x = self.hidden(tokens)
        x = Operations.rms_norm(x, self.cfg.norm_eps).flatten(0, 1)
        head = self.get_parameter(weights.LM_HEAD)[: self.cfg.vocab_size]  # padding rows are no tokens
        compiled = self._compiled_for(tokens)
        losses = head_loss(x, head, targets.flatten(), self.cfg.softcap, self.cfg.logit_clip, reduction,
                           chunk=compiled.chunk_loss if compiled else None)
        return losses.view(targets.shape) if reduction == "none" else losses

    def load(self, tensors: Mapping[str, AnyTensor]) -> None:
        """Take the numbers of a checkpoint's tensors; `UnsupportedError` where they are another network's."""
        weights.check_tensors(self.cfg, {name: found.shape for name, found in tensors.items()}, "the weights")
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                parameter.copy_(as_torch(tensors[name]))

    def tensors(self) -> dict[str, tensor.Tensor]:
        """The parameters as a checkpoint's tensors, which on the CPU share their memory."""
        return {name: tensor.Tensor.of(parameter.detach().cpu().numpy())
                for name, parameter in self.named_parameters()}

    def _compiled_for(self, tokens: Tensor) -> Compiled | None:
        return self.compiled if self.compiled and self.compiled.shape == tokens.shape else None

    def _ids(self, tokens: Tensor) -> dict[str, Tensor]:
        """Which rows (B, T) of each table these tokens look up."""
        ids = {weights.WTE: tokens}
        for i in range(self.cfg.n_layer):
            if self.cfg.has_value_embed(i):
                ids[weights.value_embed(i)] = tokens
        if self.cfg.bigram:
            before = F.pad(tokens[:, :-1], (1, 0), value=-1)
            ids[weights.BIGRAM_EMBED] = ops.bigram_ids(tokens, before, self.cfg.bigram_rows)
        return ids

    def _rope(self, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """cos and sin (T, D/2) in the dtype of activations."""
        if (length, device) not in self._tables:
            try:
                cos, sin = rope_tables(self.cfg, length)
            except ConfigError as error:
                raise TrainingError(f"rows of {length} tokens are too long for this network: {error}") from None
            self._tables[length, device] = (torch.from_numpy(cos).to(device, self.activations),
                                            torch.from_numpy(sin).to(device, self.activations))
        return self._tables[length, device]

"""Bits per byte on held-out rows, with the network as it stands."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from pynanochat.distributed.processes import Processes
from pynanochat.errors import DataError
from pynanochat.tokenizer import Tokenizer
from pynanochat.train.loader import Rows
from pynanochat.train.network import GPT


@dataclass(frozen=True)
class Evaluation:
    """How well the network predicts: the loss over all targets, and bits per byte over those that are text."""

    loss: float  # nats per target
    bpb: float  # bits per byte of text; special tokens count neither way


@torch.inference_mode()
def evaluate(gpt: GPT, steps: Iterable[Rows], tokenizer: Tokenizer, processes: Processes) -> Evaluation:
    """The evaluation over each process's share of the same steps. Collective; `DataError` where they hold no text.

    Source: karpathy/nanochat nanochat/loss_eval.py, evaluate_bpb.
    """
    gpt.eval()
    device = processes.device
    sizes = torch.tensor(tokenizer.token_bytes())
    sums = torch.zeros(4, dtype=torch.float64)  # nats, targets, nats of text, bytes; on the CPU: MPS has no float64
    for rows in steps:
        targets = torch.from_numpy(rows.targets)
        nats = gpt.loss(torch.from_numpy(rows.tokens).to(device), targets.to(device), reduction="none").cpu().double()
        counted = targets >= 0
        width = sizes[targets.clamp_min(0)] * counted
        sums += torch.stack([nats.sum(), counted.sum(), (nats * (width > 0)).sum(), width.sum()])
    if processes.size > 1:
        sums = processes.sum_(sums.to(device))
    total, targets_seen, text_nats, text_bytes = sums.tolist()
    if not text_bytes:
        raise DataError("the held-out rows hold no text; write the shards with a larger share for val")
    return Evaluation(total / targets_seen, text_nats / (math.log(2) * text_bytes))

"""An evaluation's sums are exact wherever the network is, also on devices without float64."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from training_runs import WORDS  # noqa: E402

from pynanochat.distributed.processes import Processes  # noqa: E402
from pynanochat.errors import DataError  # noqa: E402
from pynanochat.train.evaluation import evaluate  # noqa: E402
from pynanochat.train.loader import Rows  # noqa: E402


class OnMPS(torch.Tensor):
    """A tensor of a device that can nothing but be copied to the CPU."""

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is not torch.Tensor.cpu:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64")
        return args[0].as_subclass(torch.Tensor).clone()


def network(nats: list[torch.Tensor]) -> Any:
    """A network whose losses are these, one tensor a step."""
    left = iter(nats)
    return SimpleNamespace(eval=lambda: None, loss=lambda tokens, targets, reduction: next(left).as_subclass(OnMPS))


def test_sums_are_those_of_float64_on_the_cpu() -> None:
    choose = np.random.default_rng(0)
    targets = [choose.integers(-1, 265, (2, 16)) for _ in range(3)]
    nats = [choose.random((2, 16), np.float32) * (one >= 0) for one in targets]
    found = evaluate(network([torch.from_numpy(one) for one in nats]), [Rows(one, one) for one in targets], WORDS,
                     Processes.alone())
    wide, counted = np.concatenate(nats).astype(np.float64), np.concatenate(targets)
    text = (counted >= 0) & (counted < 256)  # a byte each; special tokens are none
    assert found.loss == pytest.approx(wide.sum() / (counted >= 0).sum(), rel=1e-14)
    assert found.bpb == pytest.approx(wide[text].sum() / math.log(2) / text.sum(), rel=1e-14)


def test_rows_without_text_are_refused() -> None:
    special = np.full((1, 4), 260)
    with pytest.raises(DataError, match="hold no text"):
        evaluate(network([torch.ones(1, 4)]), [Rows(special, special)], WORDS, Processes.alone())

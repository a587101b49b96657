"""The torch operations are differentiable: the gradients of upstream's first training step."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from fixture_files import parity

from pynanochat import checkpoint, model, weights
from pynanochat.rope import rope_tables

torch = pytest.importorskip("torch")


def test_gradients_of_the_first_step() -> None:
    from pynanochat.backends.torch import ops
    from pynanochat.backends.torch.runner import as_torch

    opened = checkpoint.open(parity("train_g4_head"), step=0)
    cfg = opened.config
    tensors = {name: as_torch(tensor).requires_grad_() for name, tensor in opened.tensors.items()}
    with np.load(parity("train_g4_head") / "train.npz") as run:
        tokens, targets, losses = (run[name][0] for name in ("tokens", "targets", "losses"))
        wanted = {name.removeprefix("grad0/"): run[name] for name in run if name.startswith("grad0/")}
    length = tokens.shape[-1]
    cos, sin = (torch.from_numpy(table) for table in rope_tables(cfg, length))
    tree = weights.build(cfg, tensors.__getitem__, cos, sin)
    batches = torch.from_numpy(np.stack([tokens, targets], 1)).long()
    for (ids, labels), loss in zip(batches, losses, strict=True):
        before = torch.cat([torch.full_like(ids[:, :1], -1), ids[:, :-1]], 1)
        batch = SimpleNamespace(tokens=ids, prev_tokens=before, positions=torch.arange(length))
        logits = model.head(ops, cfg, tree, model.hidden(ops, cfg, tree, batch, None))
        found = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-1)
        assert abs(found.item() - loss) <= 1e-5
        (found / 2).backward()
    assert set(wanted) == set(tensors)
    for name, gradient in wanted.items():
        error = np.abs(tensors[name].grad.numpy() - gradient)
        assert (error <= np.maximum(1e-7, 1e-5 * np.abs(gradient).max())).all(), name


@pytest.mark.parametrize("folder", ["g3_2026-03-09_autoresearch1", "g4_2026-07_head_gqa"])
def test_whole_sequences_without_a_cache(folder: str) -> None:
    """As training runs them, in a context beyond the short windows."""
    from pynanochat.backends.torch import ops
    from pynanochat.backends.torch.runner import as_torch

    opened = checkpoint.open(parity(f"models/{folder}"))
    cfg = opened.config
    with np.load(parity(f"models/{folder}") / "expected.npz") as arrays:
        ids, positions, wanted = arrays["idx_long"], arrays["long_positions"], arrays["logits_long"]
    assert cfg.short_window + 1 < ids.shape[1]
    tables = (torch.from_numpy(table) for table in rope_tables(cfg, ids.shape[1]))
    tree = weights.build(cfg, lambda name: as_torch(opened.tensors[name]).float(), *tables)
    tokens = torch.from_numpy(ids).long()
    batch = SimpleNamespace(tokens=tokens, prev_tokens=torch.cat([torch.tensor([[-1]]), tokens[:, :-1]], 1),
                            positions=torch.arange(ids.shape[1]))
    with torch.inference_mode():
        logits = model.head(ops, cfg, tree, model.hidden(ops, cfg, tree, batch, None))[0]
    assert np.abs(logits.numpy()[positions] - wanted).max() <= 2e-4

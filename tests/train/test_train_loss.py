"""The fused loss is the plain one, value and gradients, and never holds the logits."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from pynanochat.train.loss import head_loss  # noqa: E402

CAP = 15.0


def plain(x, w, targets, softcap=CAP, clip=None, reduction="mean"):
    logits = (x @ w.to(x.dtype).t()).to(torch.promote_types(x.dtype, torch.float32))
    if clip is not None:
        logits = logits.clamp(-clip, clip)
    return functional.cross_entropy(softcap * torch.tanh(logits / softcap), targets, ignore_index=-1,
                                    reduction=reduction)


def case(n=70, c=16, v=50, dtype=torch.float32, scale=2.0):
    numbers = torch.Generator().manual_seed(1)
    x = torch.randn(n, c, generator=numbers, dtype=torch.float64).to(dtype).requires_grad_()
    w = (torch.randn(v, c, generator=numbers, dtype=torch.float64) * scale).to(
        torch.promote_types(dtype, torch.float32)).requires_grad_()
    targets = torch.randint(-1, v, (n,), generator=numbers)
    targets[3] = -1
    return x, w, targets


@pytest.mark.parametrize("reduction", ["sum", "mean", "none"])
@pytest.mark.parametrize("clip", [None, 4.0])
@pytest.mark.parametrize("rows", [1, 16, 70, 1000])
@pytest.mark.parametrize("softcap", [15.0, 300.0])
def test_equals_plain_torch(reduction: str, clip: float | None, rows: int, softcap: float) -> None:
    x, w, targets = case()
    factor = torch.linspace(0.5, 2, 70) if reduction == "none" else torch.tensor(0.37)
    found = head_loss(x, w, targets, softcap, clip, reduction, chunk_rows=rows)
    right = plain(x, w, targets, softcap, clip, reduction)
    torch.testing.assert_close(found, right, rtol=1e-6, atol=1e-6 if softcap < 40 else 2e-7 * softcap)
    gradients = [torch.autograd.grad((loss * factor).sum(), (x, w)) for loss in (found, right)]
    for one, other in zip(*gradients, strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_gradcheck(reduction: str) -> None:
    x, w, targets = case(12, 5, 11, torch.float64)
    assert torch.autograd.gradcheck(lambda x, w: head_loss(x, w, targets, CAP, 6.0, reduction, chunk_rows=5),
                                    (x, w))


def test_bfloat16_equals_plain_torch_in_bfloat16() -> None:
    x, w, targets = case(dtype=torch.bfloat16)
    gradients = []
    for loss in (head_loss(x, w, targets, CAP, chunk_rows=20), plain(x, w, targets)):
        assert loss.dtype == torch.float32
        gradients.append((loss.item(), *torch.autograd.grad(loss, (x, w))))
    assert gradients[0][0] == pytest.approx(gradients[1][0], rel=1e-6)
    for one, other in zip(gradients[0][1:], gradients[1][1:], strict=True):
        assert one.dtype == other.dtype
        assert (one - other).abs().max() <= 0.02 * other.abs().max()


def test_only_what_is_asked_for_gets_a_gradient() -> None:
    x, w, targets = case()
    head_loss(x.detach(), w, targets, CAP).backward()
    assert x.grad is None
    with torch.no_grad():
        assert not head_loss(x, w, targets, CAP).requires_grad


def test_all_targets_ignored_is_a_sum_of_zero() -> None:
    x, w, targets = case()
    loss = head_loss(x, w, torch.full_like(targets, -1), CAP, reduction="sum")
    loss.backward()
    assert loss.item() == 0
    assert not x.grad.any()
    assert not w.grad.any()


class Largest(TorchDispatchMode):
    """The most bytes that any tensor made under it has."""

    bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.bytes = max(self.bytes, out.numel() * out.element_size())
        return out


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_logits_never_lie_in_memory_whole(reduction: str) -> None:
    n, c, v = 2048, 8, 8192  # chunks of 128 rows
    x, w, targets = case(n, c, v)
    with Largest() as largest:
        head_loss(x, w, targets, CAP, None, reduction).sum().backward()
    assert largest.bytes <= 128 * v * 4 < n * v * 4 / 10
    with Largest() as largest:
        plain(x, w, targets).backward()
    assert largest.bytes >= n * v * 4

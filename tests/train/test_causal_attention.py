"""Our attention's backward pass is torch's."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from pynanochat.train.attention import BLOCK, CausalAttention  # noqa: E402


@pytest.mark.parametrize("length", [1, BLOCK - 1, 2 * BLOCK, 2 * BLOCK + 3])
@pytest.mark.parametrize(("heads", "groups"), [(4, 4), (4, 2), (3, 1)])
def test_gradients_are_torchs(length: int, heads: int, groups: int) -> None:
    numbers = torch.Generator().manual_seed(length)
    inputs = [torch.randn(2, length, n, 16, generator=numbers).requires_grad_() for n in (heads, groups, groups)]
    outer = torch.randn(2, length, heads, 16, generator=numbers)
    right = functional.scaled_dot_product_attention(
        *(x.transpose(1, 2) for x in inputs), is_causal=True, enable_gqa=heads != groups).transpose(1, 2)
    found = CausalAttention.apply(*inputs)
    torch.testing.assert_close(found, right, rtol=1e-5, atol=1e-6)
    for one, other in zip(torch.autograd.grad(found, inputs, outer), torch.autograd.grad(right, inputs, outer),
                          strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-5)


def test_bfloat16_is_as_near_to_the_truth_as_torchs() -> None:
    numbers = torch.Generator().manual_seed(0)
    exact = [torch.randn(2, 200, n, 32, generator=numbers).bfloat16().float().requires_grad_() for n in (4, 2, 2)]
    outer = torch.randn(2, 200, 4, 32, generator=numbers).bfloat16().float()

    def torchs(inputs):
        return functional.scaled_dot_product_attention(
            *(x.transpose(1, 2) for x in inputs), is_causal=True, enable_gqa=True).transpose(1, 2)

    def errors(attention):
        inputs = [x.detach().bfloat16().requires_grad_() for x in exact]
        found = torch.autograd.grad(attention(inputs), inputs, outer.bfloat16())
        return [float((one.float() - other).norm() / other.norm()) for one, other in zip(found, truth, strict=True)]

    truth = torch.autograd.grad(torchs(exact), exact, outer)
    assert max(errors(lambda inputs: CausalAttention.apply(*inputs))) <= 0.01
    assert max(errors(torchs)) <= 0.01

"""MuonAdamW: against its equations, in bfloat16, with hostile gradients and states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pynanochat.config import GPTConfig
from pynanochat.errors import TrainingError
from pynanochat.train.config import TrainConfig
from pynanochat.train.parameter_groups import AdamWGroup, Group, MuonGroup, parameter_groups
from pynanochat.train.schedule import Settings
from pynanochat.weights import tensor_shapes

torch = pytest.importorskip("torch")

CFG = GPTConfig(sequence_len=64, vocab_size=100, n_layer=2, n_head=4, n_kv_head=2, n_embd=32)
GROUPS = parameter_groups(CFG, TrainConfig(network=CFG, steps=10, batch_tokens=64))
SETTINGS = Settings(0.5, 0.9, 0.2)


def parameters(seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {name: torch.nn.Parameter(torch.from_numpy(random.normal(size=shape).astype(np.float32) / 8))
            for name, shape in tensor_shapes(CFG).items()}


def fill(parameters: dict[str, Any], seed: int) -> None:
    random = np.random.default_rng(seed)
    for parameter in parameters.values():
        parameter.grad = torch.from_numpy(random.normal(size=parameter.shape).astype(np.float32)).to(parameter.dtype)


def optimizer(parameters: dict[str, Any], groups: list[Group] = GROUPS, **options: Any) -> Any:
    from pynanochat.distributed.processes import Processes
    from pynanochat.train.optimizer import MuonAdamW

    return MuonAdamW(parameters, groups, Processes.alone(), **options)


def whole(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: parameter.detach().clone() for name, parameter in parameters.items()}


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


def test_adamw_is_torchs() -> None:
    """The same equations as torch's own, whose weight decay is by rate too."""
    group = AdamWGroup(names=("x",), lr=0.1, betas=(0.8, 0.95), weight_decay=0.3)
    ours, theirs = ({"x": torch.nn.Parameter(torch.linspace(-1, 1, 12).reshape(3, 4))} for _ in range(2))
    own = optimizer(ours, [group])
    other = torch.optim.AdamW(theirs.values(), lr=0.05, betas=(0.8, 0.95), eps=1e-10, weight_decay=0.3)
    for seed in range(5):
        fill(ours, seed)
        fill(theirs, seed)
        own.step(*SETTINGS)
        other.step()
        assert ours["x"].grad is None
    assert torch.allclose(ours["x"], theirs["x"], rtol=1e-6, atol=1e-6)


def muon_in_float64(w: Any, g: Any, m: Any, v: Any, settings: Settings, lr: float, beta2: float) -> tuple[Any, ...]:
    """One step of one matrix, with the polar factor's limit by a singular value decomposition left out."""
    from pynanochat.train.muon import orthogonal

    m = m + (1 - settings.muon_momentum) * (g - m)
    x = orthogonal((g + settings.muon_momentum * (m - g))[None])[0]
    rows, columns = x.shape
    x = x * min(rows, columns) ** 0.5 / x.norm()
    along = 1 if rows >= columns else 0
    mean = x.square().mean(along, keepdim=True)
    v = v + (1 - beta2) * (mean - v)
    scaled = x / v.sqrt()
    x = scaled * x.norm() / scaled.norm()
    rate = lr * settings.lr_multiplier * max(1, rows / columns) ** 0.5
    decay = torch.where(x * w >= 0, w, torch.zeros_like(w))
    return w - rate * (x + settings.muon_weight_decay * decay), m, v


@pytest.mark.parametrize("shape", [(16, 16), (8, 24), (24, 8), (1, 12), (2, 12)], ids=str)
def test_muon_is_its_equations(shape: tuple[int, int]) -> None:
    """A stack of matrices against one after the other in float64, three steps."""
    names = ("a", "b", "c")
    random = np.random.default_rng(0)
    group = MuonGroup(names=names, lr=0.02)
    own = {name: torch.nn.Parameter(torch.from_numpy(random.normal(size=shape).astype(np.float32))) for name in names}
    factored = (shape[0], 1) if shape[0] >= shape[1] else (1, shape[1])
    wanted = {name: (own[name].detach().double(), torch.zeros(shape).double(), torch.zeros(factored).double())
              for name in names}
    optimized = optimizer(own, [group])
    for seed in range(3):
        fill(own, seed)
        for name in names:
            w, m, v = wanted[name]
            wanted[name] = muon_in_float64(w, own[name].grad.double(), m, v, SETTINGS, 0.02, 0.9)
        optimized.step(*SETTINGS)
    state = optimized.state()
    for name in names:
        for found, exact in zip((own[name].detach(), state[f"momentum_buffer/{name}"],
                                 state[f"second_momentum_buffer/{name}"]), wanted[name], strict=True):
            assert torch.allclose(found.double(), exact, rtol=1e-4, atol=1e-5), name


@pytest.mark.parametrize("shape", [(3, 20, 32), (2, 16, 64), (2, 64, 16)], ids=str)
def test_the_polar_factor_is_about_orthogonal(shape: tuple[int, ...]) -> None:
    from pynanochat.train.muon import orthogonal

    x = torch.from_numpy(np.random.default_rng(1).normal(size=shape)).float()
    for dtype, room in ((torch.float32, 0.35), (torch.bfloat16, 0.4)):
        values = torch.linalg.svdvals(orthogonal(x.to(dtype)).float())
        assert (values - 1).abs().max() < room
    left, _, right = torch.linalg.svd(x / x.norm(dim=-1, keepdim=True), full_matrices=False)
    assert torch.nn.functional.cosine_similarity(orthogonal(x).flatten(1), (left @ right).flatten(1)).min() > 0.98


def test_the_norm_of_the_gradient_changes_nothing() -> None:
    own = parameters()
    optimized = optimizer(own)
    fill(own, 1)
    before, state = whole(own), optimized.state()
    expected = float(np.sqrt(sum(parameter.grad.double().square().sum().item() for parameter in own.values())))
    assert optimized.gradient_norm() == pytest.approx(expected, rel=1e-5)
    assert optimized.gradient_norm() == optimized.gradient_norm()
    assert same(whole(own), before)
    assert same(optimized.state(), state)


@pytest.mark.parametrize("name", ["lm_head.weight", "smear_lambda", "transformer.h.1.mlp.c_fc.weight"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_step_with_a_bad_gradient_can_be_left_out(name: str, bad: float) -> None:
    """And the run is then the one that never saw it."""
    runs = []
    for sees_it in (True, False):
        own = parameters()
        optimized = optimizer(own)
        for seed in range(3):
            fill(own, seed)
            if seed == 1:
                own[name].grad.view(-1)[0] = bad
                if sees_it:
                    assert not np.isfinite(optimized.gradient_norm())
                optimized.zero_gradients()
                assert all(parameter.grad is None for parameter in own.values())
                continue
            assert np.isfinite(optimized.gradient_norm())
            optimized.step(*SETTINGS)
        assert optimized.steps == 2
        runs.append({**whole(own), **optimized.state()})
    assert same(*runs)


def test_a_state_goes_on_bit_for_bit() -> None:
    own = parameters()
    optimized = optimizer(own)
    for seed in range(2):
        fill(own, seed)
        optimized.step(*SETTINGS)
    weights, state = whole(own), optimized.state()
    copy = {name: tensor.clone() for name, tensor in state.items()}
    other = {name: torch.nn.Parameter(tensor.clone()) for name, tensor in weights.items()}
    resumed = optimizer(other)
    resumed.load_state(state)
    for run, tensors in ((optimized, own), (resumed, other)):
        fill(tensors, 7)
        run.step(*SETTINGS)
    assert same(whole(own), whole(other))
    assert same(optimized.state(), resumed.state())
    assert same(state, copy)  # what was taken stays as it was


def test_what_the_state_holds() -> None:
    state = optimizer(parameters()).state()
    shapes = tensor_shapes(CFG)
    assert state["step"].shape == ()
    for group in GROUPS:
        for name in group.names:
            kinds = ("momentum_buffer",) if isinstance(group, MuonGroup) else ("exp_avg", "exp_avg_sq")
            assert all(tuple(state[f"{kind}/{name}"].shape) == shapes[name] for kind in kinds)
    assert tuple(state["second_momentum_buffer/transformer.h.0.mlp.c_fc.weight"].shape) == (128, 1)
    assert tuple(state["second_momentum_buffer/transformer.h.0.mlp.c_proj.weight"].shape) == (1, 128)


WTE = "transformer.wte.weight"
BAD_STATES: dict[str, tuple[str, Any, str]] = {
    "missing": (f"exp_avg/{WTE}", None, "missing"),
    "unknown": ("exp_avg/x", torch.zeros(1), "unknown"),
    "another shape": (f"exp_avg/{WTE}", torch.zeros(2, 2), r"\[2, 2\]"),
    "not a number": (f"exp_avg/{WTE}", torch.full((128, 32), float("nan")), "finite"),
    "squares below 0": (f"exp_avg_sq/{WTE}", torch.full((128, 32), -1.0), "below 0"),
    "whole numbers": (f"exp_avg/{WTE}", torch.zeros(128, 32, dtype=torch.int32), "finite"),
    "step below 0": ("step", torch.tensor(-1), "step"),
    "half a step": ("step", torch.tensor(1.5), "step"),
    "steps": ("step", torch.zeros(3, dtype=torch.int64), "step"),
}


@pytest.mark.parametrize("case", list(BAD_STATES))
def test_a_state_that_does_not_fit_names_its_tensor_and_changes_nothing(case: str) -> None:
    name, tensor, says = BAD_STATES[case]
    optimized = optimizer(parameters())
    before = optimized.state()
    state = {**optimizer(parameters()).state(), "exp_avg/lm_head.weight": torch.ones(128, 32)}
    if tensor is None:
        del state[name]
    else:
        state[name] = tensor
    with pytest.raises(TrainingError, match=says) as caught:
        optimized.load_state(state)
    assert name in str(caught.value)
    assert same(optimized.state(), before)


@pytest.mark.parametrize(("change", "says"), [
    (lambda own: own.pop("smear_lambda"), "network lacks 'smear_lambda'"),
    (lambda own: own.update(extra=torch.nn.Parameter(torch.zeros(2))), "parameter groups lack 'extra'"),
    (lambda own: own.update({"transformer.h.0.attn.c_q.weight": torch.nn.Parameter(torch.zeros(2, 2))}),
     "one shape"),
])
def test_groups_that_do_not_fit(change: Any, says: str) -> None:
    own = parameters()
    change(own)
    with pytest.raises(TrainingError, match=says):
        optimizer(own)


def test_tables_in_bfloat16_are_stepped_in_float32() -> None:
    """As upstream's on GPUs: moments in bfloat16 too, the arithmetic not."""
    group = AdamWGroup(names=("x",), lr=0.1, betas=(0.8, 0.995), weight_decay=0.01)
    start = torch.linspace(-1, 1, 12).reshape(3, 4).bfloat16()
    own = {"x": torch.nn.Parameter(start.clone())}
    optimized = optimizer(own, [group])
    w, m, v = start.float(), torch.zeros(3, 4), torch.zeros(3, 4)
    for step in range(1, 4):
        fill(own, step)
        g = own["x"].grad.float()
        optimized.step(1.0, 0.9, 0.0)
        w = w.float() * (1 - 0.1 * 0.01)
        m, v = m.float() + 0.2 * (g - m.float()), v.float() + 0.005 * (g * g - v.float())
        w = w - 0.1 / (1 - 0.8**step) * m / ((v / (1 - 0.995**step)).sqrt() + 1e-10)
        w, m, v = w.bfloat16(), m.bfloat16(), v.bfloat16()
    state = optimized.state()
    for found, wanted in ((own["x"], w), (state["exp_avg/x"], m), (state["exp_avg_sq/x"], v)):
        assert found.dtype == torch.bfloat16
        assert torch.allclose(found.float(), wanted.float(), rtol=2**-7, atol=1e-5)  # the last place


def test_the_polar_factor_follows_the_activations() -> None:
    from pynanochat.train.optimizer import polar_dtype

    assert [polar_dtype(dtype) for dtype in (torch.float32, torch.bfloat16, torch.float16)] == [
        torch.float32, torch.bfloat16, torch.float32]
    own, other = parameters(), parameters()
    for tensors, polar in ((own, torch.float32), (other, torch.bfloat16)):
        optimized = optimizer(tensors, polar=polar)
        fill(tensors, 0)
        optimized.step(*SETTINGS)
    for name in own:
        assert (own[name] - other[name]).abs().max() < 0.02, name
        assert own[name].dtype == other[name].dtype == torch.float32


def test_a_parameter_without_a_gradient_has_a_gradient_of_zero() -> None:
    runs = []
    for zeros in (True, False):
        own = parameters()
        optimized = optimizer(own)
        fill(own, 0)
        for name in ("lm_head.weight", "transformer.h.0.attn.c_q.weight"):
            own[name].grad = torch.zeros_like(own[name]) if zeros else None
        optimized.step(*SETTINGS)
        runs.append({**whole(own), **optimized.state()})
        assert all(bool(torch.isfinite(tensor).all()) for tensor in runs[-1].values())
    assert same(*runs)


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.compile's own
def test_compiled_is_the_same() -> None:
    """Over steps whose settings change, which must compile nothing again."""
    runs = []
    for compiled in (False, True):
        own = parameters()
        optimized = optimizer(own, compiled=compiled)
        for seed in range(4):
            fill(own, seed)
            optimized.step(0.1 * (seed + 1), 0.85 + 0.01 * seed, 0.2 - 0.02 * seed)
        runs.append({**whole(own), **optimized.state()})
    for name in runs[0]:
        assert torch.allclose(runs[0][name].double(), runs[1][name].double(), rtol=1e-3, atol=1e-4), name

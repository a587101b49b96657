"""Ten steps of upstream's training: losses, gradients, weights and optimizer state, and a run that goes on from it."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fixture_files import parity

from pynanochat import checkpoint, model, weights
from pynanochat.rope import rope_tables
from pynanochat.train.config import TrainConfig
from pynanochat.train.parameter_groups import parameter_groups
from pynanochat.train.schedule import Schedule

torch = pytest.importorskip("torch")

LOSS = 1e-4  # noise of upstream itself 2e-6
STATE = 1e-3  # of the largest number of a tensor: the state holds later steps' gradients, with their noise (3e-4)
NO_GRADIENT = 1e-7  # gradients below, such as backout_lambda's, are noise alone
CHAOTIC = 2  # times upstream's share of weights that differ by more than 1e-4 between two runs of its own


class Run:
    """The network of upstream's run, over the torch operations, with our optimizer and schedule."""

    def __init__(self, step: int) -> None:
        from pynanochat.backends.torch import ops
        from pynanochat.backends.torch.runner import as_torch
        from pynanochat.distributed.processes import Processes
        from pynanochat.train.optimizer import MuonAdamW

        opened = checkpoint.open(parity("train_g4_head"), step=step)
        self.ops, self.cfg, self.steps_done = ops, opened.config, step
        self.config = TrainConfig(network=self.cfg, steps=10, batch_tokens=512, warmup_steps=4, warmdown_ratio=0.0)
        self.parameters = {name: torch.nn.Parameter(as_torch(tensor)) for name, tensor in opened.tensors.items()}
        self.groups = parameter_groups(self.cfg, self.config)
        self.optimizer = MuonAdamW(self.parameters, self.groups, Processes.alone())
        with np.load(parity("train_g4_head") / "train.npz") as run:
            self.arrays = dict(run)

    def backward(self) -> list[float]:
        """The losses of the step's two micro-batches; leaves their mean's gradients."""
        tokens, targets = (torch.from_numpy(self.arrays[name][self.steps_done % 10]).long()
                           for name in ("tokens", "targets"))
        length = tokens.shape[-1]
        cos, sin = (torch.from_numpy(table) for table in rope_tables(self.cfg, length))
        losses = []
        for ids, labels in zip(tokens, targets, strict=True):
            tree = weights.build(self.cfg, self.parameters.__getitem__, cos, sin)
            before = torch.cat([torch.full_like(ids[:, :1], -1), ids[:, :-1]], 1)
            batch: Any = SimpleNamespace(tokens=ids, prev_tokens=before, positions=torch.arange(length))
            logits = model.head(self.ops, self.cfg, tree, model.hidden(self.ops, self.cfg, tree, batch, None))
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-1)
            (loss / 2).backward()
            losses.append(loss.item())
        return losses

    def step(self) -> list[float]:
        losses = self.backward()
        self.optimizer.step(*Schedule(self.config).at(self.steps_done))
        self.steps_done += 1
        return losses


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((parity("train_g4_head") / "train.json").read_text())
    return found


@pytest.fixture(scope="module")
def ten_steps() -> tuple[Run, list[list[float]], dict[str, Any]]:
    run = Run(0)
    losses = [run.backward()]
    gradients = {name: parameter.grad.numpy().copy() for name, parameter in run.parameters.items()
                 if parameter.grad is not None}
    run.optimizer.step(*Schedule(run.config).at(0))
    run.steps_done = 1
    losses += [run.step() for _ in range(9)]
    return run, losses, gradients


def test_the_losses_of_ten_steps(ten_steps: tuple[Run, list[list[float]], Any]) -> None:
    run, losses, _ = ten_steps
    assert np.abs(np.array(losses) - run.arrays["losses"]).max() <= LOSS


def test_the_gradients_of_the_first_step(ten_steps: tuple[Run, Any, dict[str, Any]], facts: dict[str, Any]) -> None:
    run, _, gradients = ten_steps
    assert set(gradients) == set(run.parameters)
    for name, found in gradients.items():
        wanted = run.arrays[f"grad0/{name}"]
        assert (np.abs(found - wanted) <= np.maximum(1e-7, 1e-5 * np.abs(wanted).max())).all(), name
        assert np.linalg.norm(found) == pytest.approx(facts["grad0_norm"][name], rel=1e-5, abs=1e-7)


def weights_agree(run: Run, facts: dict[str, Any], shares: dict[str, float]) -> None:
    wanted = checkpoint.open(parity("train_g4_head"), step=10).tensors
    for name, parameter in run.parameters.items():
        error = np.abs(parameter.detach().numpy() - wanted[name].numpy())
        assert (error > 1e-4).mean() <= shares.get(name, 0.0), name
        assert error.max() <= 2 * facts["noise"]["final_weights_max"], name


def test_the_weights_after_ten_steps(ten_steps: tuple[Run, Any, Any], facts: dict[str, Any]) -> None:
    """All but the entries whose gradients vanish, of which upstream's own runs differ in as many."""
    noise = facts["noise"]["final_weights_fraction_over_1e-4"]
    weights_agree(ten_steps[0], facts, {name: CHAOTIC * share for name, share in noise.items()})


def test_the_optimizer_state_after_ten_steps(ten_steps: tuple[Run, Any, Any]) -> None:
    run, _, _ = ten_steps
    found = run.optimizer.state()
    wanted = upstream_state(run)
    assert set(found) == set(wanted)
    assert found["step"].item() == wanted["step"].item() == 10
    for name in sorted(set(wanted) - {"step"}):
        difference = (found[name] - wanted[name]).abs().max().item()
        noise = NO_GRADIENT**2 if name.startswith("exp_avg_sq/") else NO_GRADIENT
        assert difference <= max(noise, STATE * wanted[name].abs().max().item()), name


def upstream_state(run: Run) -> dict[str, Any]:
    from pynanochat.train import upstream_optimizer

    paths = upstream_optimizer.files(parity("train_g4_head"), 10)
    return upstream_optimizer.read(paths, run.cfg, run.groups)


def test_a_run_goes_on_from_upstreams_files(ten_steps: tuple[Run, list[list[float]], Any]) -> None:
    """Three more steps, on the first batches again: as the run that made the first ten itself, but for the noise."""
    resumed = Run(10)
    resumed.optimizer.load_state(upstream_state(resumed))
    own, first, _ = ten_steps
    weights_before = {name: parameter.detach().clone() for name, parameter in own.parameters.items()}
    state_before = own.optimizer.state()
    losses = {run: [run.step() for _ in range(3)] for run in (resumed, own)}
    assert resumed.optimizer.steps == 13
    assert np.abs(np.array(losses[resumed]) - losses[own]).max() <= LOSS
    assert np.mean(losses[resumed]) < np.mean(first[:3]) - 0.5  # it has seen these batches

    for name, parameter in own.parameters.items():  # the fixture is the module's
        parameter.data.copy_(weights_before[name])
    own.optimizer.load_state(state_before)
    own.steps_done = 10


def test_the_state_matters_to_a_run_that_goes_on(facts: dict[str, Any]) -> None:
    """Upstream's own step 10 and ours from its weights alone are not the same: the check above can fail."""
    with_state, without = Run(10), Run(10)
    with_state.optimizer.load_state(upstream_state(with_state))
    for run in (with_state, without):
        run.step()
    assert any((a - b).abs().max() > 0.01 for a, b in zip(
        with_state.parameters.values(), without.parameters.values(), strict=True))

"""Compiled or not, a step is the same step, and the same bits every time; where it cannot be compiled, that is said."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pynanochat.config import GPTConfig
from pynanochat.errors import TrainingError
from pynanochat.initialize import random_tensors

torch = pytest.importorskip("torch")

from pynanochat.train import compiled  # noqa: E402
from pynanochat.train.compiled import speed_up  # noqa: E402
from pynanochat.train.network import GPT  # noqa: E402

CFG = GPTConfig(sequence_len=32, vocab_size=90, n_layer=2, n_head=2, n_kv_head=1, n_embd=32)
STEPS = """
import hashlib, sys, torch
from pynanochat.config import GPTConfig
from pynanochat.train.compiled import speed_up
from pynanochat.train.initialization import initialize
from pynanochat.train.network import GPT
torch.set_num_threads(2)
cfg = GPTConfig(sequence_len=64, vocab_size=300, n_layer=2, n_head=2, n_kv_head=1, n_embd=64)
gpt = GPT(cfg, activations=torch.bfloat16, dropout=float(sys.argv[2]))
initialize(gpt, 3, "kaiming")
said = speed_up(gpt, sys.argv[1], 4, 64)
torch.manual_seed(5)
for _ in range(3):
    ids = torch.randint(0, 300, (4, 65))
    loss = gpt.loss(ids[:, :-1].contiguous(), ids[:, 1:].contiguous(), "mean")
    loss.backward()
    with torch.no_grad():
        for parameter in gpt.parameters():
            parameter -= 0.05 * parameter.grad
            parameter.grad = None
numbers = b"".join(parameter.detach().numpy().tobytes() for parameter in gpt.parameters())
print(said.split(",")[0], loss.item(), hashlib.sha256(numbers).hexdigest())
"""


def started(way, dropout="0", **environment):
    return subprocess.Popen([sys.executable, "-c", STEPS, way, dropout], stdout=subprocess.PIPE, text=True,
                            env=os.environ | environment)


def said(process):
    out, _ = process.communicate()
    assert process.returncode == 0
    return out


def made(activations=torch.float32):
    gpt = GPT(CFG, activations=activations)
    gpt.load(random_tensors(CFG, 3))
    return gpt


@pytest.mark.soak  # on a busy machine, with dropout and two threads, some runs differ; the cause is not found yet
def test_the_same_seed_gives_the_same_bits() -> None:
    first, second = started("off", "0.1"), started("off", "0.1")
    assert said(first) == said(second)


@pytest.mark.soak
def test_compiled_the_same_seed_gives_the_same_bits_and_caches_may_be_shared(tmp_path) -> None:
    folder = {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    together = [started("on", **folder), started("on", **folder)]  # both compile into an empty cache at once
    found = {said(process) for process in together} | {said(started("on", **folder))}
    assert len(found) == 1
    word, loss, _ = found.pop().rsplit(" ", 2)
    assert word == "compiled for cpu"
    assert float(loss) == pytest.approx(float(said(started("off")).rsplit(" ", 2)[1]), rel=2e-3)


@pytest.mark.soak
def test_compiled_gradients_are_those_of_the_network() -> None:
    tokens = torch.randint(0, 90, (3, 32), generator=torch.Generator().manual_seed(0))
    for activations, limit in ((torch.float32, 1e-4), (torch.bfloat16, 0.05)):
        plain, fast = made(activations), made(activations)
        assert speed_up(fast, "on", 3, 32) == "compiled for cpu"
        losses = [gpt.loss(tokens, tokens) for gpt in (plain, fast)]
        assert losses[0].item() == pytest.approx(losses[1].item(), rel=limit / 10)
        gradients = [torch.autograd.grad(loss, list(gpt.parameters()))
                     for loss, gpt in zip(losses, (plain, fast), strict=True)]
        for one, other in zip(*gradients, strict=True):
            if activations == torch.float32 or one.ndim == 2:  # a lambda's is a sum of large numbers that cancel
                assert (one - other).norm() <= limit * (one.norm() + 0.1)
        with torch.no_grad():  # another program to the compiler, and a shape that is not compiled
            assert fast.loss(tokens, tokens).item() == pytest.approx(losses[0].item(), rel=limit / 10)
            assert fast.loss(tokens[:2], tokens[:2]) == plain.loss(tokens[:2], tokens[:2])


def test_off_and_what_is_no_choice() -> None:
    gpt = made()
    assert speed_up(gpt, "off", 2, 32) == "not compiled, as asked"
    assert gpt.compiled is None
    with pytest.raises(TrainingError, match="expected auto, on, off"):
        speed_up(gpt, "yes", 2, 32)


def test_without_a_compiler_it_goes_on_and_says_so(monkeypatch) -> None:
    monkeypatch.setattr(compiled.shutil, "which", lambda name: None)
    gpt = made()
    assert speed_up(gpt, "auto", 2, 32) == ("not compiled, which is slower: no C++ compiler is found; "
                                            "install g++ or clang++")
    with pytest.raises(TrainingError, match=r"no C\+\+ compiler is found"):
        speed_up(gpt, "on", 2, 32)


def test_a_compiler_that_fails_is_left_aside(monkeypatch) -> None:
    def broken(*args, **kwargs):
        raise RuntimeError("ld: no space left\nand more")

    monkeypatch.setattr(compiled.shutil, "which", lambda name: name)
    monkeypatch.setattr(torch, "compile", lambda function, **options: broken)
    gpt, state = made(), torch.random.get_rng_state()
    assert speed_up(gpt, "auto", 2, 32) == "not compiled, which is slower: RuntimeError: ld: no space left"
    assert gpt.compiled is None
    assert all(parameter.grad is None for parameter in gpt.parameters())
    assert torch.equal(torch.random.get_rng_state(), state)
    gpt.loss(torch.zeros(2, 32, dtype=torch.long), torch.zeros(2, 32, dtype=torch.long)).backward()

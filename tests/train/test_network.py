"""GPT trains the one network: upstream's names, upstream's gradients, in float32 and bfloat16."""

from __future__ import annotations

import numpy as np
import pytest
from fixture_files import parity

from pynanochat import checkpoint, weights
from pynanochat.config import GPTConfig
from pynanochat.errors import TrainingError, UnsupportedError
from pynanochat.initialize import random_tensors

torch = pytest.importorskip("torch")

from pynanochat.train.network import GPT  # noqa: E402

SMALL = GPTConfig(sequence_len=32, vocab_size=90, n_layer=3, n_head=4, n_kv_head=2, n_embd=32, window_pattern="SL",
                  short_window=7)
OLDEST = GPTConfig(sequence_len=32, vocab_size=90, n_layer=2, n_head=2, n_kv_head=2, n_embd=32, window_pattern=None,
                   lambdas=False, value_embeds=False, smear=False, backout=False)
BIGRAM = GPTConfig(sequence_len=32, vocab_size=90, n_layer=2, n_head=2, n_kv_head=2, n_embd=32, smear=False,
                   bigram=True, backout=False)
PORT = GPTConfig(sequence_len=32, vocab_size=90, n_layer=2, n_head=2, n_kv_head=1, n_embd=32, window_pattern=None,
                 lambdas=False, value_embeds=False, smear=False, backout=False, embed_norm=False, qkv_clip=0.5,
                 logit_clip=0.4)
NETWORKS = {"small": SMALL, "oldest": OLDEST, "bigram": BIGRAM, "port": PORT}


def made(cfg, activations=torch.float32, **options):
    gpt = GPT(cfg, activations=activations, **options)
    gpt.load(random_tensors(cfg, 3))
    return gpt


def batch(cfg, rows=2, seed=0):
    ids = torch.from_numpy(np.random.default_rng(seed).integers(0, cfg.vocab_size, (rows, cfg.sequence_len + 1)))
    targets = ids[:, 1:].clone()
    targets[0, :5] = -1
    return ids[:, :-1], targets


def test_gradients_of_upstreams_first_step() -> None:
    opened = checkpoint.open(parity("train_g4_head"), step=0)
    gpt = GPT(opened.config, activations=torch.float32)
    gpt.load(opened.tensors)
    with np.load(parity("train_g4_head") / "train.npz") as run:
        tokens, targets, losses = (run[name][0] for name in ("tokens", "targets", "losses"))
        wanted = {name.removeprefix("grad0/"): run[name] for name in run if name.startswith("grad0/")}
    for ids, labels, loss in zip(torch.from_numpy(tokens).long(), torch.from_numpy(targets).long(), losses,
                                 strict=True):
        found = gpt.loss(ids, labels, "mean")
        assert abs(found.item() - loss) <= 1e-5
        (found / 2).backward()
    for name, parameter in gpt.named_parameters():
        error = np.abs(parameter.grad.numpy() - wanted[name])
        assert (error <= np.maximum(1e-7, 1e-5 * np.abs(wanted[name]).max())).all(), name


@pytest.mark.parametrize("name", NETWORKS)
def test_names_and_shapes_are_upstreams(name: str) -> None:
    cfg = NETWORKS[name]
    found = GPT(cfg, activations=torch.bfloat16).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in found.items()} == weights.tensor_shapes(cfg)
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}


@pytest.mark.parametrize("name", NETWORKS)
def test_loss_is_the_cross_entropy_of_the_logits(name: str) -> None:
    cfg = NETWORKS[name]
    gpt, (tokens, targets) = made(cfg), batch(cfg)
    logits = gpt(tokens)
    assert logits.shape == (2, cfg.sequence_len, cfg.vocab_size)
    assert logits.dtype == torch.float32
    plain = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1,
                                              reduction="none").view(targets.shape)
    parameters = dict(gpt.named_parameters())
    wanted = torch.autograd.grad(plain.sum(), list(parameters.values()))
    losses = gpt.loss(tokens, targets, "none")
    np.testing.assert_allclose(losses.detach(), plain.detach(), rtol=1e-5, atol=1e-6)
    assert not losses[0, :5].any()
    assert gpt.loss(tokens, targets).item() == pytest.approx(plain.sum().item(), rel=1e-6)
    assert gpt.loss(tokens, targets, "mean").item() == pytest.approx(plain.sum().item() / 59, rel=1e-6)
    for made_of in (losses.sum(), gpt.loss(tokens, targets)):
        found = torch.autograd.grad(made_of, list(parameters.values()))
        for place, gradient, right in zip(parameters, found, wanted, strict=True):
            assert (gradient - right).abs().max() <= 2e-5 * right.abs().max() + 1e-7, place


def test_padding_rows_are_no_tokens() -> None:
    gpt, (tokens, targets) = made(SMALL), batch(SMALL)
    before = gpt.loss(tokens, targets)
    before.backward()
    rows = slice(SMALL.vocab_size, None)
    assert SMALL.padded_vocab_size > SMALL.vocab_size
    for name in (weights.LM_HEAD, weights.WTE):
        assert not gpt.get_parameter(name).grad[rows].any()
    with torch.no_grad():
        gpt.get_parameter(weights.LM_HEAD)[rows] = 1e3
    assert gpt.loss(tokens, targets) == before


def test_a_row_sees_no_other_row_and_nothing_later() -> None:
    gpt, (tokens, _) = made(SMALL), batch(SMALL)
    logits = gpt(tokens)
    changed = tokens.clone()
    changed[0, 20:] = 7
    changed[1] = 9
    np.testing.assert_allclose(gpt(changed)[0, :20].detach(), logits[0, :20].detach(), atol=1e-5)


def test_bfloat16_is_near_float32_and_keeps_float32_parameters() -> None:
    tokens, targets = batch(SMALL)
    exact, rounded = made(SMALL), made(SMALL, torch.bfloat16)
    assert rounded.hidden(tokens).dtype == torch.bfloat16
    assert rounded(tokens).dtype == torch.float32
    losses = [gpt.loss(tokens, targets, "mean") for gpt in (exact, rounded)]
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=0.02)
    losses[1].backward()
    assert {parameter.grad.dtype for parameter in rounded.parameters()} == {torch.float32}


def test_dropout_is_for_training_only() -> None:
    tokens, targets = batch(SMALL)
    gpt, plain = made(SMALL, dropout=0.3), made(SMALL)

    def loss(seed):
        torch.manual_seed(seed)
        return gpt.loss(tokens, targets).item()

    assert loss(1) == loss(1) != loss(2)
    gpt.eval()
    assert loss(1) == loss(2) == plain.loss(tokens, targets).item()


def test_tensors_go_in_and_out_unchanged() -> None:
    tensors = random_tensors(SMALL, 5)
    gpt = GPT(SMALL, activations=torch.float32)
    gpt.load(tensors)
    out = gpt.tensors()
    assert list(out) == list(weights.tensor_shapes(SMALL))
    for name, tensor in out.items():
        assert tensor.dtype == "float32"
        assert tensor.data.flags.c_contiguous
        np.testing.assert_array_equal(tensor.data, tensors[name].data)
    assert np.shares_memory(out[weights.WTE].data, gpt.get_parameter(weights.WTE).detach().numpy())


def test_what_does_not_fit_is_refused() -> None:
    gpt = GPT(SMALL, activations=torch.float32)
    with pytest.raises(UnsupportedError, match=r"is missing"):
        gpt.load(random_tensors(OLDEST, 0))
    with pytest.raises(TrainingError, match="rows of 321 tokens"):
        gpt.loss(*(torch.zeros(1, 321, dtype=torch.long),) * 2)

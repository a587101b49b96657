"""The networks that are measured have upstream's shapes, finite numbers and the formats asked for."""

import numpy as np
import pytest

from pynanochat import checkpoint
from pynanochat.backends import choose
from pynanochat.bench import model as bench_model
from pynanochat.bench.model import network_of_depth, open_checkpoint, random_model, stored_model
from pynanochat.bench.workload import Workload
from pynanochat.config import GPTConfig
from pynanochat.errors import BackendError, RequestError
from pynanochat.initialize import random_tensors
from pynanochat.quantize.quantizer import matrices, quantize
from pynanochat.weights import RESID_LAMBDAS, tensor_shapes


@pytest.mark.parametrize(("depth", "width", "heads"), [(1, 128, 1), (4, 256, 2), (12, 768, 6), (13, 896, 7),
                                                       (20, 1280, 10), (26, 1664, 13)])
def test_depth_is_upstreams(depth, width, heads):
    cfg = network_of_depth(depth)
    assert cfg == GPTConfig(n_layer=depth, n_embd=width, n_head=heads, n_kv_head=heads)
    assert (cfg.head_dim, cfg.vocab_size, cfg.sequence_len) == (128, 32768, 2048)


@pytest.mark.parametrize("depth", [0, -1, 257, True, 1.5])
def test_depth_that_is_none(depth):
    with pytest.raises(RequestError, match="depth"):
        network_of_depth(depth)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("form", [None, "q8", "q4"])
def test_random_tensors(cfg, dtype, form):
    model = random_model("r", cfg, dtype, form)
    for name, shape in tensor_shapes(cfg).items():
        tensor = model.tensors[name]
        assert tensor.shape == shape
        tensor.check_finite(name, "random")
        rest = "bfloat16" if form else dtype
        expected = "float32" if len(shape) == 1 else form if form and name in matrices(cfg) else rest
        assert tensor.dtype == expected, name
        values = tensor.numpy()
        assert np.isfinite(values).all()
        assert np.array_equal(values, model.tensors[name].numpy())  # the same whenever it is asked for
        if name in matrices(cfg):
            assert 0.7 < values.std() * np.sqrt(shape[1]) < 1.4
        if name == RESID_LAMBDAS:
            assert (np.abs(values - 1) < 0.5).all()


@pytest.mark.parametrize("form", [None, "q8", "q4"])
@pytest.mark.parametrize("backend", ["reference", "torch", "cpu"])
def test_random_models_run(cfg, form, backend):
    work = Workload(cfg, 2, 24)
    choice = choose(backend, None)
    model = random_model("r", cfg, choice.dtype, form)
    runner = model.open(choice, context=24, pages=work.pages)
    logits = runner.forward(work.batch(range(2), 0, 20)).numpy()
    assert logits.shape == (2, 96)
    assert np.isfinite(logits).all()
    assert 0.05 < logits.std() < cfg.softcap


def test_a_stored_model_is_quantised_where_it_is_asked_for(cfg, tmp_path):
    tensors = random_tensors(cfg, 1)
    folder = checkpoint.save(tmp_path / "model", config=cfg, tensors=tensors)
    opened = open_checkpoint(str(folder))
    plain, small = stored_model(opened), stored_model(opened, "q4")
    assert (plain.name, plain.config, plain.random) == ("model", cfg, False)
    for name, tensor in tensors.items():
        assert np.array_equal(plain.tensors[name].numpy(), tensor.data)
        expected = quantize(tensor.data, "q4").numpy() if name in matrices(cfg) else tensor.data
        assert np.array_equal(small.tensors[name].numpy(), expected)


def test_too_large_for_the_memory(cfg, monkeypatch):
    model = random_model("big", cfg, "float32")
    choice = choose("reference", None)
    monkeypatch.setattr(bench_model, "_free_bytes", lambda: 1000)
    with pytest.raises(BackendError, match="big needs about"):
        model.open(choice, context=16, pages=(1, 1))
    monkeypatch.setattr(bench_model, "_free_bytes", lambda: None)
    monkeypatch.setattr(bench_model, "open_runner", lambda *_, **__: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(BackendError, match="big does not fit the memory"):
        model.open(choice, context=16, pages=(1, 1))

"""inspect says what is in the files, and agrees with what loading gives."""

import json

import numpy as np
import pytest

import pynanochat as nc
from pynanochat import checkpoint
from pynanochat.generation import RUST_PORT
from pynanochat.initialize import random_tensors
from pynanochat.sizes import Sizes
from pynanochat.tokenizer import SPECIAL_TOKENS, Tokenizer
from pynanochat.weights import tensor_shapes

SIZES = {"sequence_len": 64, "vocab_size": 265, "n_layer": 2, "n_head": 2, "n_kv_head": 1, "n_embd": 32}
G4 = nc.GPTConfig(**SIZES)


def byte_tokenizer():
    return Tokenizer({bytes([i]): i for i in range(256)}, {name: 256 + i for i, name in enumerate(SPECIAL_TOKENS)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny"
    return checkpoint.save(path, config=G4, tensors=random_tensors(G4, 1), tokenizer=byte_tokenizer(),
                           meta={"step": 7, "val_bpb": 0.5})


def test_native(folder):
    found = nc.inspect(folder)
    assert (found.format, found.generation, found.config, found.notes) == ("native", "G4", G4, ())
    assert found.since == "a825e63 2026-03-14"
    assert {t.name: t.shape for t in found.tensors} == tensor_shapes(G4)
    assert found.stored_bytes == found.sizes.weight_bytes == 4 * found.sizes.parameters["total"]
    assert found.tokenizer.vocab_size == 265
    assert found.tokenizer.special_tokens == SPECIAL_TOKENS
    assert found.meta["step"] == 7


def test_sizes_are_told_for_what_was_asked(folder):
    found = nc.inspect(folder, dtype="bfloat16", context=10)
    assert found.sizes == Sizes.of(G4, "bfloat16", 10)


@pytest.mark.parametrize(("kind", "config", "generation"), [
    ("nanochat", G4, "G4"), ("burn", nc.GPTConfig(**SIZES, **RUST_PORT, padded_vocab_size=265), "nanochat-rs")])
def test_other_formats(tmp_path, kind, config, generation):
    checkpoint.save(tmp_path / "m", config=config, tensors=random_tensors(config, 2), format=kind)
    found = nc.inspect(tmp_path / "m")
    assert (found.generation, found.config, found.tokenizer) == (generation, config, None)
    assert {t.name: t.shape for t in found.tensors} == tensor_shapes(config)
    assert all(t.nbytes == 4 * np.prod(t.shape) for t in found.tensors)


def test_is_json(folder):
    document = json.loads(json.dumps(nc.inspect(folder).to_dict()))
    assert set(document) == {"path", "format", "generation", "since", "config", "sizes", "stored_bytes", "tokenizer",
                             "meta", "notes", "tensors"}
    assert nc.GPTConfig.from_dict(document["config"]) == G4


def test_reads_no_weights(folder, monkeypatch):
    def refuse(*args):
        raise AssertionError("a weight was read")

    monkeypatch.setattr("pynanochat.tensor.Tensor.numpy", refuse)
    monkeypatch.setattr("pynanochat.tensor.Tensor.check_finite", refuse)
    assert nc.inspect(folder).generation == "G4"


def test_unknown_names_and_settings_are_refused(folder):
    with pytest.raises(nc.NotFoundError):
        nc.inspect(folder / "nothing")
    with pytest.raises(nc.ConfigError):
        nc.inspect(folder, dtype="int3")
    with pytest.raises(nc.ContextError):
        nc.inspect(folder, context=-1)

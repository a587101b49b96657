"""q8 and q4 on the disk: kept to the bit by native folders, refused elsewhere, run by every backend."""

import json

import hostile_quantized
import numpy as np
import pytest
import safetensors.numpy
from test_checkpoint_formats import random_model

import pynanochat as nc
from pynanochat import checkpoint
from pynanochat.checkpoint.lazy_tensors import LazyTensors, kinds
from pynanochat.cores import cores
from pynanochat.errors import NanochatError, UnsupportedError
from pynanochat.quantize.formats import FORMATS, QuantizedTensor, quantized_bytes
from pynanochat.quantize.quantizer import matrices, quantize
from pynanochat.tensor import Tensor
from pynanochat.weights import tensor_shapes

CFG, TENSORS = random_model()
PLAIN = {"value_embeds": False, "lambdas": False, "smear": False, "backout": False, "window_pattern": None,
         "padded_vocab_size": 300, "rope_base": 1e4, "qk_scale": 1.0, "rope_table_dtype": "float32"}


def same(left, right):
    assert set(left) == set(right)
    for name in left:
        assert left[name].dtype == right[name].dtype
        if isinstance(left[name], QuantizedTensor):
            assert (left[name].codes == right[name].codes).all()
            assert (left[name].scales == right[name].scales).all()
        else:
            assert (left[name].data == right[name].data).all()


@pytest.fixture(scope="module", params=FORMATS)
def stored(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("quantized") / request.param
    return request.param, checkpoint.save(folder, config=CFG, tensors=TENSORS, quantize=request.param)


def test_quantised_when_asked_for(monkeypatch):
    calls = []
    monkeypatch.setattr("pynanochat.checkpoint.quantized_tensors.quantize",
                        lambda *values: calls.append(1) or quantize(*values))
    made = checkpoint.quantized(CFG, TENSORS, "q4")
    found = kinds(made)
    assert {name: shape for name, (_, shape) in found.items()} == tensor_shapes(CFG)
    assert {name for name, (dtype, _) in found.items() if dtype == "q4"} == matrices(CFG)
    assert not calls
    assert isinstance(made["lm_head.weight"], QuantizedTensor)
    assert made["transformer.wte.weight"] is TENSORS["transformer.wte.weight"]
    assert len(calls) == 1
    again = checkpoint.quantized(CFG, {name: made[name] for name in made}, "q4")
    assert len([again[name] for name in again]) == len(TENSORS)
    assert len(calls) == len(matrices(CFG)) + 1  # passed on, not made again
    with pytest.raises(UnsupportedError, match="the weights are q4 already, and q8 made of them would lose twice"):
        checkpoint.quantized(CFG, made, "q8")
    with pytest.raises(UnsupportedError, match="quantize is 'q5'; expected one of q8, q4"):
        checkpoint.quantized(CFG, TENSORS, "q5")


def test_there_and_back(stored):
    kind, folder = stored
    opened = checkpoint.open(folder)
    same(opened.tensors, checkpoint.quantized(CFG, TENSORS, kind))
    assert opened.config == CFG
    assert checkpoint.quantization(opened.tensors) == kind
    again = checkpoint.save(folder.with_name("again"), config=opened.config, tensors=opened.tensors)
    assert {path.name: path.read_bytes() for path in again.iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()}
    lazy = checkpoint.save(folder.with_name("lazy"), config=CFG, tensors=checkpoint.quantized(CFG, TENSORS, kind))
    assert (lazy / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_what_lies_in_the_file(stored):
    """As docs/checkpoints.md says, for those who write a reader."""
    kind, folder = stored
    values = json.loads((folder / "config.json").read_text())
    assert (values["version"], values["quantization"]) == (2, kind)
    header = json.loads((folder / "model.safetensors").read_bytes()[8:].split(b"}}")[0] + b"}}")
    for name in matrices(CFG):
        rows, columns = tensor_shapes(CFG)[name]
        codes, scales = header[f"{name}.q"], header[f"{name}.scale"]
        assert (codes["dtype"], codes["shape"]) == (
            ("I8", [rows, columns]) if kind == "q8" else ("U8", [rows, -(-columns // 2)]))
        assert (scales["dtype"], scales["shape"]) == ("BF16", [rows, -(-columns // 64)])
        assert codes["data_offsets"][0] == scales["data_offsets"][1]
    assert safetensors.safe_open(folder / "model.safetensors", "numpy").keys()


def test_each_matrix_is_quantised_once_while_saving(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr("pynanochat.checkpoint.quantized_tensors.quantize",
                        lambda *values: calls.append(1) or quantize(*values))
    checkpoint.save(tmp_path / "x", config=CFG, tensors=TENSORS, quantize="q8")
    assert len(calls) == len(matrices(CFG))


def test_floats_are_saved_as_ever(tmp_path):
    folder = checkpoint.save(tmp_path / "x", config=CFG, tensors=TENSORS)
    values = json.loads((folder / "config.json").read_text())
    assert values["version"] == 1
    assert "quantization" not in values


def test_dtypes(stored, tmp_path):
    """`dtype` is for what is not quantised by this save; without that, quantised weights become floats again."""
    kind, folder = stored
    opened = checkpoint.open(folder)
    both = checkpoint.open(checkpoint.save(tmp_path / "both", config=CFG, tensors=TENSORS, quantize=kind,
                                           dtype="bfloat16")).tensors
    assert {tensor.dtype for tensor in both.values()} == {kind, "bfloat16"}
    same({name: both[name] for name in matrices(CFG)}, {name: opened.tensors[name] for name in matrices(CFG)})
    floats = checkpoint.open(checkpoint.save(tmp_path / "floats", config=CFG, tensors=opened.tensors,
                                             dtype="float32")).tensors
    assert {tensor.dtype for tensor in floats.values()} == {"float32"}
    for name, tensor in floats.items():
        assert (tensor.data == opened.tensors[name].numpy()).all()


@pytest.mark.parametrize("kind", ["nanochat", "huggingface", "burn"])
def test_other_formats_have_no_place_for_them(kind, tmp_path):
    cfg, tensors = random_model(**PLAIN)
    small = checkpoint.open(checkpoint.save(tmp_path / "q", config=cfg, tensors=tensors, quantize="q8"))
    for given, options in ((small.tensors, {}), (tensors, {"quantize": "q4"})):
        with pytest.raises(UnsupportedError, match=f"the {kind} format has no place for q"):
            checkpoint.save(tmp_path / "x", config=cfg, tensors=given, format=kind, **options)
    assert not (tmp_path / "x").exists()
    back = checkpoint.open(checkpoint.save(tmp_path / "x", config=cfg, tensors=small.tensors, format=kind,
                                           dtype="float32"))
    for name, tensor in back.tensors.items():
        assert (tensor.numpy() == small.tensors[name].numpy()).all()


def test_half_a_network_in_another_format_is_refused(tmp_path):
    eight, four = (checkpoint.quantized(CFG, TENSORS, kind) for kind in FORMATS)
    table = "transformer.wte.weight"
    for mixed in (dict(eight) | {"lm_head.weight": four["lm_head.weight"]},
                  dict(TENSORS) | {"lm_head.weight": eight["lm_head.weight"]},
                  dict(eight) | {table: quantize(TENSORS[table].numpy(), "q8")}):
        with pytest.raises(UnsupportedError, match="in a model quantised to q"):
            checkpoint.save(tmp_path / "x", config=CFG, tensors=mixed)


def test_odd_columns(tmp_path):
    """A row whose last byte holds one index."""
    cfg, tensors = random_model(n_inner=65)
    opened = checkpoint.open(checkpoint.save(tmp_path / "x", config=cfg, tensors=tensors, quantize="q4"))
    same(opened.tensors, checkpoint.quantized(cfg, tensors, "q4"))


@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_backends_run_the_floats_that_they_stand_for(stored, backend, tmp_path):
    if backend == "torch":
        pytest.importorskip("torch")
    kind, folder = stored
    floats = checkpoint.save(tmp_path / "floats", config=CFG, tensors=checkpoint.open(folder).tensors, dtype="float32")
    plain = checkpoint.save(tmp_path / "plain", config=CFG, tensors=TENSORS)
    wanted = nc.load(floats, backend=backend).logits([1, 2, 3, 4])
    for llm in (nc.load(folder, backend=backend), nc.load(folder, backend=backend, quantize=kind),
                nc.load(plain, backend=backend, quantize=kind)):
        assert (llm.logits([1, 2, 3, 4]) == wanted).all()
    assert np.abs(nc.load(plain, backend=backend).logits([1, 2, 3, 4]) - wanted).max() > 1e-6
    other = "q4" if kind == "q8" else "q8"
    with pytest.raises(UnsupportedError, match="would lose twice"):
        nc.load(folder, backend=backend, quantize=other)


def test_inspect(stored):
    kind, folder = stored
    found = nc.inspect(folder, dtype=kind)
    assert {t.name: t.shape for t in found.tensors} == tensor_shapes(CFG)
    assert found.sizes.parameters["total"] == sum(np.prod(shape) for shape in tensor_shapes(CFG).values())
    opened = checkpoint.open(folder)
    assert {t.name: t.nbytes for t in found.tensors} == {name: t.nbytes for name, t in opened.tensors.items()}
    (head,) = (t for t in found.tensors if t.name == "lm_head.weight")
    assert (head.dtype, head.nbytes) == (kind, quantized_bytes((320, 32), kind))


def test_hostile_folders(tmp_path):
    count = 0
    for folder, said in hostile_quantized.folders(tmp_path):
        count += 1
        if not said:
            checkpoint.open(folder)
            continue
        with pytest.raises(NanochatError) as caught:
            checkpoint.open(folder)
        assert said in str(caught.value), folder.name
    assert count > 50


def test_altered_bits_are_caught(stored, tmp_path):
    _, folder = stored
    data = (folder / "model.safetensors").read_bytes()
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "config.json").write_bytes((folder / "config.json").read_bytes())
    for at in np.random.default_rng(1).integers(0, len(data), 40):
        bad = bytearray(data)
        bad[at] ^= 4
        (copy / "model.safetensors").unlink(missing_ok=True)
        (copy / "model.safetensors").write_bytes(bad)
        with pytest.raises(NanochatError):
            checkpoint.open(copy)


def test_opening_and_importing_need_no_numba():
    import subprocess
    import sys

    code = ("import sys, pynanochat as nc, pynanochat.checkpoint, pynanochat.quantize.quantizer; nc.load; "
            "print('numba' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_lazy_maps_are_plain_ones():
    made = checkpoint.quantized(CFG, TENSORS, "q8")
    assert isinstance(made, LazyTensors)
    assert list(made) == list(TENSORS)
    assert isinstance(made["resid_lambdas"], Tensor)
    assert cores() >= 1

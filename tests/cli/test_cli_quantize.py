"""q8 and q4 from the shell: convert, what it costs on a text, and running them."""

import json

import pytest

import pynanochat as nc
from pynanochat import checkpoint


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("Once upon a time there was a é. " * 20)
    return path


@pytest.mark.parametrize("kind", ["q8", "q4"])
def test_convert(call, tiny, tmp_path, kind):
    code, out, err = call("convert", tiny, tmp_path / "x", "--quantize", kind)
    assert code == 0
    assert "model.safetensors" in out
    assert f"G4 as native in {kind}, " in err
    assert " of weights" in err
    code, out, _ = call("inspect", tmp_path / "x", "--dtype", kind, "--json")
    document = json.loads(out)
    assert code == 0
    assert document["sizes"]["dtype"] == kind
    assert document["sizes"]["weight_bytes"] == document["stored_bytes"]
    code, out, _ = call("convert", tmp_path / "x", tmp_path / "y", "--json")
    assert json.loads(out)["quantization"] == kind
    assert checkpoint.quantization(checkpoint.open(tmp_path / "y").tensors) == kind
    assert (tmp_path / "x" / "model.safetensors").read_bytes() == (tmp_path / "y" / "model.safetensors").read_bytes()
    assert call("convert", tmp_path / "y", tmp_path / "z", "--dtype", "float32")[0] == 0
    assert {tensor.dtype for tensor in nc.inspect(tmp_path / "z").tensors} == {"float32"}


def test_quality_on_a_text(call, tiny, tmp_path, text):
    code, out, _ = call("convert", tiny, tmp_path / "x", "--quantize", "q8", "--text", text, "--json")
    document = json.loads(out)
    found = document["quality"]
    assert code == 0
    assert found["tokens"] == 33 * 20
    assert 0 < found["kl"] < 1e-2
    assert found["top1"] > 0.9
    assert found["perplexity_ratio"] == pytest.approx(1, abs=0.01)
    assert document["source_weight_bytes"] == nc.inspect(tiny).stored_bytes
    code, out, _ = call("convert", tiny, tmp_path / "same", "--text", text)
    assert code == 0
    for line in ("660  tokens of", "0.00e+00  mean KL divergence", "100.00%  top-1 agreement", "1.00000  perplexity"):
        assert line in out, line


def test_refusals(call, tiny, mute, tmp_path, text):
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "empty").write_text("")
    call("convert", tiny, tmp_path / "q8", "--quantize", "q8")
    for arguments, said in (
            ((tmp_path / "q8", tmp_path / "x", "--quantize", "q4"), "the weights are q8 already"),
            ((tmp_path / "q8", tmp_path / "x", "--format", "nanochat"), "has no place for q8 weights"),
            ((tiny, tmp_path / "x", "--format", "nanochat", "--quantize", "q4"), "has no place for q4 weights"),
            ((tiny, tmp_path / "x", "--text", tmp_path / "binary"), "no UTF-8 text"),
            ((tiny, tmp_path / "x", "--text", tmp_path / "empty"), "no tokens"),
            ((tiny, tmp_path / "x", "--text", tmp_path / "nowhere"), "cannot be read"),
            ((mute, tmp_path / "x", "--text", text), "no tokenizer")):
        code, out, err = call("convert", *arguments)
        assert (code, out) == (2, ""), arguments
        assert said in err
        assert err.count("\n") == 1
        assert not (tmp_path / "x").exists()


def test_generate(call, tiny, tmp_path):
    call("convert", tiny, tmp_path / "q4", "--quantize", "q4")
    common = ("--greedy", "--max-tokens", "8", "--backend", "reference", "Hello")
    first = call("generate", "-m", tmp_path / "q4", *common)
    assert first[0] == 0
    assert call("generate", "-m", tiny, "--quantize", "q4", *common)[1] == first[1]
    code, _, err = call("generate", "-m", tmp_path / "q4", "--quantize", "q8", *common)
    assert code == 2
    assert "would lose twice" in err


def test_inspect_tells_what_quantised_weights_are_and_not_what_they_cannot_be(call, tiny, tmp_path):
    call("convert", tiny, tmp_path / "x", "--quantize", "q8")
    assert json.loads(call("inspect", tmp_path / "x", "--json")[1])["sizes"]["dtype"] == "q8"
    assert json.loads(call("inspect", tmp_path / "x", "--dtype", "float32", "--json")[1])["sizes"]["dtype"] == "float32"
    code, out, err = call("inspect", tmp_path / "x", "--dtype", "q4")
    assert (code, out) == (2, "")
    assert "the weights are q8 already" in err

"""nanochat inspect, convert and check."""

import json

import pynanochat as nc
from pynanochat import checkpoint
from pynanochat.ops import reference


def test_inspect(call, tiny):
    code, out, err = call("inspect", tiny, "--tensors")
    assert (code, err) == (0, "")
    for part in ("native", "G4, nanochat since a825e63 2026-03-14", "parameters", "sizes in float32 at 256 tokens",
                 "softcap", "val_bpb", "transformer.wte.weight", "320x32"):
        assert part in out, part
    assert "\033" not in out


def test_inspect_json(call, tiny):
    code, out, _ = call("inspect", tiny, "--json")
    assert code == 0
    assert json.loads(out) == nc.inspect(tiny).to_dict()


def test_inspect_the_bundled_model(call):
    document = json.loads(call("inspect", "--json")[1])
    assert document["generation"] == "G4"
    assert document["tokenizer"]["vocab_size"] == 4096


def test_convert_there_and_back(call, tiny, tmp_path):
    code, out, _ = call("convert", tiny, tmp_path / "pt", "--format", "nanochat", "--json")
    document = json.loads(out)
    assert code == 0
    assert set(document["files"]) == {"model_000003.pt", "meta_000003.json", "tokenizer.pkl", "token_bytes.pt"}
    assert document["total_bytes"] == sum(path.stat().st_size for path in (tmp_path / "pt").iterdir())
    code, out, err = call("convert", tmp_path / "pt", tmp_path / "back")
    assert code == 0
    assert "model.safetensors" in out
    assert "G4 as native" in err
    first, last = checkpoint.open(tiny), checkpoint.open(tmp_path / "back")
    assert first.config == last.config
    assert all((first.tensors[name].data == last.tensors[name].data).all() for name in first.tensors)


def test_convert_to_bfloat16(call, tiny, tmp_path):
    assert call("convert", tiny, tmp_path / "small", "--dtype", "bfloat16")[0] == 0
    assert {tensor.dtype for tensor in nc.inspect(tmp_path / "small").tensors} == {"bfloat16"}


def test_check_passes(call):
    code, out, err = call("check", "--backend", "reference")
    assert (code, err) == (0, "")
    assert " PASS, 0 FAIL, 0 SKIP in " in out.splitlines()[-1]


def test_check_fails_on_a_broken_operation(call, monkeypatch):
    monkeypatch.setattr(reference, "softcap", lambda x, cap: x)
    code, out, _ = call("check", "--backend", "reference", "--json")
    document = json.loads(out)
    assert code == 1
    assert document["failed"] == sum(one["status"] == "FAIL" for one in document["checks"]) >= 2
    assert document["passed"] + document["failed"] + document["skipped"] == len(document["checks"])

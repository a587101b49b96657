"""Hugging Face folders and nanochat-rs records: read, written, and refused by name where they are another network."""

import json

import msgspec
import numpy as np
import pytest
from fixture_files import parity
from test_checkpoint_formats import copied, equal, random_model

from pynanochat import checkpoint
from pynanochat.checkpoint import msgpack_file, safetensors_file
from pynanochat.errors import CheckpointError, UnsupportedError
from pynanochat.tokenizer import Tokenizer


@pytest.mark.parametrize("name", ["g0_weights_eps_default_1e-6", "g0_weights_eps_fp32", "own_weights_bf16"])
def test_huggingface(name, tmp_path):
    first = checkpoint.open(parity(f"hf/{name}"))
    assert (first.format, first.generation) == ("huggingface", "G0")
    assert first.config.rope_table_dtype == "float32"
    assert first.config.norm_eps == (1.1920928955078125e-07 if "fp32" in name else 1e-6)
    native = checkpoint.open(checkpoint.save(tmp_path / "n", config=first.config, tensors=first.tensors))
    folder = checkpoint.save(tmp_path / "h", config=native.config, tensors=native.tensors, format="huggingface",
                             tokenizer=Tokenizer.load(parity(f"tokenizer_{first.config.vocab_size}")))
    back = checkpoint.open(folder)
    assert back.config == native.config == first.config
    equal(back.tensors, first.tensors)
    assert back.tokenizer_path == folder / "tokenizer.json"
    theirs = json.loads((parity(f"hf/{name}") / "config.json").read_text())
    ours = json.loads((folder / "config.json").read_text())
    assert {key: theirs[key] for key in ours} == ours


def test_huggingface_holds_the_first_nanochat(tmp_path):
    nanochat = checkpoint.open(parity("models/g0_2025-10_base"), rope_table_dtype="float32")
    hf = checkpoint.open(parity("hf/g0_weights_eps_fp32"))
    equal(nanochat.tensors, hf.tensors)
    assert nanochat.config == hf.config
    rounded = checkpoint.open(parity("models/g0_2025-10_base"))
    with pytest.raises(UnsupportedError, match="rope_table_dtype float32"):
        checkpoint.save(tmp_path / "x", config=rounded.config, tensors=rounded.tensors, format="huggingface")
    assert not list(tmp_path.iterdir())


def test_huggingface_drops_padding_rows(tmp_path):
    padded = checkpoint.open(parity("models/g0b_2025-12_padded_bf16wte"), rope_table_dtype="float32")
    back = checkpoint.open(checkpoint.save(
        tmp_path / "x", config=padded.config, tensors=padded.tensors, format="huggingface"))
    assert (padded.config.padded_vocab_size, back.config.padded_vocab_size) == (640, 600)
    np.testing.assert_array_equal(back.tensors["lm_head.weight"].data, padded.tensors["lm_head.weight"].data[:600])


def test_huggingface_shards_and_older_names(tmp_path):
    folder = copied("hf/own_weights_bf16", tmp_path)
    whole = checkpoint.open(folder)
    tensors = safetensors_file.read(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    shards = {"model-00001-of-00002.safetensors": names[:5], "model-00002-of-00002.safetensors": names[5:]}
    for file, part in shards.items():
        with (folder / file).open("wb") as out:
            safetensors_file.write(out, {name: tensors[name] for name in part}, {})
    index = {"metadata": {}, "weight_map": {name: file for file, part in shards.items() for name in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    config = json.loads((folder / "config.json").read_text())
    config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
    config["logits_soft_cap"] = config.pop("final_logit_softcapping")
    config |= {"qkv_bias": False, "rope_scaling": None, "eos_token_id": [1, 2]}
    (folder / "config.json").write_text(json.dumps(config))
    sharded = checkpoint.open(folder)
    assert sharded.config == whole.config
    equal(sharded.tensors, whole.tensors)
    index["weight_map"][names[0]] = "../config.json"
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"\.\./config\.json"):
        checkpoint.open(folder)


@pytest.mark.parametrize(("key", "value"), [
    ("attention_bias", True), ("hidden_act", "silu"), ("tie_word_embeddings", True), ("sliding_window", 128),
    ("rope_parameters", {"rope_type": "yarn", "factor": 4}), ("rope_scaling", {"type": "linear"}), ("qkv_bias", True),
    ("quantization_config", {"bits": 4}), ("auto_map", {"AutoModel": "x.Y"}), ("model_type", "llama"),
    ("final_logit_softcapping", None), ("head_dim", 12), ("num_hidden_layers", 3), ("vocab_size", 100),
    ("logits_soft_cap", 20.0), ("intermediate_size", 300), ("hidden_size", "64"), ("num_attention_heads", 0)])
def test_huggingface_refuses_other_networks(key, value, tmp_path):
    folder = copied("hf/own_weights_bf16", tmp_path)
    config = json.loads((folder / "config.json").read_text()) | {key: value}
    (folder / "config.json").write_text(json.dumps(config))
    if (key, value) == ("final_logit_softcapping", None):
        with pytest.raises(ValueError, match="softcap"):
            checkpoint.open(folder)
        return
    with pytest.raises((CheckpointError, ValueError), match=r"config\.json|model\.|missing|says"):
        checkpoint.open(folder)


def test_nanochat_rs(tmp_path):
    first = checkpoint.open(parity("burn_mpk"))
    assert (first.format, first.generation) == ("burn", "nanochat-rs")
    assert "no norm after the embedding" in first.notes[0]
    expected = np.load(parity("burn_mpk/expected.npz"))
    assert {f"torch/{name}" for name in first.tensors} == {name for name in expected if name.startswith("torch/")}
    for name, tensor in first.tensors.items():
        np.testing.assert_array_equal(tensor.data, expected[f"torch/{name}"])
    native = checkpoint.open(checkpoint.save(tmp_path / "n", config=first.config, tensors=first.tensors))
    assert native.generation == "nanochat-rs"
    folder = checkpoint.save(tmp_path / "b", config=native.config, tensors=native.tensors, format="burn")
    back = checkpoint.open(folder)
    assert back.config == first.config
    equal(back.tensors, first.tensors)
    assert json.loads((folder / "config.json").read_text()) == json.loads(parity("burn_mpk/config.json").read_text())

    def shape_of(value):  # the record without its numbers
        if isinstance(value, dict):
            return {key: shape_of(item) for key, item in value.items()}
        if isinstance(value, list):
            return [shape_of(item) for item in value]
        return (type(value), len(value)) if isinstance(value, bytes) else value

    ours = (folder / "model.mpk").read_bytes()
    theirs, mine = (msgspec.msgpack.decode(data) for data in (parity("burn_mpk/model.mpk").read_bytes(), ours))
    assert msgspec.msgpack.encode(mine) == ours  # the shortest form of every value
    strip = json.loads(json.dumps(shape_of(theirs), default=str)), json.loads(json.dumps(shape_of(mine), default=str))
    ids = [_ids(tree) for tree in strip]
    assert strip[0] == strip[1]
    assert all(len(key) == 13 for key in ids[1])
    assert len(set(ids[1])) == len(ids[0]) == len(ids[1])


def _ids(tree):
    if isinstance(tree, dict):
        own = [tree.pop("id")] if "id" in tree else []
        return own + [key for item in tree.values() for key in _ids(item)]
    return [key for item in tree for key in _ids(item)] if isinstance(tree, list) else []


def test_nanochat_rs_keeps_the_first_nanochat_and_refuses_the_rest(tmp_path):
    first = checkpoint.open(parity("models/g0_2025-10_base"))
    back = checkpoint.open(checkpoint.save(tmp_path / "x", config=first.config, tensors=first.tensors, format="burn"))
    assert (back.config, back.generation) == (first.config, "G0")
    equal(back.tensors, first.tensors)
    cfg, tensors = random_model()
    with pytest.raises(UnsupportedError, match="nanochat-rs has no place for tensor"):
        checkpoint.save(tmp_path / "y", config=cfg, tensors=tensors, format="burn")
    with pytest.raises(UnsupportedError, match="has no place for this model's"):
        checkpoint.save(tmp_path / "y", config=cfg, tensors=tensors, format="huggingface")


@pytest.mark.parametrize("place", ["item", "item.blocks.0.attn", "item.lm_head", "item.blocks.1.ln1.gamma.param"])
def test_nanochat_rs_refuses_unknown_fields(place, tmp_path):
    folder = copied("burn_mpk", tmp_path)
    record = msgspec.msgpack.decode((folder / "model.mpk").read_bytes())
    target = record
    for step in place.split("."):
        target = target[int(step) if step.isdigit() else step]
    target["surprise"] = 1
    (folder / "model.mpk").write_bytes(msgspec.msgpack.encode(record))
    with pytest.raises(UnsupportedError, match="surprise"):
        checkpoint.open(folder)


def test_nanochat_rs_half_precision(tmp_path):
    folder = copied("burn_mpk", tmp_path)
    record = msgspec.msgpack.decode((folder / "model.mpk").read_bytes())
    weight = record["item"]["wte"]["weight"]["param"]
    weight["bytes"] = np.frombuffer(weight["bytes"], np.float32).astype(np.float16).tobytes()
    weight["dtype"] = "F16"
    (folder / "model.mpk").write_bytes(msgspec.msgpack.encode(record))
    tensor = checkpoint.open(folder).tensors["transformer.wte.weight"]
    assert (tensor.dtype, tensor.shape) == ("float16", (96, 32))


def test_msgpack_values(tmp_path):
    value = {"a": [0, 127, 128, 255, 256, 65535, 65536, 2**32 - 1], "b": None, "c": [True, False], "d": "x" * 40,
             "e": {str(i): i for i in range(20)}, "f": "y" * 300, "g": ["z"] * 70000}
    with (tmp_path / "x").open("wb") as file:
        msgpack_file.dump(file, value)
    data = (tmp_path / "x").read_bytes()
    assert msgspec.msgpack.decode(data) == value
    assert msgpack_file.load(memoryview(data), "") == value
    other = [-1, -32, -33, -(2**15), -(2**31), -(2**63), 2**64 - 1, 1.5]
    assert msgpack_file.load(memoryview(msgspec.msgpack.encode(other)), "") == other

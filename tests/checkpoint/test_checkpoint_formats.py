"""Every format opens with the right tensors, and what is saved comes back, for other readers as well."""

import json
import os
import shutil

import hostile_folders
import numpy as np
import pytest
import safetensors.numpy
from fixture_files import FIXTURES, PARITY, parity

from pynanochat import checkpoint
from pynanochat.checkpoint import safetensors_file, torch_file
from pynanochat.checkpoint.lazy_tensors import LazyTensors
from pynanochat.config import GPTConfig
from pynanochat.errors import CheckpointError, NotFoundError, TokenizerError, UnsupportedError
from pynanochat.generation import detect
from pynanochat.tensor import Tensor, round_bfloat16
from pynanochat.tokenizer import Tokenizer
from pynanochat.weights import tensor_shapes

MODELS = sorted(path.name for path in (PARITY / "models").glob("*")) or [
    pytest.param("none", marks=pytest.mark.skip(reason=f"no models in {FIXTURES}"))]
SETTLED = {"g2b": {"softcap": 20}, "g2c": {"softcap": 20, "rope_table_dtype": "float32"}}


def random_model(**fields):
    """A config and tensors of its shapes, some in bfloat16."""
    cfg = GPTConfig(**({"sequence_len": 256, "vocab_size": 300, "n_layer": 3, "n_head": 2, "n_kv_head": 1, "n_embd": 32}
                       | fields))
    random = np.random.default_rng(3)
    tensors = {}
    for name, shape in tensor_shapes(cfg).items():
        values = random.standard_normal(shape).astype(np.float32)
        half = name.startswith("value_embeds") or "wte" in name
        tensors[name] = Tensor(round_bfloat16(values), "bfloat16") if half else Tensor.of(values)
    return cfg, tensors


def equal(left, right):
    assert set(left) == set(right)
    for name in left:
        assert left[name].dtype == right[name].dtype
        np.testing.assert_array_equal(left[name].data, right[name].data)


def copied(name, tmp_path):
    """A fixture folder whose files may be changed."""
    folder = tmp_path / "copy"
    shutil.copytree(parity(name), folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    return folder


@pytest.mark.parametrize("name", MODELS)
def test_nanochat_opens_every_generation(name):
    folder = parity(f"models/{name}")
    opened = checkpoint.open(folder, **SETTLED.get(name.split("_")[0], {}))
    listed = json.loads((folder / "tensors.json").read_text())
    found = {key: {"shape": list(tensor.shape), "dtype": tensor.dtype} for key, tensor in opened.tensors.items()}
    assert found == {key.removeprefix("_orig_mod."): value for key, value in listed.items()}
    assert opened.format == "nanochat"
    assert opened.path == folder
    assert opened.generation.lower() == name.split("_")[0].removesuffix("stress")
    assert opened.meta["model_config"]["n_embd"] == opened.config.n_embd


@pytest.mark.parametrize("name", MODELS)
def test_nanochat_equals_torch(name):
    torch = pytest.importorskip("torch")
    folder = parity(f"models/{name}")
    (path,) = folder.glob("*.pt")
    theirs = {key.removeprefix("_orig_mod."): value for key, value in torch.load(path, weights_only=True).items()}
    ours = checkpoint.open(folder).tensors
    assert list(ours) == list(theirs)
    for key, value in theirs.items():
        bits = value.view(torch.uint16) if value.dtype == torch.bfloat16 else value
        np.testing.assert_array_equal(ours[key].data, bits.numpy())


@pytest.mark.parametrize("name", MODELS)
def test_native_and_nanochat_round_trip(name, tmp_path):
    first = checkpoint.open(parity(f"models/{name}"), **SETTLED.get(name.split("_")[0], {}))
    tokenizer = Tokenizer.load(parity(f"tokenizer_{first.config.vocab_size}"))
    native = checkpoint.open(checkpoint.save(
        tmp_path / "native", config=first.config, tensors=first.tensors, tokenizer=tokenizer, meta=first.meta))
    assert (native.format, native.generation, native.config, native.meta) == (
        "native", first.generation, first.config, first.meta)
    equal(native.tensors, first.tensors)
    assert Tokenizer.load(native.tokenizer_path).vocab_size == first.config.vocab_size

    back = checkpoint.open(checkpoint.save(
        tmp_path / "back", config=native.config, tensors=native.tensors, tokenizer=tokenizer, meta=native.meta,
        format="nanochat"))
    assert (back.format, back.generation, back.config) == ("nanochat", first.generation, first.config)
    assert set(back.meta) - set(first.meta) <= {"pynanochat"}
    equal(back.tensors, first.tensors)
    assert list(back.tensors) == list(tensor_shapes(first.config))
    assert back.tokenizer_path.name == "tokenizer.pkl"
    assert Tokenizer.load(back.tokenizer_path).ranks == tokenizer.ranks
    lengths = torch_file.read(back.path / "token_bytes.pt")
    assert lengths.dtype == "int32"
    assert lengths.data.tolist() == tokenizer.token_bytes()


def test_torch_reads_what_we_write(tmp_path):
    torch = pytest.importorskip("torch")
    cfg, tensors = random_model()
    folder = checkpoint.save(tmp_path / "x", config=cfg, tensors=tensors, format="nanochat", meta={"step": 7})
    for options in ({"weights_only": True}, {"weights_only": True, "mmap": True}, {"weights_only": False}):
        theirs = torch.load(folder / "model_000007.pt", **options)
        assert list(theirs) == list(tensors)
        for name, value in theirs.items():
            bits = value.view(torch.uint16) if value.dtype == torch.bfloat16 else value
            np.testing.assert_array_equal(bits.numpy(), tensors[name].data)


def test_nested_torch_data_both_ways(tmp_path):
    torch = pytest.importorskip("torch")
    data = {"state": {0: {"step": torch.tensor(3.0), "m": torch.arange(6).reshape(2, 3)}, 1: {}},
            "groups": [{"lr": 0.1, "betas": (0.9, 0.95), "params": [0, 1], "on": True, "name": None}],
            "empty": torch.zeros(0, 4), "flags": torch.tensor([True, False]), "half": torch.ones(3).half(),
            "view": torch.arange(10.0)[4:8], "parameter": torch.nn.Parameter(torch.ones(2, 1, 3))}
    torch.save(data, tmp_path / "theirs.pt")
    ours = torch_file.read(tmp_path / "theirs.pt")
    assert ours["groups"] == data["groups"]
    assert ours["state"][0]["step"].data.shape == ()
    assert ours["view"].data.tolist() == [4, 5, 6, 7]
    with (tmp_path / "ours.pt").open("wb") as file:
        torch_file.write(file, ours)
    back = torch.load(tmp_path / "ours.pt", weights_only=True)
    assert back["groups"] == data["groups"]
    for name in ("empty", "flags", "half", "view", "parameter"):
        assert torch.equal(back[name], data[name].detach())
        assert back[name].dtype == data[name].dtype
    assert torch.equal(back["state"][0]["m"], data["state"][0]["m"])
    assert torch.equal(back["state"][0]["step"], data["state"][0]["step"])


def test_state_dicts_with_metadata_and_strided_tensors(tmp_path):
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(3, 2)
    torch.save(module.state_dict(), tmp_path / "a.pt")
    assert list(torch_file.read(tmp_path / "a.pt")) == ["weight", "bias"]
    for bad in (torch.ones(3, 2).T, torch.ones(1).expand(5), torch.ones(4, 4)[:, :2]):
        torch.save({"x": bad}, tmp_path / "b.pt")
        with pytest.raises(CheckpointError, match=r"contiguous|storage of"):
            torch_file.read(tmp_path / "b.pt")
    torch.save(torch.ones(2), tmp_path / "c.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match="no zip file"):
        torch_file.read(tmp_path / "c.pt")


def test_optimizer_files_of_the_reference():
    data = torch_file.read(parity("train_g4_head/optim_000010_rank0.pt"))
    assert sorted(data) == ["param_groups", "state"]
    assert data["param_groups"][0]["betas"] == (0.8, 0.96)
    assert isinstance(data["state"][0]["exp_avg"], Tensor)


def test_safetensors_both_ways(tmp_path):
    arrays = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.ones(3, np.int8), "e": np.zeros((0, 2)),
              "s": np.array(3, np.int64), "h": np.ones((2, 2), np.float16), "t": np.array([True])}
    safetensors.numpy.save_file(arrays, tmp_path / "theirs.safetensors", metadata={"format": "pt"})
    ours = safetensors_file.read(tmp_path / "theirs.safetensors")
    assert {name: tensor.data.dtype for name, tensor in ours.items()} == {name: a.dtype for name, a in arrays.items()}
    with (tmp_path / "ours.safetensors").open("wb") as file:
        safetensors_file.write(file, ours, {"format": "pt"})
    back = safetensors.numpy.load_file(tmp_path / "ours.safetensors")
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
        np.testing.assert_array_equal(ours[name].data, array)
    assert all(tensor.data.flags.aligned for tensor in safetensors_file.read(tmp_path / "ours.safetensors").values())


def test_saving_is_deterministic_and_converts(tmp_path):
    cfg, tensors = random_model()
    for kind in checkpoint.FORMATS[:2]:
        a = checkpoint.save(tmp_path / f"a{kind}", config=cfg, tensors=tensors, format=kind)
        b = checkpoint.save(tmp_path / f"b{kind}", config=cfg, tensors=tensors, format=kind)
        assert {p.name: p.read_bytes() for p in a.iterdir()} == {p.name: p.read_bytes() for p in b.iterdir()}
    half = checkpoint.open(checkpoint.save(tmp_path / "half", config=cfg, tensors=tensors, dtype="bfloat16"))
    assert {tensor.dtype for tensor in half.tensors.values()} == {"bfloat16"}
    full = checkpoint.open(checkpoint.save(tmp_path / "full", config=cfg, tensors=half.tensors, dtype="float32",
                                           format="nanochat"))
    for name, tensor in tensors.items():
        np.testing.assert_allclose(full.tensors[name].data, tensor.numpy(), rtol=2**-8)


def test_nanochat_refuses_a_network_that_upstream_never_had(tmp_path):
    cfg, tensors = random_model(qk_scale=1.25, rope_base=5e4)
    with pytest.raises(UnsupportedError, match="rope_base, qk_scale"):
        checkpoint.save(tmp_path / "x", config=cfg, tensors=tensors, format="nanochat")
    opened = checkpoint.open(checkpoint.save(tmp_path / "x", config=cfg, tensors=tensors))
    assert (opened.generation, opened.config) == ("custom", cfg)


def test_nanochat_writes_down_what_tensors_hide(tmp_path):
    cfg, tensors = random_model(softcap=30.0, rope_table_dtype="bfloat16", short_window=128)
    folder = checkpoint.save(tmp_path / "x", config=cfg, tensors=tensors, format="nanochat")
    assert json.loads((folder / "meta_000000.json").read_text())["pynanochat"] == {
        "softcap": 30.0, "rope_table_dtype": "bfloat16"}
    assert checkpoint.open(folder).config == cfg
    assert checkpoint.open(folder, softcap=15).config.softcap == 15


def test_notes_say_what_was_assumed():
    opened = checkpoint.open(parity("models/g2b_2026-03-03_softcap20"))
    assert any("softcap" in note for note in opened.notes)
    told = checkpoint.open(parity("models/g2b_2026-03-03_softcap20"), softcap=20, rope_table_dtype="bfloat16")
    assert told.notes == ()
    assert told.config.softcap == 20


def test_a_softcap_that_is_told_beats_the_one_of_the_date():
    """G2c's meta file: the told softcap of 15 means that the network is from before its 20, with rounded tables."""
    cfg, tensors = random_model(smear=False, backout=False, value_gate_width=32)
    names = ("sequence_len", "vocab_size", "n_layer", "n_head", "n_kv_head", "n_embd")
    sizes = {name: getattr(cfg, name) for name in names}
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    for told, wanted in ((None, ("G2c", 20, "float32")), (20, ("G2c", 20, "float32")), (15, ("G2", 15, "bfloat16"))):
        name, found = detect(sizes, shapes, where="x", user_config={"eval_tokens": 80 * 524288}, softcap=told)
        assert (name, found.softcap, found.rope_table_dtype) == wanted


def test_sniffing_files_and_steps(tmp_path):
    cfg, tensors = random_model()
    folder = tmp_path / "run"
    for step in (5, 12):
        saved = checkpoint.save(tmp_path / f"s{step}", config=cfg, tensors=tensors, format="nanochat",
                                meta={"step": step})
        folder.mkdir(exist_ok=True)
        for path in saved.iterdir():
            path.rename(folder / path.name)
    assert checkpoint.open(folder).meta["step"] == 12
    assert checkpoint.open(folder, step=5).meta["step"] == 5
    assert checkpoint.open(folder / "model_000005.pt").meta["step"] == 5
    with pytest.raises(NotFoundError, match=r"model_000005\.pt, model_000012\.pt"):
        checkpoint.open(folder, step=6)
    with pytest.raises(CheckpointError, match="step 12"):
        checkpoint.open(folder / "model_000005.pt", step=12)
    with pytest.raises(NotFoundError, match="in it that do: run"):
        checkpoint.open(tmp_path)
    (folder / "meta_000012.json").unlink()
    with pytest.raises(NotFoundError, match=r"meta_000012\.json"):
        checkpoint.open(folder)
    native = checkpoint.save(tmp_path / "native", config=cfg, tensors=tensors)
    for path in native.iterdir():
        assert checkpoint.open(path).config == cfg
    plain = tmp_path / "plain"
    plain.mkdir()
    (folder / "model_000005.pt").rename(plain / "model.pt")
    (folder / "meta_000005.json").rename(plain / "meta.json")
    assert checkpoint.open(plain).meta["step"] == 5


@pytest.mark.parametrize("kind", checkpoint.FORMATS)
def test_only_files_of_a_model_open_it(kind, tmp_path):
    folder = tmp_path / "x"
    shutil.copytree(hostile_folders.tiny(kind, tmp_path / "made"), folder)
    own = {path.name for path in folder.iterdir()} - {"generation_config.json"}
    assert all(checkpoint.open(folder / name).format == kind for name in own)
    others = {"info.json", "README.md", "notes.txt", "other.mpk", "lora.safetensors", "model.safetensors",
              "token_bytes.pt", "generation_config.json", "config.json.bak"} - own
    for name in others:
        (folder / name).write_text("{}")
        with pytest.raises(NotFoundError):
            checkpoint.open(folder / name)
        (folder / name).unlink()
    for name in ("info.json", "model.pt", "x.mpk", "model_000009.pt"):
        os.mkfifo(folder / name)
        with pytest.raises(NotFoundError, match="neither a file nor a folder"):
            checkpoint.open(folder / name)
        (folder / name).unlink()
    with pytest.raises(NotFoundError, match="neither a file nor a folder"):
        checkpoint.open("/dev/zero")
    if kind != "nanochat":
        with pytest.raises(CheckpointError, match="no training steps"):
            checkpoint.open(folder / "config.json", step=3)


def test_nothing_there(tmp_path):
    with pytest.raises(NotFoundError, match=r"no model_\*\.pt, model\.safetensors or model\.mpk\. Give the folder"):
        checkpoint.open(tmp_path)
    with pytest.raises(NotFoundError, match="does not exist"):
        checkpoint.open(tmp_path / "nowhere")
    with pytest.raises(NotFoundError, match="tokenizer"):
        checkpoint.open(tmp_path, tokenizer=tmp_path / "nowhere")


def test_tokenizers_are_found_and_checked(tmp_path):
    cfg, tensors = random_model(vocab_size=600)
    tokenizer = Tokenizer.load(parity("tokenizer_600"))
    base = tmp_path / "base_checkpoints" / "d3"
    checkpoint.save(base, config=cfg, tensors=tensors, format="nanochat")
    assert checkpoint.open(base).tokenizer_path is None
    (tmp_path / "tokenizer").mkdir()
    tokenizer.save_pickle(tmp_path / "tokenizer")
    assert checkpoint.open(base).tokenizer_path == tmp_path / "tokenizer" / "tokenizer.pkl"
    assert checkpoint.open(base, tokenizer=parity("tokenizer_512")).tokenizer_path == parity("tokenizer_512")
    checkpoint.check_tokenizer(tokenizer, cfg, "here")
    with pytest.raises(TokenizerError, match="512 ids, the model 600"):
        checkpoint.check_tokenizer(Tokenizer.load(parity("tokenizer_512")), cfg, "here")
    with pytest.raises(TokenizerError, match="512 ids, the model 600"):
        checkpoint.save(tmp_path / "x", config=cfg, tensors=tensors, tokenizer=Tokenizer.load(parity("tokenizer_512")))


def test_opening_maps_and_makes_one_tensor_at_a_time(tmp_path):
    cfg, tensors = random_model()
    opened = checkpoint.open(checkpoint.save(tmp_path / "x", config=cfg, tensors=tensors))
    assert all(not tensor.data.flags.owndata and not tensor.data.flags.writeable for tensor in opened.tensors.values())
    assert isinstance(checkpoint.open(parity("burn_mpk")).tensors, LazyTensors)

"""Whatever a file holds: nothing runs, nothing crashes, nothing altered is taken for sound."""

import contextlib
import json
import os
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import hostile_corpus
import hostile_folders
import hostile_torch
import numpy as np
import pytest
from fixture_files import parity
from fuzzing import examples
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from test_checkpoint_formats import equal, random_model

from pynanochat import checkpoint
from pynanochat.checkpoint import burn, json_file, msgpack_file, safetensors_file, torch_file, zip_file
from pynanochat.errors import DamagedFileError, NanochatError, NotFoundError, UnsafeFileError
from pynanochat.tensor import Tensor
from pynanochat.tokenizer import Tokenizer

FUZZ = settings(deadline=None, max_examples=examples(150), suppress_health_check=list(HealthCheck))
SOURCE = Path(checkpoint.__file__).parent


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("hostile")
    names = hostile_corpus.build(root)
    assert len(names) == len(set(names)) > 600
    (root / "names.json").write_text(json.dumps(names))
    return root


def environment():
    """One in which a fresh interpreter finds this package and the corpus."""
    paths = [str(Path(hostile_corpus.__file__).parent), str(SOURCE.parent.parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def run(corpus, *flags):
    """The corpus read in a fresh interpreter with an audit hook."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *flags, hostile_corpus.__file__, str(corpus)], text=True,
        capture_output=True, timeout=300, check=False, env=environment())
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("flags", [(), ("-O",)])
def test_every_file_is_refused_in_one_line_and_nothing_runs(corpus, flags):
    found = run(corpus, *flags)
    assert found["assertions"] is (not flags)
    assert found["events"] == []
    known = {kind.__name__ for kind in _subclasses(NanochatError)}
    for name, (verdict, text) in found["verdicts"].items():
        assert verdict in known, (name, verdict, text)
        assert "\n" not in text, name
        assert 20 < len(text) < 900, (name, text)
        if "gadget-" in name:
            assert verdict in ("UnsafeFileError", "TokenizerError"), (name, text)
    assert not list(corpus.rglob("hacked"))
    assert not Path("hacked").exists()


def _subclasses(kind):
    return {kind, *(below for child in kind.__subclasses__() for below in _subclasses(child))}


def test_the_hook_sees_what_runs(corpus, tmp_path):
    """The same script reports code that does run, so that its silence means something."""
    script = (Path(hostile_corpus.__file__).read_text()
              .replace("return Tokenizer.load(path)", "import pickle; return pickle.loads(path.read_bytes())"))
    (tmp_path / "script.py").write_text(script)
    (tmp_path / "names.json").write_text(json.dumps(["a.pkl", "b.pkl"]))
    (tmp_path / "a.pkl").write_bytes(b"N.")
    (tmp_path / "b.pkl").write_bytes(b"cos\ngetpid\n)R0cbuiltins\neval\n(V1\ntR.")
    done = subprocess.run([sys.executable, str(tmp_path / "script.py"), str(tmp_path)], text=True, capture_output=True,
                          timeout=120, check=True, env=environment())
    found = json.loads(done.stdout)
    assert {event for _, event, _ in found["events"]} >= {"pickle.find_class", "compile", "exec"}
    assert found["verdicts"]["b.pkl"][0] == "accepted"


def test_loaders_use_nothing_that_runs_code():
    words = ("import pickle\n", "eval(", "exec(", " compile(", " assert ", "import torch", "__import__", "os.system")
    for path in [*SOURCE.glob("*.py"), SOURCE.parent / "unpickle.py", SOURCE.parent / "pickle_writer.py"]:
        text = path.read_text()
        for word in words:
            assert word not in text, (path.name, word)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A sound model in each format that a random network fits."""
    root = tmp_path_factory.mktemp("sound")
    return {kind: hostile_folders.tiny(kind, root / kind) for kind in checkpoint.FORMATS}


def damaged(folder, name, data, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir(exist_ok=True)
    for path in folder.iterdir():
        target = copy / path.name
        target.unlink(missing_ok=True)  # a new file: the old one may be mapped
        target.write_bytes(bytes(data) if path.name == name else path.read_bytes())
    return copy


def test_every_flipped_bit_and_cut_of_the_native_format_is_caught(sound, tmp_path):
    folder, chance = sound["native"], random.Random(1)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    for name, data in files.items():
        for _ in range(500):
            bad, at = bytearray(data), chance.randrange(len(data))
            bad[at] ^= 1 << chance.randrange(8)
            with pytest.raises(NanochatError):
                checkpoint.open(damaged(folder, name, bad, tmp_path))
        for part in range(32):
            with pytest.raises(NanochatError):
                checkpoint.open(damaged(folder, name, data[: len(data) * part // 32], tmp_path))


def test_no_flipped_bit_of_a_torch_file_changes_a_weight(sound, tmp_path):
    folder, chance = sound["nanochat"], random.Random(2)
    good = checkpoint.open(folder)
    data = (folder / "model_000000.pt").read_bytes()
    caught = 0
    for _ in range(1000):
        bad, at = bytearray(data), chance.randrange(len(data))
        bad[at] ^= 1 << chance.randrange(8)
        try:
            opened = checkpoint.open(damaged(folder, "model_000000.pt", bad, tmp_path))
        except NanochatError:
            caught += 1
        else:  # a bit of padding between entries
            assert opened.config == good.config
            equal(opened.tensors, good.tensors)
    assert caught > 900
    for part in range(64):
        with pytest.raises(NanochatError):
            checkpoint.open(damaged(folder, "model_000000.pt", data[: len(data) * part // 64], tmp_path))


@pytest.mark.parametrize("name", ["models/g4_2026-07_head_gqa", "hf/own_weights_bf16", "burn_mpk"])
def test_cut_files_of_others(name, tmp_path):
    folder = parity(name)
    (weights,) = (path for path in folder.iterdir() if path.suffix in (".pt", ".safetensors", ".mpk"))
    wanted = [path for path in folder.iterdir() if path.suffix == ".json"]
    data = weights.read_bytes()
    for path in wanted:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for part in range(20):
        (tmp_path / weights.name).unlink(missing_ok=True)
        (tmp_path / weights.name).write_bytes(data[: len(data) * part // 20 + part])
        if part < 19:
            with pytest.raises(NanochatError):
                checkpoint.open(tmp_path)


def mutate(draw, good):
    data = bytearray(good)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            data[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif kind == 1:
            data[at : at + draw(st.integers(1, 40))] = b""
        elif kind == 2:
            data[at:at] = draw(st.binary(max_size=20))
        else:
            data[at : at + 8] = draw(st.sampled_from([b"\xff" * 8, b"\xff" * 7 + b"\x7f", bytes(8)]))
    return bytes(data)


def reads_or_refuses(read, path, data):
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    with contextlib.suppress(NanochatError):
        read(path)


@FUZZ
@given(st.data())
def test_mutated_torch_files(sound, tmp_path, data):
    good = (sound["nanochat"] / "model_000000.pt").read_bytes()
    pickled, index = good.find(b"\x80\x02"), good.find(b"PK\x01\x02")
    start = data.draw(st.sampled_from([0, pickled, index]))
    tail = mutate(data.draw, good[start:])
    reads_or_refuses(torch_file.read, tmp_path / "x.pt", good[:start] + tail)
    reads_or_refuses(lambda path: torch_file.read(path, verify=False), tmp_path / "x.pt", good[:start] + tail)
    inner = mutate(data.draw, torch_data(good))
    reads_or_refuses(torch_file.read, tmp_path / "x.pt", bytes(hostile_torch.torch_zip(inner)))


def torch_data(good):
    import io

    return zipfile.ZipFile(io.BytesIO(good)).read("archive/data.pkl")


@FUZZ
@given(st.data())
def test_mutated_tokenizers(tmp_path, data):
    good = parity("tokenizer_512/tokenizer.pkl").read_bytes()
    reads_or_refuses(Tokenizer.load, tmp_path / "tokenizer.pkl", mutate(data.draw, good))


@FUZZ
@given(st.data())
def test_mutated_safetensors_files(sound, tmp_path, data):
    good = (sound["huggingface"] / "model.safetensors").read_bytes()
    size = int.from_bytes(good[:8], "little")
    head = mutate(data.draw, good[: 8 + size])
    if data.draw(st.booleans()):
        head = (len(head) - 8).to_bytes(8, "little") + head[8:]
    reads_or_refuses(safetensors_file.read, tmp_path / "x.safetensors", head + good[8 + size :])


@FUZZ
@given(st.data())
def test_mutated_burn_records(sound, tmp_path, data):
    good = (sound["burn"] / "model.mpk").read_bytes()
    (tmp_path / "config.json").write_bytes((sound["burn"] / "config.json").read_bytes())
    reads_or_refuses(lambda path: burn.read(path.parent), tmp_path / "model.mpk", mutate(data.draw, good))


@FUZZ
@given(st.binary(max_size=60))
@example(b"\xdd\xff\xff\xff\xff")
def test_any_msgpack(data):
    with contextlib.suppress(NanochatError):
        msgpack_file.load(memoryview(data), "x")


@FUZZ
@given(st.text(alphabet='[]{}",:0123456789.eE+-truefalsn\\u ud8 ', max_size=40))
def test_any_json(text):
    try:
        value = json_file.parse(text.encode(), "x")
    except NanochatError:
        return
    assert value == json.loads(text)


@FUZZ
@given(st.data(), st.sampled_from(["native", "nanochat", "huggingface", "burn"]))
def test_mutated_configs(sound, tmp_path, data, kind):
    name = "meta_000000.json" if kind == "nanochat" else "config.json"
    folder = damaged(sound[kind], name, mutate(data.draw, (sound[kind] / name).read_bytes()), tmp_path)
    with contextlib.suppress(NanochatError):
        checkpoint.open(folder)


VALUES = st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats(allow_nan=False, allow_infinity=False)
VALUES |= st.text(max_size=5) | st.lists(st.integers(), max_size=2)
VALUES |= st.dictionaries(st.text(max_size=3), st.none(), max_size=2)


@FUZZ
@given(st.data(), st.sampled_from(["nanochat", "huggingface", "burn"]))
def test_configs_of_any_values(sound, tmp_path, data, kind):
    name = "meta_000000.json" if kind == "nanochat" else "config.json"
    values = json.loads((sound[kind] / name).read_text())
    targets = [values, *(value for value in values.values() if isinstance(value, dict))]
    target = data.draw(st.sampled_from(targets))
    target[data.draw(st.sampled_from(sorted(target)) | st.text(max_size=4))] = data.draw(VALUES)
    try:
        text = json.dumps(values).encode()
    except UnicodeEncodeError:
        return
    with contextlib.suppress(NanochatError):
        checkpoint.open(damaged(sound[kind], name, text, tmp_path))


def test_a_native_config_with_a_right_checksum_is_still_checked(sound, tmp_path):
    import hashlib

    values = json.loads((sound["native"] / "config.json").read_text())
    bad = {"n_layer": 10**9, "window_pattern": [{}], "softcap": "15", "n_head": None, "lambdas": 1, "extra": 1,
           "n_embd": []}
    for key, value in bad.items():
        changed = json.loads(json.dumps(values))
        changed["config"][key] = value
        changed["sha256"]["config.json"] = "0" * 64
        text = json.dumps(changed)
        text = text.replace("0" * 64, hashlib.sha256(text.encode()).hexdigest())
        with pytest.raises(NanochatError, match=r"config\.json") as caught:
            checkpoint.open(damaged(sound["native"], "config.json", text.encode(), tmp_path))
        assert "changed after" not in str(caught.value)


def test_large_zip_files_have_64_bit_sizes(tmp_path, monkeypatch):
    """Sizes beyond 4 GiB, with the limit moved down."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(zip_file, "_LARGE", 3000)
    data = {"a": Tensor.of(np.arange(700, dtype=np.float32)), "b": Tensor.of(np.arange(1000, dtype=np.float32)),
            "c": Tensor.of(np.arange(5, dtype=np.float32))}
    with (tmp_path / "x.pt").open("wb") as file:
        torch_file.write(file, data)
    equal(torch_file.read(tmp_path / "x.pt"), data)
    # others know the real limit: their sentinel is 2^32-1
    text = (tmp_path / "x.pt").read_bytes().replace((3000).to_bytes(4, "little"), b"\xff" * 4)
    (tmp_path / "y.pt").write_bytes(text)
    monkeypatch.setattr(zip_file, "_LARGE", 0xFFFFFFFF)
    equal(torch_file.read(tmp_path / "y.pt"), data)
    theirs = torch.load(tmp_path / "y.pt", weights_only=True)
    for name, tensor in data.items():
        np.testing.assert_array_equal(theirs[name].numpy(), tensor.data)
    assert zipfile.ZipFile(tmp_path / "y.pt").testzip() is None


def test_weights_that_are_not_numbers_are_named(tmp_path):
    cfg, tensors = random_model()
    folder = checkpoint.save(tmp_path / "x", config=cfg, tensors=tensors, format="nanochat")
    state = torch_file.read(folder / "model_000000.pt")
    bits = state["transformer.wte.weight"].data.copy()
    bits[5, 5] = 0x7F80  # an infinite bfloat16
    (folder / "model_000000.pt").unlink()
    with (folder / "model_000000.pt").open("wb") as file:
        torch_file.write(file, state | {"transformer.wte.weight": Tensor(bits, "bfloat16")})
    with pytest.raises(DamagedFileError, match=r"transformer\.wte\.weight holds values that are not finite"):
        checkpoint.open(folder)
    assert checkpoint.open(folder, verify=False).config == cfg


def test_sizes_are_refused_before_memory_is_taken(tmp_path):
    bomb = hostile_torch.rebuild(size=(10**12,), stride=(0,))
    (tmp_path / "x.pt").write_bytes(hostile_torch.torch_zip({"x": bomb}))
    with pytest.raises(UnsafeFileError, match=r"1,000,000,000,000 numbers at 0 in a storage of 4"):
        torch_file.read(tmp_path / "x.pt")


def test_only_the_spans_show_that_zip_entries_overlap(tmp_path, monkeypatch):
    (tmp_path / "x.pt").write_bytes(hostile_torch.inside_another())
    with pytest.raises(UnsafeFileError, match="zip entries that overlap"):
        torch_file.read(tmp_path / "x.pt")
    monkeypatch.setattr(zip_file.itertools, "pairwise", lambda spans: ())  # all else about it is sound
    assert set(torch_file.read(tmp_path / "x.pt")) == {"x", "y"}


def test_safetensors_files_have_neither_holes_nor_overlaps(tmp_path):
    files = dict(hostile_folders.headers())
    for name, message in (("hole", "leaves a hole before it"), ("overlap", "overlaps another tensor"),
                          ("trailing", "describes 16 bytes of tensors, the file holds 20")):
        (tmp_path / name).write_bytes(files[name])
        with pytest.raises(NanochatError, match=message):
            safetensors_file.read(tmp_path / name)


@pytest.mark.parametrize("head", [b"\xdd\x05\xf5\xe1\x00", b"\xdd\x00\x03\x0d\x40", b"\xdf\x00\x01\x86\xa1"])
def test_arrays_of_too_many_values_are_refused_unread(head):
    """100,000,000 values, 200,000 beside their array, 100,001 keys: what follows is no value and is not looked at."""
    data = np.full(100_000_000 + len(head), 0xC1, np.uint8)
    data[: len(head)] = list(head)
    with pytest.raises(UnsafeFileError, match="more than 200,000 values"):
        msgpack_file.load(data.data, "x")


@pytest.mark.parametrize("name", ["a\nb", "a\ud800b", "a\x1b[31mb", "a\u2028b", "é"])
def test_every_message_is_one_printable_line(name, tmp_path):
    for raised in (NanochatError(f"{name} is wrong"), NotFoundError(f"{name} is wrong")):
        assert str(raised).isprintable()
        assert str(raised).endswith("b is wrong" if name != "é" else "é is wrong")
    calls = (lambda: checkpoint.open(tmp_path / name), lambda: checkpoint.resolve(f"{tmp_path}/{name}"),
             lambda: checkpoint.open(tmp_path, tokenizer=tmp_path / name))
    for call in calls:
        with pytest.raises(NanochatError) as caught:
            call()
        assert str(caught.value).isprintable()
    assert str(NotFoundError()) == ""

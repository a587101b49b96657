"""A save leaves the old checkpoint or the new one, and never touches files that are not ours."""

import os
import stat
import subprocess
import sys
import time

import numpy as np
import pytest
from fixture_files import parity
from test_checkpoint_formats import equal, random_model

from pynanochat import checkpoint
from pynanochat.checkpoint import json_file, native, staging
from pynanochat.errors import CheckpointError, DamagedFileError, UnsupportedError
from pynanochat.tensor import Tensor
from pynanochat.tokenizer import Tokenizer

CFG, TENSORS = random_model()
OTHER, OTHER_TENSORS = random_model(n_layer=2)


def save(path, cfg=CFG, tensors=TENSORS, **options):
    return checkpoint.save(path, config=cfg, tensors=tensors, **options)


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("exchange", [True, False])
def test_replaces_a_checkpoint(exchange, tmp_path, monkeypatch):
    if not exchange:
        monkeypatch.setattr(staging, "_exchange", lambda *_: False)
    opened = checkpoint.open(save(tmp_path / "x"))
    save(tmp_path / "x", OTHER, OTHER_TENSORS)
    assert checkpoint.open(tmp_path / "x").config == OTHER
    equal(opened.tensors, TENSORS)  # its file is still mapped
    save(tmp_path / "x", opened.config, opened.tensors)  # onto where it came from
    assert checkpoint.open(tmp_path / "x").config == CFG
    assert leftovers(tmp_path) == []
    mode = stat.S_IMODE((tmp_path / "x").stat().st_mode)
    (tmp_path / "plain").mkdir()
    assert mode == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_into_an_empty_folder_a_new_one_and_through_a_link(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    assert checkpoint.open(save(tmp_path / "empty")).config == CFG
    assert checkpoint.open(save(tmp_path / "a" / "b" / "c")).config == CFG
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    save(tmp_path / "link", OTHER, OTHER_TENSORS)
    assert (tmp_path / "link").is_symlink()
    assert checkpoint.open(tmp_path / "empty").config == OTHER
    monkeypatch.setenv("HOME", str(tmp_path))
    assert save("~/home").is_relative_to(tmp_path)


@pytest.mark.parametrize(("names", "message"), [
    (["notes.txt"], "notes.txt"), (["model_000001.pt", "optim_000001_rank0.pt"], "optim"), ([".git"], r"\.git"),
    (["model_000001.pt", "model_000002.pt"], "2 sets of weights"), (["config.json"], "no weights"),
    (["model.safetensors", "model.safetensors.d/"], r"safetensors\.d")])
def test_never_deletes_what_is_not_ours(names, message, tmp_path):
    folder = tmp_path / "x"
    folder.mkdir()
    for name in names:
        (folder / name).mkdir() if name.endswith("/") else (folder / name).write_text("precious")
    with pytest.raises(CheckpointError, match=message):
        save(folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(name.rstrip("/") for name in names)
    assert leftovers(tmp_path) == []


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(CheckpointError, match="is a file"):
        save(tmp_path / "file")
    with pytest.raises(CheckpointError, match="cannot be written"):
        save(tmp_path / "file" / "below")
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize("call", ["fsync", "rename", "mkdir"])
def test_failing_calls_leave_the_old_one(call, tmp_path, monkeypatch):
    save(tmp_path / "x")
    before = {path.name: path.read_bytes() for path in (tmp_path / "x").iterdir()}
    monkeypatch.setattr(staging, "_exchange", lambda *_: False)

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    failed = 0
    for number in range(4):
        real, count = getattr(os, call), iter(range(100))
        monkeypatch.setattr(os, call, lambda *a, real=real, count=count, number=number, **k: (
            fail() if next(count) == number else real(*a, **k)))
        try:
            save(tmp_path / "x", OTHER, OTHER_TENSORS)
        except CheckpointError as error:
            said = str(error)
            failed += 1
            assert "No space left" in said and str(tmp_path / "x") in said  # noqa: PT018
            if "is saved, but" not in said:
                assert {path.name: path.read_bytes() for path in (tmp_path / "x").iterdir()} == before
        monkeypatch.setattr(os, call, real)
        assert leftovers(tmp_path) == []
        save(tmp_path / "x")
    assert failed


def test_a_full_disk(tmp_path):
    script = """
import resource, signal, sys
sys.path.insert(0, sys.argv[2])
from test_checkpoint_formats import random_model
from pynanochat import checkpoint
from pynanochat.errors import CheckpointError
cfg, tensors = random_model()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
for kind in checkpoint.FORMATS[:2]:
    try:
        checkpoint.save(sys.argv[1], config=cfg, tensors=tensors, format=kind)
    except CheckpointError as error:
        print(error)
"""
    pytest.importorskip("resource")
    here = os.path.dirname(__file__)
    path = os.pathsep.join([*sys.path, os.path.dirname(here)])
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "x"), here], capture_output=True, text=True,
                          check=True, env={**os.environ, "PYTHONPATH": path}, timeout=120)
    assert done.stdout.count("was not saved: File too large") == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(CheckpointError, match="Permission denied"):
        save(tmp_path / "x")


def test_wrong_input(tmp_path):
    with pytest.raises(UnsupportedError, match="expected one of native, nanochat, huggingface, burn"):
        save(tmp_path / "x", format="gguf")
    with pytest.raises(UnsupportedError, match="'float32' or 'bfloat16'"):
        save(tmp_path / "x", dtype="int4")
    with pytest.raises(UnsupportedError, match="missing"):
        save(tmp_path / "x", tensors={})
    bad = TENSORS | {"lm_head.weight": Tensor.of(np.full((320, 32), np.nan, np.float32))}
    with pytest.raises(DamagedFileError, match=r"lm_head\.weight"):
        save(tmp_path / "x", tensors=bad)
    with pytest.raises(UnsupportedError, match="int64"):
        save(tmp_path / "x", tensors=TENSORS | {"lm_head.weight": Tensor.of(np.zeros((320, 32), np.int64))})
    for meta in ({"x": float("nan")}, {"x": object()}, {"x": {1, 2}}):
        with pytest.raises(CheckpointError, match="meta data"):
            save(tmp_path / "x", meta=meta)
    assert list(tmp_path.iterdir()) == []


def test_the_native_format(tmp_path):
    folder = save(tmp_path / "x", meta={"step": 3, "name": "é"})
    text = (folder / "config.json").read_text()
    for old, new, message in (('"version": 1', '"version": 3', "version 3"),
                              ('"softcap": 15.0', '"softcap": 16.0', "changed"),
                              ('"step": 3', '"step": 4', "changed"), ('"meta"', '"mata"', "exactly the keys")):
        assert old in text
        (folder / "config.json").write_text(text.replace(old, new))
        with pytest.raises(CheckpointError, match=message):
            checkpoint.open(folder)
    (folder / "config.json").write_text(text)
    assert checkpoint.open(folder, softcap=20).config.softcap == 20
    assert checkpoint.open(folder).meta == {"step": 3, "name": "é"}
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(DamagedFileError, match="does not list it"):
        checkpoint.open(folder)
    (folder / "tokenizer.json").unlink()
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(data)
    with pytest.raises(DamagedFileError, match="SHA-256"):
        checkpoint.open(folder)
    assert checkpoint.open(folder, verify=False).config == CFG
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors is missing"):
        native.read(folder)


def nested(depth):
    return {"a": nested(depth - 1)} if depth else {}


@pytest.mark.parametrize("kind", ["native", "nanochat"])
@pytest.mark.parametrize(("meta", "message"), [
    ({"log": list(range(140_000))}, r"json has 1,[\d,]+ bytes; expected at most 1,048,576"),  # below that if compact
    (nested(32), "more than 32 deep"), ({"name": "\ud800"}, "surrogate"), ({1: "a", "1": "b"}, "twice"),
    ({"seed": 10**30}, "31 digits")])
def test_what_loading_refuses_is_not_saved(kind, meta, message, tmp_path):
    if (kind, message) == ("nanochat", "more than 32 deep"):
        meta = nested(33)  # the meta file holds it one deeper less
    assert len(json_file.json.dumps(meta)) < json_file.MAX_BYTES
    save(tmp_path / "x", OTHER, OTHER_TENSORS, format=kind)
    with pytest.raises(CheckpointError, match=message) as caught:
        save(tmp_path / "x", meta=meta, format=kind)
    assert str(caught.value).startswith(f"{tmp_path / 'x'} was not saved, loading would refuse it: ")
    assert ".new-" not in str(caught.value)
    assert checkpoint.open(tmp_path / "x").config == OTHER
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(("kind", "dtype", "value", "own"), [
    ("native", "bfloat16", 3.4e38, np.float32), ("nanochat", "bfloat16", -3.4e38, np.float32),
    ("native", "float32", 1e300, np.float64), ("native", "bfloat16", 1e300, np.float64),
    ("burn", None, 1e300, np.float64)])
def test_numbers_that_a_dtype_cannot_hold(kind, dtype, value, own, tmp_path):
    fields = {} if kind != "burn" else {
        "value_embeds": False, "lambdas": False, "smear": False, "backout": False, "window_pattern": None,
        "padded_vocab_size": 300}
    cfg, tensors = random_model(**fields)
    head = tensors["lm_head.weight"].numpy(own).copy()
    head[3, 3] = value
    save(tmp_path / "x", cfg, tensors, format=kind)
    with pytest.raises(UnsupportedError, match=r"tensor lm_head\.weight holds numbers too large for") as caught:
        save(tmp_path / "x", cfg, tensors | {"lm_head.weight": Tensor.of(head)}, format=kind, dtype=dtype)
    assert "\n" not in str(caught.value)
    assert checkpoint.open(tmp_path / "x").config == cfg
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("damage", ["config", "checksum", "tokenizer"])
def test_a_writer_that_errs_leaves_the_old_one(damage, tmp_path, monkeypatch):
    save(tmp_path / "x")
    write = native.write

    def errs(folder, cfg, tensors, tokenizer, meta):
        if damage == "config":
            cfg = checkpoint.replace(cfg, softcap=cfg.softcap + 1)
        write(folder, cfg, tensors, Tokenizer.load(parity("tokenizer_512")) if damage == "tokenizer" else None, meta)
        if damage == "checksum":
            data = bytearray((folder / "model.safetensors").read_bytes())
            data[-1] ^= 1
            (folder / "model.safetensors").write_bytes(data)

    monkeypatch.setitem(checkpoint._WRITERS, "native", errs)
    cfg, tensors = random_model(vocab_size=600)
    with pytest.raises(UnsupportedError, match={"config": "another softcap", "checksum": "SHA-256",
                                                "tokenizer": "512 ids, the model 600"}[damage]):
        save(tmp_path / "x", cfg, tensors, tokenizer=Tokenizer.load(parity("tokenizer_600")))
    assert checkpoint.open(tmp_path / "x").config == CFG
    assert leftovers(tmp_path) == []


def test_stages_of_killed_saves_are_swept_after_a_day(tmp_path):
    old, names = time.time() - 25 * 3600, {
        ".x.new-0123abcd": True, ".x.new-89abcdef": False, ".x.new-0000000f": False, ".y.new-0123abcd": False,
        ".x.new-mine": False, "x.new-0123abcd": False, ".x.old-0123abcd": False}
    for name in names:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model.safetensors").write_text("part")
        os.utime(folder / "model.safetensors", (old, old))
        os.utime(folder, (old, old))
    os.utime(tmp_path / ".x.new-89abcdef")
    os.utime(tmp_path / ".x.new-0000000f" / "model.safetensors")  # still being written
    (tmp_path / ".x.new-11111111").symlink_to(tmp_path / "x.new-0123abcd")
    save(tmp_path / "x")
    for name, swept in names.items():
        assert (tmp_path / name / "model.safetensors").exists() is not swept, name
    assert (tmp_path / ".x.new-11111111").is_symlink()


def test_all_of_the_stage_is_on_the_disk_before_it_takes_the_name(tmp_path, monkeypatch):
    synced, at_rename = [], []
    fsync, rename = os.fsync, os.rename

    def seen(handle):
        synced.append(os.fstat(handle).st_ino)
        fsync(handle)

    def renamed(source, target):
        at_rename.append(([path.stat().st_ino for path in (source, *source.iterdir())], list(synced)))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", seen)
    monkeypatch.setattr(os, "rename", renamed)
    save(tmp_path / "x")
    ((wanted, before),) = at_rename
    assert len(wanted) == 3
    assert set(before) >= set(wanted)
    assert before[-1] == wanted[0]  # the folder after what is in it
    assert synced[len(before):] == [tmp_path.stat().st_ino]


@pytest.mark.parametrize("target", ["~nosuchuser/x", "a\0b", "\ud800", 5, b"x", None])
def test_no_place_to_save_to(target):
    with pytest.raises(CheckpointError, match="the folder to save to is"):
        save(target)


def test_wrong_formats_and_metas(tmp_path):
    for wrong in ({"format": ["native"]}, {"meta": 5}, {"meta": "text"}):
        with pytest.raises(CheckpointError, match="expected"):
            save(tmp_path / "x", **wrong)

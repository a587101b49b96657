"""Checkpoint folders with hostile configs, headers, records and weights."""

import io
import json
import os
import shutil
import struct

import numpy as np

from pynanochat import checkpoint
from pynanochat.checkpoint import torch_file
from pynanochat.config import GPTConfig
from pynanochat.tensor import Tensor
from pynanochat.weights import LM_HEAD, WTE, tensor_shapes


def jsons():
    """Name and bytes of hostile JSON."""
    yield from {
        "deep-lists": b"[" * 100_000 + b"]" * 100_000, "deep-objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "deep-inside": b'{"model_config": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        "digits": b'{"a": ' + b"9" * 5000 + b"}",
        "digits-exponent": b'{"a": 1e999}', "digits-fraction": b'{"a": 1.' + b"1" * 500_000 + b"}",
        "nan": b'{"a": NaN}',
        "infinity": b'{"a": -Infinity}', "duplicate": b'{"model_type": "nanochat", "model_type": "other"}',
        "surrogate": b'{"a": "\\ud800"}', "surrogate-key": b'{"\\udfff": 1}', "utf-8": b'{"a": "\xff"}',
        "bom": b"\xef\xbb\xbf{}",
        "utf-16": '{"a": 1}'.encode("utf-16"), "list": b"[1]", "number": b"7", "empty": b"", "half": b'{"a": ',
        "tail": b"{} {}",
        "many-keys": b"{" + b",".join(b'"%d":1' % i for i in range(90_000)) + b', "7": 2}',
        "many-lists": b"[" + b"[]," * 300_000 + b"[]]", "large": b'{"a": "' + b"x" * (2 << 20) + b'"}', "null": b"null",
        "control": b'{"a": "\x00"}', "comment": b"{} // x",
    }.items()


def headers():
    """Name and bytes of hostile safetensors files."""

    def made(header, data=bytes(16), length=None):
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(text) if length is None else length) + text + data

    def one(dtype="F32", shape=(4,), offsets=(0, 16), **more):
        return {"x": {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)} | more}

    good = one()["x"]
    yield from {
        "length-max": made(one(), length=2**64 - 1), "length-100MB": made(one(), length=100 << 20),
        "length-beyond": made(one(), length=500), "length-0": made(b"", length=0), "short": b"1234", "empty": b"",
        "overlap": made({"x": good, "y": good}), "hole": made(one(offsets=(4, 20)), bytes(20)),
        "trailing": made(one(), bytes(20)), "cut": made(one(), bytes(12)),
        "negative-offset": made(one(offsets=(-16, 0))),
        "reversed": made(one(offsets=(16, 0))), "offset-huge": made(one(offsets=(2**64, 2**64 + 16))),
        "shape-negative": made(one(shape=(-4,))), "shape-overflow": made(one(shape=(2**33, 2**33, 4))),
        "shape-zero-huge": made({"x": one(shape=(0, 2**40, 2**40), offsets=(0, 0))["x"]}, b""),
        "shape-fraction": made(one(shape=(4.0,))),
        "shape-true": made(one(shape=(True,), dtype="F32", offsets=(0, 4)), bytes(4)),
        "shape-long": made(one(shape=(1,) * 1000 + (4,))), "shape-wrong": made(one(shape=(5,))),
        "dtype": made(one(dtype="F4")), "dtype-list": made(one(dtype=["F32"])), "more-keys": made(one(x=1)),
        "no-offsets": made({"x": {"dtype": "F32", "shape": [4]}}), "entry-list": made({"x": [1]}),
        "duplicate": made(json.dumps({"x": good}).encode()[:-1] + b", " + json.dumps({"x": good}).encode()[1:]),
        "utf-8": made(b'{"\xff": 1}'), "no-json": made(b"{" * 50), "list": made(b"[1, 2, 3]"),
        "deep": made(b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "nan": made(b'{"x": NaN}'),
        "spaces": made(b" " * 20), "many": made({f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
                                                 for i in range(15_000)}, b""),
    }.items()


def msgpacks():
    """Name and bytes of hostile MessagePack."""
    top = b"\x83\xa8metadata\x80\xa4item"
    yield from {
        "array-2^32": b"\xdd\xff\xff\xff\xff", "map-2^32": b"\xdf\xff\xff\xff\xff", "bin-2^32": b"\xc6\xff\xff\xff\xff",
        "str-2^32": b"\xdb\xff\xff\xff\xff", "deep-arrays": b"\x91" * 1_000_000 + b"\xc0",
        "deep-maps": b"\x81\xa1a" * 300_000 + b"\xc0", "many-arrays": b"\xdd\x00\x0f\x00\x00" + b"\x90" * 0xF0000,
        "duplicate": b"\x82\xa1a\x01\xa1a\x02", "key-number": b"\x81\x01\x02", "key-array": b"\x81\x90\x02",
        "ext": b"\xd4\x01\x02",
        "ext-32": b"\xc9\xff\xff\xff\xff\x01", "never-used": b"\xc1", "utf-8": b"\xa1\xff", "trailing": b"\xc0\xc0",
        "empty": b"",
        "inside": top + b"\xdd\xff\xff\xff\xff", "nil": b"\xc0", "number": b"\xcb" + bytes(8), "half": b"\x83\xa8meta",
    }.items()


def tiny(kind, folder):
    """A sound checkpoint of a format."""
    plain = {"lambdas": False, "value_embeds": False, "smear": False, "backout": False, "window_pattern": None,
             "rope_base": 1e4, "qk_scale": 1.0, "rope_table_dtype": "float32" if kind == "huggingface" else "bfloat16"}
    cfg = GPTConfig(sequence_len=32, vocab_size=64, n_layer=1, n_head=2, n_kv_head=1, n_embd=16, **plain)
    random = np.random.default_rng(1)
    tensors = {name: Tensor.of(random.standard_normal(shape).astype(np.float32))
               for name, shape in tensor_shapes(cfg).items()}
    return checkpoint.save(folder, config=cfg, tensors=tensors, format=kind)


def folders(root):
    """Write hostile checkpoint folders; gives their names."""
    sound = {kind: tiny(kind, root / ".sound" / kind) for kind in checkpoint.FORMATS}
    files = {"native": "config.json", "nanochat": "meta_000000.json", "huggingface": "config.json",
             "burn": "config.json"}
    weights = {"native": "model.safetensors", "nanochat": "model_000000.pt", "huggingface": "model.safetensors",
               "burn": "model.mpk"}

    def altered(kind, name, **content):
        folder = root / f"{kind}-{name}"
        shutil.copytree(sound[kind], folder)
        for file, data in content.items():
            (folder / file).write_bytes(data)
        return folder

    for kind, file in files.items():
        for name, data in jsons():
            yield altered(kind, f"json-{name}", **{file: data})
        size = (sound[kind] / weights[kind]).stat().st_size
        whole = (sound[kind] / weights[kind]).read_bytes()
        for part in range(1, 12):
            yield altered(kind, f"cut-{part}", **{weights[kind]: whole[: size * part // 12]})
        model_config = json.loads((sound[kind] / file).read_bytes())
        fields = {"nanochat": model_config.get("model_config"), "burn": model_config}.get(kind)
        for key in ("n_layer", "n_embd", "vocab_size", "n_head", "sequence_len") if fields else ():
            for number, value in enumerate((-1, 0, 10**18, 2**70, 1.5, "4", None, [1], {}, True)):
                changed = json.loads(json.dumps(model_config))
                (changed["model_config"] if kind == "nanochat" else changed)[key] = value
                yield altered(kind, f"config-{key}-{number}", **{file: json.dumps(changed).encode()})
        places = {"missing": None, "folder": "folder", "loop": "loop", "device": "/dev/zero", "fifo": "fifo"}
        for name, path in places.items():
            folder = altered(kind, f"weights-{name}")
            target = folder / weights[kind]
            target.unlink()
            if path == "folder":
                target.mkdir()
            elif path == "loop":
                target.symlink_to(target)
            elif path == "fifo":
                os.mkfifo(target)
            elif path:
                target.symlink_to(path)
            yield folder
    for name, data in headers():
        yield altered("huggingface", f"safetensors-{name}", **{weights["huggingface"]: data})
    for name, data in msgpacks():
        yield altered("burn", f"msgpack-{name}", **{weights["burn"]: data})
    for kind in ("nanochat", "huggingface"):
        for name, value in (("nan", np.nan), ("inf", np.inf), ("-inf", -np.inf)):
            yield spoiled(kind, sound[kind], weights[kind], root / f"{kind}-weights-{name}", value)
    state = torch_file.read(sound["nanochat"] / weights["nanochat"])
    for name, changed in {
        "integers": state | {LM_HEAD: Tensor.of(np.zeros((64, 16), np.int64))},
        "unknown": state | {"transformer.h.0.attn.extra.weight": state[LM_HEAD]},
        "twice": state | {f"_orig_mod.{WTE}": state[WTE]}, "list": [state], "nested": {"model": state},
        "number": state | {"x": 1},
        "missing": {WTE: state[WTE]}, "empty": {}, "flat": state | {LM_HEAD: Tensor.of(np.zeros(1024, np.float32))},
        "keys": {7: state[WTE]}, "never-released": state | {"v0_lambdas": Tensor.of(np.zeros(1, np.float32))},
        "no-dimension": state | {"resid_lambdas": Tensor(np.zeros((), np.float32), "float32")},
    }.items():
        out = io.BytesIO()
        torch_file.write(out, changed)
        yield altered("nanochat", f"state-{name}", **{weights["nanochat"]: out.getvalue()})
    whole = (sound["burn"] / "model.mpk").read_bytes()
    for name, old, new in (("shape", b"\xa5shape\x92\x40\x10", b"\xa5shape\x92\x41\x10"),
                           ("dtype", b"\xa3F32", b"\xa3F99"), ("field", b"\xa3ln1", b"\xa3lm1"),
                           ("bias", b"\xa4bias\xc0", b"\xa4bias\x01")):
        yield altered("burn", f"record-{name}", **{"model.mpk": whole.replace(old, new, 1)})
    for key in ("sha256", "version", "generation", "config", "meta", "format"):
        values = json.loads((sound["native"] / "config.json").read_bytes())
        for number, value in enumerate((None, 1, "x", [], {}, 2**60)):
            if value != values[key]:
                text = json.dumps(values | {key: value}).encode()
                yield altered("native", f"key-{key}-{number}", **{"config.json": text})
    index = {"weight_map": {"x": "../../secret.safetensors"}}
    folder = altered("huggingface", "index-path", **{"model.safetensors.index.json": json.dumps(index).encode()})
    (folder / "model.safetensors").unlink()
    yield folder


def spoiled(kind, sound, weights, folder, value):
    """A copy whose last weight is `value`, under a right checksum."""
    shutil.copytree(sound, folder)
    if kind == "huggingface":
        data = bytearray((folder / weights).read_bytes())
        data[-4:] = struct.pack("<f", value)
        (folder / weights).write_bytes(data)
    else:
        state = torch_file.read(folder / weights)
        bad = state[LM_HEAD].data.copy()
        bad[-1, -1] = value
        out = io.BytesIO()  # not the file itself: it is mapped
        torch_file.write(out, state | {LM_HEAD: Tensor.of(bad)})
        (folder / weights).write_bytes(out.getvalue())
    return folder

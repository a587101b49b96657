"""Native folders of q8 and q4 weights that are not what they say, with right checksums."""

import hashlib
import json

import hostile_folders
import numpy as np

from pynanochat import checkpoint
from pynanochat.checkpoint import safetensors_file
from pynanochat.tensor import Tensor

HEAD = "lm_head.weight"


def sound(kind, folder):
    """A quantised model of one layer."""
    plain = checkpoint.open(hostile_folders.tiny("native", folder.with_name(f"{folder.name}-plain")))
    return checkpoint.save(folder, config=plain.config, tensors=plain.tensors, quantize=kind)


def signed(folder, source, tensors=None, **keys):
    """A copy of a native folder with other tensors or other keys in its config, and checksums that fit them."""
    folder.mkdir()
    path = folder / "model.safetensors"
    if tensors is None:
        path.write_bytes((source / path.name).read_bytes())
    else:
        with path.open("wb") as file:
            safetensors_file.write(file, tensors, {"format": "pynanochat"})
    values = json.loads((source / "config.json").read_text()) | keys
    values = {key: value for key, value in values.items() if value is not ...}
    values["sha256"] = {"config.json": "0" * 64, path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
    text = json.dumps(values)
    (folder / "config.json").write_text(text.replace("0" * 64, hashlib.sha256(text.encode()).hexdigest()))
    return folder


def folders(root):
    """Write the folders; gives each with a part of what must be said of it."""
    for kind in ("q8", "q4"):
        good = sound(kind, root / f".{kind}")
        yield signed(root / f"{kind}-good", good), ""
        tensors = safetensors_file.read(good / "model.safetensors")
        codes, scales = tensors[f"{HEAD}.q"].data, tensors[f"{HEAD}.scale"].data

        def spoiled(array, value):
            array = array.copy()
            array[3, 0] = value
            return array

        other = np.uint8 if kind == "q8" else np.int8
        changes = {
            "codes-missing": ({f"{HEAD}.q": None}, "lm_head.weight.q is missing"),
            "scales-missing": ({f"{HEAD}.scale": None}, "lm_head.weight.scale is missing"),
            "codes-dtype": ({f"{HEAD}.q": Tensor.of(codes.astype(other))}, "lm_head.weight.q is"),
            "codes-short": ({f"{HEAD}.q": Tensor.of(codes[:, :-1].copy())}, "lm_head.weight.q is"),
            "codes-flat": ({f"{HEAD}.q": Tensor.of(codes.ravel())}, "lm_head.weight.q is"),
            "scales-dtype": ({f"{HEAD}.scale": Tensor(scales.view(np.int16), "int16")}, "lm_head.weight.scale is"),
            "scales-float16": ({f"{HEAD}.scale": Tensor(scales.view(np.float16), "float16")}, "lm_head.weight.scale"),
            "scales-more": ({f"{HEAD}.scale": Tensor(np.tile(scales, 2), "bfloat16")}, "lm_head.weight.scale is"),
            "scales-none": ({f"{HEAD}.scale": Tensor(scales[:, :0].copy(), "bfloat16")}, "lm_head.weight.scale is"),
            "twice": ({HEAD: Tensor.of(np.zeros((64, 16), np.float32))}, "lm_head.weight is there twice"),
            "unknown": ({"lm_head.weight.zero": Tensor.of(np.zeros(1, np.float32))}, "belongs to no known"),
            "table": ({"transformer.wte.weight.q": tensors[f"{HEAD}.q"],
                       "transformer.wte.weight.scale": tensors[f"{HEAD}.scale"],
                       "transformer.wte.weight": None}, "transformer.wte.weight"),
            "inf": ({f"{HEAD}.scale": Tensor(spoiled(scales, 0x7F80), "bfloat16")}, "not finite"),
            "nan": ({f"{HEAD}.scale": Tensor(spoiled(scales, 0xFFC0), "bfloat16")}, "not finite"),
        }
        if kind == "q8":
            changes["level-128"] = ({f"{HEAD}.q": Tensor.of(spoiled(codes, -128))}, "not finite")
        for name, (changed, said) in changes.items():
            new = {key: value for key, value in (tensors | changed).items() if value is not None}
            yield signed(root / f"{kind}-{name}", good, new), said
        for name, keys, said in (
                ("as-1", {"version": 1, "quantization": ...}, "missing"), ("no-key", {"quantization": ...}, "keys"),
                ("1-with-key", {"version": 1}, "keys"), ("version-3", {"version": 3}, "version 3"),
                ("other", {"quantization": "q4" if kind == "q8" else "q8"}, "lm_head.weight.q is"),
                *((f"key-{number}", {"quantization": value}, "quantization is")
                  for number, value in enumerate((None, 8, "q5", ["q8"], {}, True)))):
            yield signed(root / f"{kind}-{name}", good, **keys), said
    floats = hostile_folders.tiny("native", root / ".floats")
    yield signed(root / "floats-as-q8", floats, version=2, quantization="q8"), "weight.q is missing"
    yield signed(root / "floats-as-none", floats, version=2, quantization=None), "quantization is"

"""Files that ask for more than reading data, and damaged ones; run as a script it reads them under an audit hook.

`build(folder)` writes them and gives their names; `read(path)` opens one as a user would.
"""

import io
import json
import os
import shutil
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np

from pynanochat import checkpoint
from pynanochat.checkpoint import torch_file
from pynanochat.config import GPTConfig
from pynanochat.errors import NanochatError
from pynanochat.pickle_writer import EMPTY_ORDERED_DICT, Persistent, dumps
from pynanochat.tensor import Tensor
from pynanochat.tokenizer import Tokenizer
from pynanochat.unpickle import Global, Record
from pynanochat.weights import LM_HEAD, WTE, tensor_shapes

GADGETS = [
    "os.system", "posix.system", "nt.system", "builtins.eval", "builtins.exec", "builtins.compile",
    "builtins.__import__", "__builtin__.eval", "subprocess.Popen", "subprocess.check_output", "runpy._run_code",
    "runpy.run_path", "pty.spawn", "torch.hub.load", "torch.load", "torch.serialization.load", "pickle.loads",
    "_pickle.loads", "marshal.loads", "importlib.import_module", "operator.attrgetter", "operator.methodcaller",
    "functools.partial", "builtins.getattr", "builtins.open", "io.open", "shutil.rmtree", "os.remove",
    "webbrowser.open", "socket.create_connection", "http.client.HTTPConnection", "ctypes.CDLL", "code.interact",
    "bdb.Bdb", "pdb.run", "timeit.timeit", "cProfile.run", "profile.run", "doctest.debug_script", "pydoc.pipepager",
    "asyncio.unix_events._run", "numpy.f2py.crackfortran.getlincoef", "numpy.testing._private.utils.runstring",
    "torch._inductor.codecache.compile_file", "torch.utils._config_module.load_config",
    "distutils.file_util.write_file", "types.CodeType", "types.FunctionType", "tiktoken.core.Encoding.__init__",
    "tiktoken.load.read_file", "_codecs.encode", "collections.namedtuple",
]
ARGUMENT = "touch hacked"


def _short(text):
    return b"\x8c" + bytes([len(text)]) + text.encode()


def _calls(name):
    """The ways in which a pickle can ask for a call of `name`."""
    module, _, attribute = name.rpartition(".")
    plain, stacked = f"c{module}\n{attribute}\n".encode(), _short(module) + _short(attribute) + b"\x93"
    argument = _short(ARGUMENT)
    return {
        "global-reduce": b"\x80\x02" + plain + b"X\x0c\x00\x00\x00touch hacked\x85R.",
        "stack_global-reduce": b"\x80\x04" + stacked + argument + b"\x85R.",
        "protocol-0": f"c{module}\n{attribute}\n(S'{ARGUMENT}'\ntR.".encode(),
        "inst": b"\x80\x02(" + b"X\x0c\x00\x00\x00touch hacked" + f"i{module}\n{attribute}\n.".encode(),
        "obj": b"\x80\x02(" + plain + b"X\x0c\x00\x00\x00touch hackedo.",
        "newobj": b"\x80\x04" + stacked + argument + b"\x85\x81.",
        "newobj_ex": b"\x80\x04" + stacked + b")" + b"}" + b"\x92.",
        "build": b"\x80\x04" + stacked + b")\x81}" + _short("__setstate__") + argument + b"sb.",
        "memo": b"\x80\x04" + stacked + b"\x94" + b"h\x00" + argument + b"\x85R.",
    }


def pickles():
    """Name and bytes of hostile pickles."""
    for name in GADGETS:
        calls = _calls(name)
        chosen = calls if name in GADGETS[:4] else {key: calls[key] for key in ("global-reduce", "stack_global-reduce")}
        for how, data in chosen.items():
            yield f"gadget-{name}-{how}", data
    yield from {
        "ext1": b"\x80\x02\x82\x01)R.", "ext2": b"\x80\x02\x83\x01\x01)R.", "ext4": b"\x80\x02\x84\x01\x00\x00\x01)R.",
        "persid": b"Pos.system\n.", "binpersid": b"\x80\x02X\x01\x00\x00\x00aQ.", "set": b"\x80\x04\x8f(K\x01\x90.",
        "next_buffer": b"\x80\x05\x97.", "bytearray8": b"\x80\x05\x96" + b"\xff" * 8 + b".",
        "call-a-string": b"\x80\x04" + _short("os.system") + b")R.",
        "name-of-numbers": b"\x80\x04K\x01K\x02\x93.",
        "name-of-lines": b"\x80\x04" + _short("os\nsystem") * 2 + b"\x93.",
        "long-name": b"\x80\x02c" + b"a" * 100_000 + b"\nb\n.", "encoding-twice": b"\x80\x04" + (
            _short("tiktoken.core") + _short("Encoding") + b"\x93") * 2 + b"R.",
        "binput-2^31": b"\x80\x02Nr\xff\xff\xff\x7f.", "put-bomb": b"Np2147483648\n.",
        "bytes8-2^63": b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.", "text8-2^64": b"\x80\x04\x8d" + b"\xff" * 8 + b".",
        "bytes-2^32": b"\x80\x03B\xff\xff\xff\xff.", "text-2^32": b"\x80\x02X\xff\xff\xff\xff.",
        "frame-2^63": b"\x80\x04\x95" + b"\xff" * 7 + b"\x7fN.",
        "long4-huge": b"\x80\x02\x8b\xff\xff\xff\x7f" + b"\x01" * 99,
        "long4-negative": b"\x80\x02\x8b\xff\xff\xff\xff.", "long1-255": b"\x80\x02\x8a\xff" + b"\x7f" * 255 + b".",
        "deep-lists": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
        "deep-tuples": b"\x80\x02)" + b"\x85" * 500_000 + b".", "deep-marks": b"\x80\x02" + b"(" * 500_000 + b".",
        "deep-dicts": b"\x80\x02" + b"}K\x01" * 100_000 + b"N" + b"s" * 100_000 + b".",
        "laughs": b"\x80\x02(]q\x00" + b"".join(
            b"](" + b"h%c" % i * 100 + b"eq%c" % (i + 1) for i in range(50)) + b"t.",
        "laughs-tuples": b"\x80\x02)q\x00" + b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(200)) + b".",
        "cycle": b"\x80\x02]q\x00h\x00a.", "cycle-dict": b"\x80\x02}q\x00K\x01h\x00s.",
        "many-dicts": b"\x80\x02(" + b"}" * 1_900_000 + b"t.",
        "many-floats": b"\x80\x02(" + b"G12345678" * 1_000_000 + b"t.",
        "many-texts": b"\x80\x04(" + b"\x8c\x02ab" * 1_900_000 + b"t.",
        "many-opcodes": b"\x80\x02(" + b"N" * 3_000_000 + b"t.",
        "colliding-keys": b"\x80\x02}(" + b"".join(
            b"\x8a\x10" + (i * (2**61 - 1)).to_bytes(16, "little") + b"N" for i in range(1, 60_000)) + b"u.",
        "many-memos": b"\x80\x04" + b"N(" + b"N\x94" * 950_000 + b"t.", "wide-texts": b"\x80\x04(" + (
            b"X\x00\x00\x10\x00" + b"\xf0\x9f\x98\x80" + b"a" * 0xFFFFC) * 20 + b"t.",
        "unhashable": b"\x80\x02}]Ns.", "two-values": b"\x80\x02NN.", "nothing": b"\x80\x02.",
        "protocol-9": b"\x80\x09N.",
        "text": b"hello", "empty": b"", "zeros": bytes(1000), "after-the-end": b"\x80\x02N.cos\nsystem\n.",
        "too-large": b"\x80\x02" + bytes(65 << 20),
    }.items()


class Zip:
    """A torch file whose parts may lie."""

    def __init__(self):
        self.out = io.BytesIO()
        self.zip = zipfile.ZipFile(self.out, "w")

    def add(self, name, data, packed=False):
        self.zip.writestr(name, data, zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED)

    def done(self):
        self.zip.close()
        return bytearray(self.out.getvalue())


def storage(dtype="torch.FloatStorage", key="0", count=4, device="cpu"):
    return Persistent(("storage", Global(dtype), key, device, count))


def rebuild(storage=None, offset=0, size=(4,), stride=(1,), name="torch._utils._rebuild_tensor_v2", how="call"):
    args = (storage or globals()["storage"](), offset, size, stride, False, EMPTY_ORDERED_DICT)
    return Record(name, args, None, how)


def torch_zip(data, entries=(("archive/data/0", bytes(16)),), extra=()):
    made = Zip()
    made.add("archive/data.pkl", data if isinstance(data, bytes) else dumps(data, protocol=2))
    for name, content in (("archive/byteorder", b"little"), *entries, ("archive/version", b"3\n"), *extra):
        made.add(name, content)
    return made.done()


def patched(data, at, form, value):
    struct.pack_into(form, data, at, value)
    return bytes(data)


def torch_files():
    """Name and bytes of hostile .pt files."""
    good = rebuild()
    for name, data in pickles():
        if len(data) < 1 << 20 and "gadget" not in name and name != "binput-2^31":  # harmless here, and None
            yield f"pickle-{name}", bytes(torch_zip(data))
    for name in GADGETS:
        yield f"gadget-{name}", bytes(torch_zip(_calls(name)["global-reduce"]))
    yield from {
        "stride-0": torch_zip({"x": rebuild(size=(10**12,), stride=(0,))}),
        "stride-0-bf16": torch_zip({"x": rebuild(
            storage("torch.BFloat16Storage", count=8), 0, (10**6, 10**6), (0, 0))}),
        "stride-0-small": torch_zip({"x": rebuild(size=(2, 2), stride=(0, 1))}),
        "stride-negative": torch_zip({"x": rebuild(size=(4,), stride=(-1,))}),
        "stride-gap": torch_zip({"x": rebuild(size=(2,), stride=(2,))}),
        "stride-missing": torch_zip({"x": rebuild(size=(4,), stride=())}),
        "offset-negative": torch_zip({"x": rebuild(offset=-1)}), "offset-beyond": torch_zip({"x": rebuild(offset=2)}),
        "offset-huge": torch_zip({"x": rebuild(offset=2**63)}), "size-beyond": torch_zip({"x": rebuild(size=(5,))}),
        "size-negative": torch_zip({"x": rebuild(size=(-4,))}), "size-huge": torch_zip({"x": rebuild(size=(2**62, 4))}),
        "size-empty-huge": torch_zip({"x": rebuild(size=(0, 2**62, 2**62), stride=(1, 1, 1))}),
        "size-dimensions": torch_zip({"x": rebuild(size=(1,) * 100, stride=(1,) * 100)}),
        "size-text": torch_zip({"x": rebuild(size=("4",))}), "size-list": torch_zip({"x": rebuild(size=[4])}),
        "size-true": torch_zip({"x": rebuild(size=(True,))}),
        "storage-count": torch_zip({"x": rebuild(storage(count=2**40))}),
        "storage-negative": torch_zip({"x": rebuild(storage(count=-4))}),
        "storage-missing": torch_zip({"x": rebuild(storage(key="7"))}),
        "storage-path": torch_zip({"x": rebuild(storage(key="../../../etc/passwd"))}),
        "storage-class": torch_zip({"x": rebuild(storage("torch.storage.UntypedStorage"))}),
        "storage-no-name": torch_zip({"x": rebuild(Persistent(("storage", "torch.FloatStorage", "0", "cpu", 4)))}),
        "storage-short": torch_zip({"x": rebuild(Persistent(("storage",)))}),
        "storage-else": torch_zip({"x": rebuild(Persistent("module"))}),
        "storage-alone": torch_zip({"x": storage()}), "class-alone": torch_zip({"x": Global("torch.FloatStorage")}),
        "tensor-new": torch_zip({"x": rebuild(how="new")}),
        "tensor-no-storage": torch_zip({"x": rebuild(storage=(1,))}),
        "tensor-state": torch_zip({"x": Record(good.name, good.args, {"a": 1}, "call")}),
        "tensor-short": torch_zip({"x": Record(good.name, good.args[:3], None, "call")}),
        "parameter-of-nothing": torch_zip({"x": Record("torch._utils._rebuild_parameter", (1, True, {}), None,
        "call")}),
        "parameter-of-itself": torch_zip({"x": Record("torch._utils._rebuild_parameter", (
            Record("torch._utils._rebuild_parameter", (good, True, {}), None, "call"), True, {}), None, "call")}),
        "storage-call": torch_zip({"x": Record("torch.FloatStorage", (2**40,), None, "call")}),
        "ordered-dict-call": torch_zip({"x": Record("collections.OrderedDict", ([("a", 1)],), None, "call")}),
        "big-endian": torch_zip({"x": good}, extra=()).replace(b"little", b"bigend"),
        "no-data.pkl": bytes(Zip().done()), "two-data.pkl": torch_zip({"x": good}, extra=[("other/data.pkl", b"N.")]),
        "nested-root": torch_zip({"x": good}).replace(b"archive/data.pkl", b"a/chive/data.pkl"),
        "no-zip": b"not a zip file at all" * 10, "empty": b"", "pk": b"PK", "end-only": b"PK\x05\x06" + bytes(18),
    }.items()
    yield from zip_files(torch_zip({"x": good}))


def zip_files(good):
    """A good torch file whose zip lies."""
    central, end = good.find(b"PK\x01\x02"), good.rfind(b"PK\x05\x06")
    data_at = good.find(b"archive/data/0")  # its local header begins 30 before
    entry = good.find(b"archive/data/0", central) - 46

    def change(at, form, value):
        return patched(bytearray(good), at, form, value)

    packed = Zip()
    packed.add("archive/data.pkl", dumps({"x": rebuild(storage(count=1 << 28))}, protocol=2))
    packed.zip.writestr("archive/data/0", bytes(1 << 26), zipfile.ZIP_DEFLATED)
    first = Zip()
    first.add("archive/data.pkl", b"\x80\x02" + b"]" * (1 << 26), packed=True)
    yield from {
        "zip-deflated-bomb": packed.done(), "zip-deflated-pickle": first.done(),
        "zip-encrypted": change(entry + 8, "<H", 1), "zip-strong": change(entry + 8, "<H", 64),
        "zip-method": change(entry + 10, "<H", 12), "zip-crc": change(entry + 16, "<I", 1),
        "zip-size": change(entry + 20, "<I", 15), "zip-size-both": patched(
            bytearray(change(entry + 20, "<I", 1 << 30)), entry + 24, "<I", 1 << 30),
        "zip-size-64-missing": patched(bytearray(change(entry + 20, "<I", 0xFFFFFFFF)), entry + 24, "<I", 0xFFFFFFFF),
        "zip-name-length": change(entry + 28, "<H", 60_000), "zip-extra-length": change(entry + 30, "<H", 60_000),
        "zip-disk": change(entry + 34, "<H", 3), "zip-offset": change(entry + 42, "<I", len(good)),
        "zip-offset-other": change(entry + 42, "<I", 0), "zip-offset-64": change(entry + 42, "<I", 0xFFFFFFFF),
        "zip-local-name": change(data_at, "<c", b"b"), "zip-local-flags": change(data_at - 30 + 6, "<H", 1),
        "zip-local-method": change(data_at - 30 + 8, "<H", 8), "zip-local-size": change(data_at - 30 + 22, "<I", 1),
        "zip-local-name-length": change(data_at - 30 + 26, "<H", 60_000), "zip-local-mark": change(data_at - 30,
        "<I", 0),
        "zip-count": change(end + 10, "<H", 60_000), "zip-count-both": patched(
            bytearray(change(end + 8, "<H", 60_000)), end + 10, "<H", 60_000),
        "zip-disks": change(end + 4, "<H", 1), "zip-index-size": change(end + 12, "<I", 1 << 30),
        "zip-index-at": change(end + 16, "<I", 1 << 30), "zip-comment": change(end + 20, "<H", 4) + b"abcd",
        "zip-bytes-before": b"\x7fELF" + bytes(good), "zip-bytes-after": bytes(good) + b"abcd",
        "zip-duplicate": bytes(good).replace(b"archive/version", b"archive/data/0\0").replace(b"data/0\0", b"data.pkl"),
        "zip-overlap": overlapping(good), "zip64-lies": zip64(good, count=2**60, entries=True),
        "zip64-contradicts": zip64(good, count=1), "zip64-size": zip64(good, length=2**62),
        "zip64-elsewhere": zip64(good, at=3),
    }.items()
    for number in range(1, 24):
        yield f"zip-cut-{number}", bytes(good[: len(good) * number // 24])


def overlapping(good):
    """The index twice names the same bytes: two entries with one local header."""
    central, end = good.find(b"PK\x01\x02"), good.rfind(b"PK\x05\x06")
    entry = good.find(b"archive/data/0", central) - 46
    again = bytearray(good[entry : entry + 60])
    data = good[:end] + again + good[end:]
    count, size = struct.unpack_from("<HI", data, end + 60 + 10)
    for at in (end + 60 + 8, end + 60 + 10):
        struct.pack_into("<H", data, at, count + 1)
    struct.pack_into("<I", data, end + 60 + 12, size + 60)
    return bytes(data)


def zip64(good, count=None, length=None, at=None, entries=False):
    end = good.rfind(b"PK\x05\x06")
    here, size, start = struct.unpack_from("<HII", good, end + 10)
    count = here if count is None else count
    record = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, length or size, start)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, end if at is None else at, 1)
    tail = bytearray(good[end:])
    if entries:
        struct.pack_into("<2H", tail, 8, 0xFFFF, 0xFFFF)
    return bytes(good[:end]) + record + locator + bytes(tail)


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
    files = {"pynanochat": "config.json", "nanochat": "meta_000000.json", "huggingface": "config.json",
             "nanochat-rs": "config.json"}
    weights = {"pynanochat": "model.safetensors", "nanochat": "model_000000.pt", "huggingface": "model.safetensors",
               "nanochat-rs": "model.mpk"}

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
        fields = {"nanochat": model_config.get("model_config"), "nanochat-rs": model_config}.get(kind)
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
        yield altered("nanochat-rs", f"msgpack-{name}", **{weights["nanochat-rs"]: data})
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
    whole = (sound["nanochat-rs"] / "model.mpk").read_bytes()
    for name, old, new in (("shape", b"\xa5shape\x92\x40\x10", b"\xa5shape\x92\x41\x10"),
                           ("dtype", b"\xa3F32", b"\xa3F99"), ("field", b"\xa3ln1", b"\xa3lm1"),
                           ("bias", b"\xa4bias\xc0", b"\xa4bias\x01")):
        yield altered("nanochat-rs", f"record-{name}", **{"model.mpk": whole.replace(old, new, 1)})
    for key in ("sha256", "version", "generation", "config", "meta", "format"):
        values = json.loads((sound["pynanochat"] / "config.json").read_bytes())
        for number, value in enumerate((None, 1, "x", [], {}, 2**60)):
            if value != values[key]:
                text = json.dumps(values | {key: value}).encode()
                yield altered("pynanochat", f"key-{key}-{number}", **{"config.json": text})
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


def build(root: Path) -> list[str]:
    """Write all hostile files under `root`; their paths in it."""
    names = []
    for place, files, ending in (("pickles", pickles(), ".pkl"), ("torch", torch_files(), ".pt")):
        (root / place).mkdir(parents=True)
        for name, data in files:
            (root / place / f"{name}{ending}").write_bytes(data)
            names.append(f"{place}/{name}{ending}")
    (root / "folders").mkdir()
    return names + [f"folders/{folder.name}" for folder in folders(root / "folders")]


def read(path: Path):
    """Open a file as its user would."""
    if path.suffix == ".pkl":
        return Tokenizer.load(path)
    if path.suffix == ".pt":
        return torch_file.read(path)
    return checkpoint.open(path)


FORBIDDEN = (  # beginnings of audit events
    "os.system", "os.exec", "os.spawn", "os.posix_spawn", "os.fork", "os.kill", "os.remove", "os.rename", "os.mkdir",
    "os.rmdir", "os.symlink", "os.link", "os.chmod", "os.truncate", "subprocess.", "pty.", "exec", "compile",
    "import", "socket.", "ctypes.", "shutil.", "urllib.", "http.", "ftplib.", "smtplib.", "webbrowser.", "marshal.",
    "code.", "pickle.", "function.", "sys.", "object.__getattr__",
)


def main(root: Path) -> None:
    """Read every file with an audit hook set; prints one JSON line: verdicts by name, and forbidden events."""
    events, armed = [], []

    def hook(event, args):
        if not armed:
            return
        writes = event == "open" and (set(str(args[1])) & set("wax+") or (args[1] is None and args[2] & 3))
        if writes or event.startswith(FORBIDDEN):
            events.append([armed[0], event, str(args)[:200]])

    names = json.loads((root / "names.json").read_text())
    sys.addaudithook(hook)
    verdicts = {}
    for name in names[:1] + names:  # the first one twice: what is imported late is imported then
        armed[:] = [name] if verdicts else []
        try:
            read(root / name)
            verdict, text = "accepted", ""
        except NanochatError as error:
            verdict, text = type(error).__name__, str(error)
        except BaseException as error:
            verdict, text = f"CRASH {type(error).__name__}", str(error)
        verdicts[name] = [verdict, text]
    armed.clear()
    print(json.dumps({"verdicts": verdicts, "events": events, "assertions": __debug__}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

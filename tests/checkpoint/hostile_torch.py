"""Torch files that ask for more than data, and zip files that lie."""

import io
import struct
import zipfile

from hostile_pickles import GADGETS, calls_of, pickles

from pynanochat.pickle_writer import EMPTY_ORDERED_DICT, Persistent, dumps
from pynanochat.unpickle import Global, Record


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
        yield f"gadget-{name}", bytes(torch_zip(calls_of(name)["global-reduce"]))
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
        "zip-index-twice": overlapping(good), "zip-overlap": inside_another(),
        "zip64-lies": zip64(good, count=2**60, entries=True),
        "zip64-contradicts": zip64(good, count=1), "zip64-size": zip64(good, length=2**62),
        "zip64-elsewhere": zip64(good, at=3),
    }.items()
    for number in range(1, 24):
        yield f"zip-cut-{number}", bytes(good[: len(good) * number // 24])


def overlapping(good):
    """The index twice names the same bytes: two entries with one local header."""
    entry = good.find(b"archive/data/0", good.find(b"PK\x01\x02")) - 46
    return indexed(good, good[entry : entry + 60])


def inside_another():
    """A sound entry whose 60 bytes are another sound entry, header and all; each alone is as the index says."""
    inner = torch_zip(b"N.", entries=[("archive/data/1", bytes(16))])
    at = inner.find(b"archive/data/1") - 30
    data = {"x": rebuild(storage(count=15)), "y": rebuild(storage(key="1"))}
    outer = torch_zip(data, entries=[("archive/data/0", bytes(inner[at : at + 60]))])
    entry = inner.find(b"archive/data/1", inner.find(b"PK\x01\x02")) - 46
    line = bytearray(inner[entry : entry + 60])
    return indexed(outer, patched(line, 42, "<I", outer.find(b"archive/data/1") - 30))


def indexed(good, again):
    """A zip whose index has one line more."""
    end = good.rfind(b"PK\x05\x06")
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

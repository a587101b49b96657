"""Pickles that ask for more than data."""

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


def calls_of(name):
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
        calls = calls_of(name)
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

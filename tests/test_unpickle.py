"""The fixed-opcode reader: what Python writes comes back, everything else is refused."""

import contextlib
import pickle
import struct
from collections import OrderedDict

import pytest
from fixture_files import parity
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pynanochat import unpickle
from pynanochat.errors import DamagedFileError, NanochatError, UnsafeFileError
from pynanochat.unpickle import Global, Record

SLOW_MACHINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
KEYS = st.text() | st.binary() | st.integers(-(2**31), 2**31 - 1)
LEAVES = st.none() | st.booleans() | st.floats(allow_nan=False) | KEYS | st.integers(-(2**100), 2**100)
PLAIN = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.tuples(inner) | st.tuples(inner, inner, inner, inner)
    | st.dictionaries(KEYS, inner), max_leaves=30)


def load(data, allowed=(), **options):
    return unpickle.load(data, where="test.pkl", allowed=allowed, **options)


def p(*parts: bytes) -> bytes:
    return b"\x80\x04" + b"".join(parts)


@SLOW_MACHINE
@given(PLAIN, st.sampled_from([2, 3, 4, 5]))
def test_reads_what_python_writes(value, protocol):
    try:
        data = pickle.dumps(value, protocol)
    except UnicodeEncodeError:
        return
    if protocol == 2 and (b"c_codecs\n" in data or b"c__builtin__\n" in data):  # bytes in protocol 2 are a call
        with pytest.raises(UnsafeFileError, match=r"_codecs\.encode|__builtin__\.bytes"):
            load(data)
    else:
        assert load(data) == value


def test_reads_the_tokenizer_of_the_reference():
    path = parity("tokenizer_600/tokenizer.pkl")
    record = load(path.read_bytes(), {"tiktoken.core.Encoding"})
    assert (type(record), record.name, record.args, record.how) == (Record, "tiktoken.core.Encoding", (), "new")
    assert list(record.state) == ["name", "pat_str", "mergeable_ranks", "special_tokens"]
    assert record.state["mergeable_ranks"][b"\x00"] == 0
    with pytest.raises(UnsafeFileError, match=r"tokenizer\.pkl|tiktoken\.core\.Encoding"):
        load(path.read_bytes())


def test_ordered_dicts_become_dicts():
    ordered = OrderedDict(a=1, b=[2])
    assert load(pickle.dumps(ordered, 4), {"collections.OrderedDict"}) == {"a": 1, "b": [2]}
    ordered._metadata = OrderedDict()  # as a module's state_dict has it
    assert load(pickle.dumps(ordered, 2), {"collections.OrderedDict"}) == {"a": 1, "b": [2]}
    with pytest.raises(UnsafeFileError):
        load(pickle.dumps(ordered, 2))


def test_calls_become_records():
    data = b"\x80\x02cmodule\nname\nq\x00K\x01\x85Rq\x01}X\x01\x00\x00\x00aK\x02sb."
    assert load(data, {"module.name"}) == Record("module.name", (1,), {"a": 2})
    assert load(data, {"module.name"}).how == "call"
    assert load(b"cmodule\nname\n.", {"module.name"}) == Global("module.name")


def test_persistent_ids_are_asked_for():
    assert load(p(b"K\x07Q."), persistent=lambda value: value + 1) == 8
    with pytest.raises(UnsafeFileError, match="outside of itself"):
        load(p(b"K\x07Q."))


@pytest.mark.parametrize("data", [
    b"", b".", b"\x80", b"\x80\x04", b"\x80\x06N.", b"N", b"NN.", b"(.", b"(N.", b"NN\x80\x04.", b"t.", b"\x85.", b"a.",
    b"]a.", b"Na.", b"]NNa.", b"}Ns.", b"}NNs.", b"}(Nu.", b"}(NNu.", b"})Ns.", b"}(]Nu.", b"R.", b"NR.", b")R.",
    b"b.", b"Nb.", b"}}b", b"]}b.", b"h\x00.", b"q\x00.", b"\x94.", b"X\x05\x00\x00\x00ab.", b"X\x01\x00\x00\x00\xff.",
    b"X\xff\xff\xff\xffab.", b"\x8d" + b"\xff" * 8 + b".", b"\x8e" + b"\xff" * 8 + b".", b"B\xff\xff\xff\xff.",
    b"C\x05a.", b"\x95" + b"\xff" * 8 + b"N.", b"\x8a\x05a.", b"G\x00.", b"J\x00.", b"M\x00.", b"c", b"cos", b"cos\n",
    b"c\xff\nx\n.", b"NN\x93.", b"\xff.", b"\x00.", b"N.N", b"}(X\x01\x00\x00\x00aNX\x01\x00\x00\x00aNu.",
    b"}X\x01\x00\x00\x00aNsX\x01\x00\x00\x00aNs.", b"c" + b"a" * 1000 + b"\nb\n.", b"}(G" + bytes(8) + b"Nu.",
])
def test_damage_is_named(data):
    with pytest.raises(DamagedFileError, match=r"test\.pkl"):
        load(data)


GADGETS = ["os.system", "posix.system", "nt.system", "builtins.eval", "builtins.exec", "__builtin__.eval",
           "subprocess.Popen", "runpy._run_code", "pty.spawn", "torch.hub.load", "torch.load", "pickle.loads",
           "operator.attrgetter", "functools.partial", "builtins.getattr", "importlib.import_module", "_codecs.encode"]


@pytest.mark.parametrize("name", GADGETS)
def test_names_are_refused_by_name(name):
    module, _, attribute = name.rpartition(".")
    text = [b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, attribute)]
    for call in (b"\x8c\x04true\x85R.", b")\x81.", b".", b"}b."):
        for made in (f"c{module}\n{attribute}\n".encode(), text[0] + text[1] + b"\x93"):
            with pytest.raises(UnsafeFileError, match=name.replace(".", r"\.")):
                load(p(made, call), {"tiktoken.core.Encoding"})


@pytest.mark.parametrize("data", [
    b"(X\x02\x00\x00\x00idios\nsystem\n.", b"(cos\nsystem\nX\x02\x00\x00\x00ido.", b")}\x92.", b"\x82\x01.",
    b"\x83\x01\x00.", b"\x84\x01\x00\x00\x00.", b"Pid\n.", b"\x8f(N\x90.", b"(N\x91.", b"\x96" + bytes(8) + b".",
    b"\x97.", b"\x98.", b"I1\n.", b"L1L\n.", b"F1\n.", b"S'a'\n.", b"Va\n.", b"T\x01\x00\x00\x00a.", b"U\x01a.",
    b"N0.", b"(1.", b"N2.", b"g0\n.", b"p0\n.", b"(d.", b"(l.", b"\x8b\xff\xff\xff\x7f.",
    b"\x8a\xff" + bytes(255) + b".", b"N)R.", b"N)\x81.",
])
def test_other_opcodes_are_refused(data):
    with pytest.raises(UnsafeFileError, match=r"test\.pkl"):
        load(p(data), {"tiktoken.core.Encoding"})


def test_bombs_are_refused():
    deep = b"]" * 100_000 + b"a" * 99_999 + b"."
    laughs = b"(]q\x00" + b"".join(b"](" + b"h%c" % i * 10 + b"eq%c" % (i + 1) for i in range(60)) + b"t."
    cycle = b"]q\x00h\x00a."
    objects = b"}" * 1_900_000 + b"."
    marks = b"(" * 100_000 + b"."
    collide = b"}(" + b"".join(b"\x8a\x10" + (i * (2**61 - 1)).to_bytes(16, "little") + b"N" for i in (1, 2)) + b"u."
    numbers = b"}(" + b"".join(b"J" + i.to_bytes(4, "little") + b"N" for i in range(20_000)) + b"u."
    long = b"N" * 100 + b"."
    tuples = b")" + b"\x85" * 100_000 + b"."
    for data in (deep, laughs, cycle, objects, marks, collide, numbers, tuples):
        with pytest.raises(UnsafeFileError):
            load(p(data))
    for options in ({"max_opcodes": 50}, {"max_bytes": 50}):
        with pytest.raises(UnsafeFileError):
            load(p(long), **options)
    # remembering under a huge number costs nothing: CPython's reader takes 2 GiB for these nine bytes
    assert load(b"Nr\xff\xff\xff\x7f.") is None


def test_shared_values_are_fine():
    shared = (1, 2)
    assert load(pickle.dumps([shared] * 1000, 4)) == [shared] * 1000


@SLOW_MACHINE
@given(st.binary(max_size=200))
def test_bytes_of_any_kind_raise_nothing_else(data):
    for prefix in (b"", b"\x80\x02", b"\x80\x04"):
        with contextlib.suppress(NanochatError):
            load(prefix + data + b".", {"collections.OrderedDict", "a.b"})


OPCODES = [bytes([code]) for code in b"().NK]}(aesutRb\x81\x85\x86\x87\x93\x94hqcQ"]
OPCODES += [b"\x8c\x01a", b"\x8c\x01b", b"ca\nb\n", b"K\x01", b"h\x00", b"C\x01x"]


@SLOW_MACHINE
@given(st.lists(st.sampled_from(OPCODES), max_size=60))
def test_opcodes_of_any_order_raise_nothing_else(parts):
    with contextlib.suppress(NanochatError):
        load(b"\x80\x04" + b"".join(parts) + b".", {"a.b", "collections.OrderedDict"}, persistent=lambda value: 1)


@SLOW_MACHINE
@given(st.data())
def test_mutated_files_raise_nothing_else(data):
    good = bytearray(pickle.dumps({"a": [1, 2.5, "x" * 20], b"k": {"n": (None, True)}}, data.draw(st.integers(2, 5))))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(NanochatError):
        load(bytes(good)[: data.draw(st.integers(0, len(good)))], {"_codecs.encode"})


def test_takes_views_and_says_where():
    assert load(memoryview(pickle.dumps([1], 4))) == [1]
    with pytest.raises(DamagedFileError, match="byte 2 of 2"):
        load(b"\x80\x04")
    assert load(b"\x80\x04G" + struct.pack(">d", 1.5) + b".") == 1.5

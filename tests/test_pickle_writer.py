"""The pickle writer: Python's own reader and ours get back what was written."""

import io
import pickle

import pytest
import tiktoken
from fixture_files import parity
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pynanochat import pickle_writer, unpickle
from pynanochat.pickle_writer import EMPTY_ORDERED_DICT, Persistent, dumps
from pynanochat.unpickle import Global, Record

SLOW_MACHINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
LEAVES = st.none() | st.booleans() | st.floats(allow_nan=False) | TEXT | st.integers(-(2**127), 2**127 - 1)


def plain(leaves):
    keys = TEXT | st.integers(-(2**31), 2**31 - 1)
    return st.recursive(leaves, lambda inner: st.lists(inner) | st.lists(inner, max_size=5).map(tuple)
                        | st.dictionaries(keys, inner), max_leaves=30)


def same(left, right):
    return repr(left) == repr(right)  # 1 == True == 1.0 is too weak


@SLOW_MACHINE
@given(plain(LEAVES | st.binary()))
def test_both_readers_agree_in_protocol_4(value):
    data = dumps(value)
    assert same(pickle.loads(data), value)
    assert same(unpickle.load(data, where="", allowed=()), value)
    assert dumps(value) == data


@SLOW_MACHINE
@given(plain(LEAVES))
def test_both_readers_agree_in_protocol_2(value):
    data = dumps(value, protocol=2)
    assert same(pickle.loads(data), value)
    assert same(unpickle.load(data, where="", allowed=()), value)


@pytest.mark.parametrize("value", [b"x" * 255, b"x" * 256, "x" * 255, "é" * 128, "x" * 70000, 255, 256, 65535, 65536,
                                   -1, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**63, -(2**127), (1, 2, 3, 4)])
def test_edges(value):
    assert same(pickle.loads(dumps(value)), value)


def test_tiktoken_reads_an_encoding():
    path = parity("tokenizer_600/tokenizer.pkl")
    record = unpickle.load(path.read_bytes(), where="", allowed={"tiktoken.core.Encoding"})
    encoding = pickle.loads(dumps(record))
    assert isinstance(encoding, tiktoken.Encoding)
    assert encoding._mergeable_ranks == record.state["mergeable_ranks"]
    assert encoding.encode_ordinary("Hello world") == pickle.loads(path.read_bytes()).encode_ordinary("Hello world")


@pytest.mark.parametrize("protocol", [2, 4])
def test_records_and_persistent_ids(protocol):
    value = {"call": Record("fractions.Fraction", (1, 2), None, "call"), "empty": EMPTY_ORDERED_DICT,
             "name": Global("fractions.Fraction"), "far": Persistent(("storage", 7))}

    class Reader(pickle.Unpickler):
        def persistent_load(self, key):
            return ("found", key)

    read = Reader(io.BytesIO(dumps(value, protocol=protocol))).load()
    assert repr(read["call"]) == "Fraction(1, 2)"
    assert read["empty"] == {}
    assert read["name"].__name__ == "Fraction"
    assert read["far"] == ("found", ("storage", 7))
    ours = unpickle.load(dumps(value, protocol=protocol), where="", persistent=lambda key: key,
                         allowed={"fractions.Fraction", "collections.OrderedDict"})
    assert ours == {**value, "empty": {}, "far": ("storage", 7)}
    assert ours["call"].how == "call"


def test_new_with_state():
    data = dumps(Record("types.SimpleNamespace", (), {"a": 1}))
    assert pickle.loads(data).a == 1


@pytest.mark.parametrize(("value", "protocol"), [
    (object(), 4), ({1, 2}, 4), (b"x", 2), (2**200, 4), (Global("nodot"), 4), (Global("a\nb.c"), 2), ("\ud800", 4),
    (1j, 4)])
def test_what_cannot_be_written(value, protocol):
    with pytest.raises(ValueError):
        dumps(value, protocol=protocol)


def test_limits():
    deep = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(ValueError, match="64 deep"):
        dumps(deep)
    with pytest.raises(ValueError, match="protocol"):
        pickle_writer.dumps(1, protocol=3)

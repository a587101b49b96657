"""Server-sent events come out whole, wherever the network cuts their bytes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynanochat.contract.events import Event, EventDecoder

CASES = {
    b"data: a\n\n": [("", "a")],
    b"data:a\r\n\r\ndata: b\r\rdata:  c\n\n": [("", "a"), ("", "b"), ("", " c")],
    b"\xef\xbb\xbfdata: a\n\n": [("", "a")],
    b": ping\n\nevent: x\nid: 7\nretry: 3\ndata: one\ndata: two\n\ndata: three\n\n": [("x", "one\ntwo"), ("", "three")],
    b"event: lonely\n\ndata\n\n": [("", "")],
    "data: grüße 🐶\n\n".encode(): [("", "grüße 🐶")],
    b'data: {"a": "data: x\\n\\n"}\n\n': [("", '{"a": "data: x\\n\\n"}')],
    b"data: cut": [],
    b"data: \xff\n\n": [("", "\ufffd")],
}


@pytest.mark.parametrize("data", CASES)
def test_events(data):
    assert EventDecoder().push(data) == CASES[data]


PARTS = [b"data: a", b"data:\xc3\xbc", b"event: e", b": c", b"\n", b"\r", b"\r\n", b"\n\n", b"x"]


@given(st.lists(st.sampled_from(PARTS)), st.lists(st.integers(0, 40)))
def test_any_cut_gives_the_same_events(parts, cuts):
    data = b"".join(parts)
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    whole, cut = EventDecoder(), EventDecoder()
    pieces = [event for start, end in pairwise(places) for event in cut.push(data[start:end])]
    assert pieces == whole.push(data)
    assert cut.unfinished == whole.unfinished


def test_byte_by_byte():
    decoder, found = EventDecoder(), []
    for byte in "event: e\r\ndata: grüße 🐶\r\ndata: 2\r\n\r\n".encode():
        found += decoder.push(bytes([byte]))
    assert found == [Event("e", "grüße 🐶\n2")]
    assert not decoder.unfinished


def test_an_event_that_has_begun_is_unfinished():
    decoder = EventDecoder()
    decoder.push(b"data: a\n")
    assert decoder.unfinished
    decoder.push(b"\n")
    assert not decoder.unfinished

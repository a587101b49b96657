"""Detokenizer: the same text however the tokens come, whole characters only, cut at the first stop string."""

import json
import time

import pytest
from fixture_files import parity
from fuzzing import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from pynanochat.detokenizer import Detokenizer
from pynanochat.errors import PolicyError, TokenizerError
from pynanochat.tokenizer import SPECIAL_TOKENS, Tokenizer

QUICK = settings(max_examples=examples(250), deadline=None)
MERGES = [b"ab", b"aba", b"\n\n", "é".encode(), b"\xf0\x9f", b"b\xf0", b"\x98\x80a", b"<|", b"aa"]
TOKENS = [bytes([byte]) for byte in range(256)] + MERGES
TINY = Tokenizer({token: rank for rank, token in enumerate(TOKENS)},
                 {name: len(TOKENS) + at for at, name in enumerate(SPECIAL_TOKENS)})
INTERESTING = [*range(256, TINY.vocab_size), *b"aabbc\n<|\xc3\xa9\xf0\x9f\x98\x80\xe2\x82\xed\xa0\xff\xc0"]
ids = st.lists(st.sampled_from(INTERESTING) | st.integers(0, TINY.vocab_size - 1), max_size=30)
chunked = st.lists(ids, max_size=8)
stops = st.lists(st.text("ab\né😀\ufffd<|", min_size=1, max_size=5), max_size=4)


def run(chunks, stop=(), **options):
    detokenizer = Detokenizer(TINY, stop, **options)
    pieces = [detokenizer.push(chunk) for chunk in chunks]
    return [*pieces, detokenizer.flush()], detokenizer


def cut(text, stop):
    """By the definition, slowly: the first end of any stop string, and of those that end there the longest."""
    for end in range(1, len(text) + 1):
        found = [word for word in stop if text[:end].endswith(word)]
        if found:
            longest = max(found, key=len)
            return text[: end - len(longest)], longest
    return text, None


@given(chunked, st.booleans())
@QUICK
def test_pieces_make_the_decoded_text(chunks, skip_special):
    whole = [token for chunk in chunks for token in chunk]
    pieces, detokenizer = run(chunks, skip_special=skip_special)
    assert "".join(pieces) == (TINY.decode_skip_special(whole) if skip_special else TINY.decode(whole))
    assert not detokenizer.stopped


@given(chunked, stops)
@settings(QUICK, max_examples=examples(500))
def test_text_ends_before_the_first_stop_string(chunks, stop):
    whole = TINY.decode_skip_special(token for chunk in chunks for token in chunk)
    expected, reason = cut(whole, stop)
    pieces, detokenizer = run(chunks, stop)
    assert "".join(pieces) == expected
    assert detokenizer.stop_reason == reason
    assert detokenizer.stopped == (reason is not None)
    one_by_one, _ = run([[token] for chunk in chunks for token in chunk], stop)
    assert "".join(one_by_one) == expected


@given(chunked, stops)
@QUICK
def test_nothing_is_held_back_longer_than_needed(chunks, stop):
    """After each push only a beginning of a stop string, or of a character, may be missing."""
    detokenizer, out, seen = Detokenizer(TINY, stop), "", []
    for chunk in chunks:
        seen += chunk
        out += detokenizer.push(chunk)
        if detokenizer.stopped:
            break
        text = TINY.decode_skip_special(seen)
        missing = text[len(out):]
        text_known = missing.rstrip("\ufffd")  # an unfinished character at the end shows as one
        assert any(word.startswith(rest) for word in ["", *stop] for rest in (missing, text_known)), (missing, stop)


def test_a_character_comes_when_it_is_whole():
    detokenizer = Detokenizer(TINY)
    assert [detokenizer.push([byte]) for byte in "é😀".encode()] == ["", "é", "", "", "", "😀"]
    assert detokenizer.push([0xE2, 0x82]) == ""
    assert detokenizer.flush() == "\ufffd"
    assert detokenizer.flush() == ""


def test_stop_strings_step_by_step():
    detokenizer = Detokenizer(TINY, ["END", "STOP!"])
    pushed = [detokenizer.push([byte]) for byte in b"a SEND more"]
    assert pushed == ["a", " ", "", "S", "", "", "", "", "", "", ""]
    assert (detokenizer.stopped, detokenizer.stop_reason, detokenizer.flush()) == (True, "END", "")
    detokenizer = Detokenizer(TINY, "END")
    assert detokenizer.push(b"xEN") == "x"
    assert not detokenizer.stopped
    assert detokenizer.flush() == "EN"
    detokenizer = Detokenizer(TINY, ["\ufffd"])
    assert detokenizer.push([97, 0xC3]) == "a"
    assert detokenizer.flush() == ""
    assert detokenizer.stop_reason == "\ufffd"


def test_special_tokens_are_shown_on_demand():
    bos = TINY.bos
    assert Detokenizer(TINY).push([97, bos, 98]) == "ab"
    assert Detokenizer(TINY, skip_special=False).push([97, bos, 98]) == "a<|bos|>b"
    assert Detokenizer(TINY, ["|bos"], skip_special=False).push([97, bos, 98]) == "a<"


def test_bad_input_is_refused():
    for stop in ([""], [None], [b"a"], ""):
        with pytest.raises(PolicyError, match="stop string"):
            Detokenizer(TINY, stop)
    for skip_special in (True, False):
        detokenizer = Detokenizer(TINY, skip_special=skip_special)
        with pytest.raises(TokenizerError):
            detokenizer.push([97, TINY.vocab_size])
        with pytest.raises(TokenizerError):
            detokenizer.push([-1])
        assert detokenizer.push([97]) == "a"


def test_time_is_linear_where_all_is_nearly_a_stop_string():
    stop = ["a" * 50_000 + "b", "a" * 49_999 + "c"]
    detokenizer = Detokenizer(TINY, stop)
    started = time.perf_counter()
    out = "".join(detokenizer.push([97]) for _ in range(150_000))
    assert time.perf_counter() - started < 10
    assert out == "a" * 100_000
    assert detokenizer.push([99]) == "a"
    assert detokenizer.stop_reason == stop[1]


@pytest.mark.parametrize("size", [600, 512])
def test_upstream_texts_token_by_token(size):
    tokenizer = Tokenizer.load(parity(f"tokenizer_{size}"))
    cases = json.loads(parity(f"tokenizer_cases_{size}.json").read_text())
    for case in cases["decode"]:
        detokenizer = Detokenizer(tokenizer, skip_special=False)
        assert "".join(detokenizer.push([token]) for token in case["ids"]) + detokenizer.flush() == case["text"]


def test_of_two_stops_that_complete_together_the_longer_counts():
    tokenizer = Tokenizer.load(parity("tokenizer_600"))
    for stops in (("lo", "hello"), ("hello", "lo")):
        detokenizer = Detokenizer(tokenizer, stops)
        assert detokenizer.push(list(b"say hello you")) + detokenizer.flush() == "say "
        assert detokenizer.stop_reason == "hello"

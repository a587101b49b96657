"""Tokenizer: upstream's ids, exactly and in linear time."""

import copy
import json
import threading
import time

import numpy as np
import pytest
from fixture_files import parity
from fuzzing import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from pynanochat.errors import TokenizerError
from pynanochat.pretokenizer import KNOWN_PATTERNS, PATTERN
from pynanochat.tokenizer import SPECIAL_TOKENS, Tokenizer

QUICK = settings(max_examples=examples(300), deadline=None)
MERGES = [b"  ", b"    ", b" a", b"ab", b"\n\n", b" \n", b"\t\t", b"\xc2\xa0", b"   ", b"\xe3\x80", b"\r\n", b"!!",
          b"12", b"\xf0\x9f", b"\xf0\x9f\x98", b"aa", b"aaaa", b"'s", b" !", b"\xcc\x81"]
SIZES = pytest.mark.parametrize("size", [600, 512])


def tiny(*, pattern=PATTERN):
    """A tokenizer that needs no fixture, with merges of blanks."""
    tokens = [bytes([byte]) for byte in range(256)] + MERGES
    special = {name: len(tokens) + at for at, name in enumerate(SPECIAL_TOKENS)}
    return Tokenizer({token: rank for rank, token in enumerate(tokens)}, special, pattern=pattern)


def cases(size):
    return json.loads(parity(f"tokenizer_cases_{size}.json").read_text())


def loaded(size):
    return Tokenizer.load(parity(f"tokenizer_{size}/tokenizer.pkl"))


# upstream's results


@SIZES
def test_encode_and_decode_as_upstream(size):
    tokenizer, expected = loaded(size), cases(size)
    for case in expected["encode"]:
        assert tokenizer.encode(case["text"]) == case["ids"], case["text"]
        if case["roundtrip"]:
            assert tokenizer.decode(case["ids"]) == case["text"]
    for case in expected["encode_lone_surrogates"]:
        ids = tokenizer.encode("".join(map(chr, case["text_codepoints"])))
        assert ids == case["ids"]
        assert tokenizer.decode(ids) == case["decoded"]
    for case in expected["decode"]:
        assert tokenizer.decode(case["ids"]) == case["text"]
        assert tokenizer.decode_bytes(np.array(case["ids"], np.int32)).hex() == case["bytes_hex"]
    assert tokenizer.decode_batch([case["ids"] for case in expected["decode"]]) == [
        case["text"] for case in expected["decode"]]
    for case in expected["encode_options"]:
        encode = tokenizer.encode if isinstance(case["text"], str) else tokenizer.encode_batch
        assert encode(case["text"], prepend=case["prepend"], append=case["append"]) == case["ids"]


@SIZES
def test_vocabulary_as_upstream(size):
    tokenizer = loaded(size)
    expected = json.loads(parity(f"tokenizer_{size}/vocab_expected.json").read_text())
    assert tokenizer.vocab_size == expected["n_vocab"] == size
    assert tokenizer.bos == expected["bos_id"]
    assert dict(tokenizer.special_tokens) == expected["special_tokens"]
    assert tokenizer.pattern == expected["pat_str"]
    assert [tokenizer.id_to_token(token) for token in range(size)] == expected["token_str"]
    assert [tokenizer.decode_bytes([token]).hex() for token in range(size)] == expected["token_hex"]
    assert tokenizer.token_bytes() == expected["raw_bytes"]
    assert [tokenizer.is_special(token) for token in range(size)] == [token >= size - 9 for token in range(size)]


def test_names_and_ids():
    tokenizer = tiny()
    assert tokenizer.encode_with_bos("ab") == [tokenizer.bos, *tokenizer.encode("ab")]
    assert tokenizer.token_to_id("ab") == 259
    assert tokenizer.token_to_id("<|bos|>") == tokenizer.bos
    assert tokenizer.token_to_id("no token") is None
    assert tokenizer.token_to_id("\ud800") is None
    assert tokenizer.decode([tokenizer.bos, 97]) == "<|bos|>a"
    assert tokenizer.decode_skip_special([tokenizer.bos, 97, tokenizer.bos, 98]) == "ab"
    assert list(tokenizer.ranks.items())[-1] == (MERGES[-1], len(tokenizer.ranks) - 1)


@given(st.lists(st.sampled_from([*SPECIAL_TOKENS, "<|", "|>", "bos", " ", "\n", "\ud83d", "\ude00", "é"])))
@QUICK
def test_text_never_makes_a_special_token(pieces):
    text = "".join(pieces)
    tokens = TINY.encode(text)
    assert not any(map(TINY.is_special, tokens))
    assert TINY.decode_skip_special(tokens) == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def test_ids_are_taken_strictly():
    tokenizer = tiny()
    assert tokenizer.decode([np.int64(97), np.uint8(98)]) == "ab"
    for bad in [-1, tokenizer.vocab_size, 1 << 70, -(10**5000), True, 97.0, "a", None, np.float32(97), np.bool_(True)]:
        for take in (tokenizer.decode_bytes, tokenizer.decode, tokenizer.decode_skip_special):
            with pytest.raises(TokenizerError):
                take([97, bad])
        with pytest.raises(TokenizerError):
            tokenizer.id_to_token(bad)
        if bad is not None and bad != "a":
            with pytest.raises(TokenizerError):
                tokenizer.encode("a", append=bad)
    for bad in (None, b"a", 5, ["a"]):
        with pytest.raises(TokenizerError):
            tokenizer.encode(bad)
    with pytest.raises(TokenizerError, match="list of texts"):
        tokenizer.encode_batch("ab")
    with pytest.raises(TokenizerError, match=r"<\|nothing\|>.*<\|bos\|>"):
        tokenizer.encode_special("<|nothing|>")
    with pytest.raises(TokenizerError):
        tokenizer.encode("a", prepend="<|nothing|>")


# exactly tiktoken, in linear time

def cutting(pattern, long_run):
    tokenizer = tiny(pattern=pattern)
    tokenizer._long_run = long_run
    return tokenizer


TINY = tiny()
CUTTING = {
    (pattern, long_run): cutting(pattern, long_run) for pattern in KNOWN_PATTERNS for long_run in (1, 2, 3, 4, 12)}
BLANKS = " \t\x0b\x0c\x85\xa0\u1680\u2003\u2028\u2029\u202f\u205f\u3000"
ALPHABET = BLANKS + "      \n\n\r\x1c\x1f\u180e\u200b\ufeff" + "ab1!'sL\u0301é日😀²\ud83d\ude00"


@given(st.text(ALPHABET, max_size=40), st.integers(1, 4), st.sampled_from(KNOWN_PATTERNS))
@settings(QUICK, max_examples=examples(1000))
def test_cutting_long_runs_changes_no_token(text, long_run, pattern):
    tokenizer = CUTTING[pattern, long_run]
    assert tokenizer.encode(text) == tokenizer._encoding.encode_ordinary(text)


@given(st.lists(st.tuples(st.sampled_from(["a", "!", "1", "\n", "\r\n", "", "'s", "\u0301"]),
                          st.sampled_from([" ", "\t", "\u3000", " \t", "\x1c"]), st.integers(1, 30)), max_size=8))
@QUICK
def test_cut_borders(parts):
    text = "".join(head + blank * count for head, blank, count in parts)
    tokenizer = CUTTING[PATTERN, 12]
    for end in range(len(text), max(0, len(text) - 3), -1):
        assert tokenizer.encode(text[:end]) == tokenizer._encoding.encode_ordinary(text[:end])


@given(st.text())
@QUICK
def test_any_text_as_tiktoken(text):
    assert TINY.encode(text) == TINY._encoding.encode_ordinary(text)


MB = 1_000_000
HOSTILE = {
    "letters": "a" * MB, "spaces": " " * MB, "spaces then a letter": " " * MB + "a", "tabs": "\t" * MB,
    "spaces then a line end": " " * MB + "\n", "newlines": "\n" * MB, "marks": "e" + "\u0301" * (MB // 2),
    "emoji": "😀" * (MB // 4), "digits": "1" * MB, "symbols": "!" * MB, "ab": "ab" * (MB // 2),
    "spaces in turns": (" " * 60_000 + "x") * (MB // 60_000),
    "latin-1": bytes(range(256)).decode("latin-1") * (MB // 400),
    "blanks and lines": " \n\t\r\u3000" * (MB // 7), "almost long": (" " * 49_999 + "\n") * 20,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_does_not_hang(name):
    text = HOSTILE[name]
    started = time.perf_counter()
    tokens = TINY.encode(text)
    assert time.perf_counter() - started < 10
    assert TINY.decode(tokens) == text


def test_the_panic_of_a_regex_engine_becomes_an_error():
    class PanicException(BaseException):
        pass

    class Broken:
        def __init__(self, error):
            self.error = error

        def encode_ordinary(self, text):
            raise self.error

    tokenizer = copy.copy(TINY)
    tokenizer._encoding = Broken(PanicException("StackOverflow"))
    with pytest.raises(TokenizerError, match="cannot encode a text of 2 characters"):
        tokenizer.encode("ab")
    tokenizer._encoding = Broken(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        tokenizer.encode("ab")


def test_threads_share_a_tokenizer():
    texts = [f"a {n} !! " * 50 for n in range(20)]
    expected = [TINY.encode(text) for text in texts]
    wrong = []

    def work():
        if [TINY.encode(text) for text in texts] != expected:
            wrong.append(threading.get_ident())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_tokenizer_without_special_tokens_says_so():
    plain = Tokenizer({bytes([byte]): byte for byte in range(256)}, {})
    assert plain.encode("ab") == [97, 98]
    with pytest.raises(TokenizerError, match=r"<\|bos\|>.*none"):
        plain.encode_with_bos("a")

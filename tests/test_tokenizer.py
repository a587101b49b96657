"""Tokenizer: upstream's ids, exactly and in linear time; files read as data or refused in one line."""

import copy
import json
import pickle
import threading
import time

import numpy as np
import pytest
from conftest import parity
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pynanochat import pickle_writer
from pynanochat.errors import DamagedFileError, NanochatError, TokenizerError, UnsafeFileError
from pynanochat.pretokenizer import KNOWN_PATTERNS, PATTERN
from pynanochat.tokenizer import SPECIAL_TOKENS, Tokenizer
from pynanochat.unpickle import Record

QUICK = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
@settings(QUICK, max_examples=1000)
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


# files


def test_saved_files_load_again(tmp_path):
    assert TINY.save(tmp_path / "new" / "folder").name == "tokenizer.json"
    TINY.save_pickle(tmp_path)
    for path in (tmp_path / "new" / "folder", tmp_path, tmp_path / "tokenizer.pkl"):
        again = Tokenizer.load(path)
        assert (dict(again.ranks), dict(again.special_tokens)) == (dict(TINY.ranks), dict(TINY.special_tokens))
        assert again.encode("aaaa  ab <|bos|>") == TINY.encode("aaaa  ab <|bos|>")
    encoding = pickle.loads((tmp_path / "tokenizer.pkl").read_bytes())  # as upstream does
    assert encoding.encode_ordinary("aaaa  ab") == TINY.encode("aaaa  ab")
    assert encoding.n_vocab == TINY.vocab_size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "tokenizer.pkl"]
    copied = pickle.loads(pickle.dumps(TINY))
    assert copied.encode("a  b") == TINY.encode("a  b")


def test_json_is_what_transformers_writes(tmp_path):
    converted = parity("hf/tokenizer_600_converted/tokenizer.json")
    tokenizer = loaded(600)
    assert tokenizer.save(tmp_path).read_bytes() == converted.read_bytes()
    from_json = Tokenizer.load(converted.parent)
    assert (from_json.ranks, from_json.special_tokens) == (tokenizer.ranks, tokenizer.special_tokens)
    assert from_json.encode("<|bos|> hello") == tokenizer.encode("<|bos|> hello")


def test_a_folder_with_both_gives_the_json(tmp_path):
    TINY.save(tmp_path)
    (tmp_path / "tokenizer.pkl").write_bytes(b"not read")
    assert Tokenizer.load(tmp_path).vocab_size == TINY.vocab_size
    assert Tokenizer.load(str(tmp_path / "tokenizer.json")).vocab_size == TINY.vocab_size


def test_variants_of_json_that_mean_the_same(tmp_path):
    path = TINY.save(tmp_path)
    file = json.loads(path.read_text())
    vocab = file["model"]["vocab"]
    file["model"]["merges"] = [" ".join(pair) for pair in file["model"]["merges"]]  # older files
    vocab.update(TINY.special_tokens)  # files of other tools list them twice
    file["post_processor"] = None
    path.write_text(json.dumps(file))
    assert dict(Tokenizer.load(path).ranks) == dict(TINY.ranks)


def refused(path, kind, match):
    with pytest.raises(kind, match=match) as caught:
        Tokenizer.load(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500 + len(str(path))


def edit(change):
    def edited(file):
        change(file)
        return json.dumps(file)

    return edited


JSON_REFUSED = {
    "no json": (lambda file: "{", DamagedFileError, "not valid JSON"),
    "cut": (lambda file: json.dumps(file)[:-9], DamagedFileError, "not valid JSON"),
    "empty": (lambda file: "", DamagedFileError, "not valid JSON"),
    "not utf-8": (lambda file: b"\xff\xfe{}", DamagedFileError, "UTF-8"),
    "nested": (lambda file: "[" * 200_000, UnsafeFileError, "nested"),
    "nested normalizer": (
        lambda file: '{"normalizer":' + "[" * 200_000 + "]" * 200_000 + "}", UnsafeFileError, "nested"),
    "long number": (lambda file: '{"model": ' + "9" * 5000 + "}", DamagedFileError, "JSON"),
    "list": (lambda file: "[]", TokenizerError, "layout"),
    "duplicate": (lambda file: '{"model": 1, "model": 2}', TokenizerError, "twice"),
    "duplicate token": (
        lambda file: json.dumps(file).replace('"vocab": {', '"vocab": {"ab": 5, ', 1), TokenizerError, "'ab' twice"),
    "no model": (edit(lambda file: file.pop("model")), TokenizerError, "model"),
    "float id": (edit(lambda file: file["model"]["vocab"].update(ab=1.5)), TokenizerError, "vocab"),
    "huge id": (edit(lambda file: file["model"]["vocab"].update(ab=10**400)), TokenizerError, "(?i)int|digits"),
    "negative id": (edit(lambda file: file["model"]["vocab"].update(ab=-1)), TokenizerError, "rank -1"),
    "id taken": (edit(lambda file: file["model"]["vocab"].update(ab=97)), TokenizerError, "rank 97"),
    "hole": (edit(lambda file: file["model"]["vocab"].pop("ab")), TokenizerError, "out of range"),
    "no byte": (edit(lambda file: file["model"]["vocab"].update(zzzz=file["model"]["vocab"].pop("z"))),
                TokenizerError, "0x7a"),
    "strange character": (edit(lambda file: file["model"]["vocab"].update({"\ud800": 300})), TokenizerError, "no byte"),
    "unigram": (edit(lambda file: file["model"].update(type="Unigram")), TokenizerError, "model.type"),
    "dropout": (edit(lambda file: file["model"].update(dropout=0.1)), TokenizerError, "dropout"),
    "normalizer": (edit(lambda file: file.update(normalizer={"type": "NFC"})), TokenizerError, "normalizer"),
    "prefix": (edit(lambda file: file["model"].update(continuing_subword_prefix="##")), TokenizerError, "prefix"),
    "decoder": (edit(lambda file: file.update(decoder={"type": "WordPiece"})), TokenizerError, "decoder"),
    "pattern": (edit(lambda file: file["pre_tokenizer"]["pretokenizers"][0].update(pattern={"Regex": "(a+)+$"})),
                TokenizerError, "pattern"),
    "no split": (edit(lambda file: file["pre_tokenizer"]["pretokenizers"].pop(0)), TokenizerError, "pre_tokenizer"),
    "add_prefix_space": (edit(lambda file: file["pre_tokenizer"]["pretokenizers"][1].update(add_prefix_space=True)),
                         TokenizerError, "pre_tokenizer"),
    "merge order": (edit(lambda file: file["model"]["merges"].reverse()), TokenizerError, "higher id"),
    "merge missing": (edit(lambda file: file["model"]["merges"].pop(0)), TokenizerError, "no merge makes token 256"),
    "merge unknown": (edit(lambda file: file["model"]["merges"].append(["q", "q"])), TokenizerError, "unknown"),
    "merge alone": (edit(lambda file: file["model"]["merges"].append("q")), TokenizerError, "no merge"),
    "merge triple": (edit(lambda file: file["model"]["merges"].append(["a", "b", "c"])), TokenizerError, "merges"),
    "special id": (edit(lambda file: file["added_tokens"][0].update(id=999)), TokenizerError, "special tokens"),
    "special taken": (edit(lambda file: file["added_tokens"][0].update(id=97)), TokenizerError, "special tokens"),
    "special twice": (edit(lambda file: file["added_tokens"].append(file["added_tokens"][0])), TokenizerError, "twice"),
    "not special": (edit(lambda file: file["added_tokens"][0].update(special=False)), TokenizerError, "not special"),
    "bad name": (edit(lambda file: file["added_tokens"][0].update(content="\ud800")), TokenizerError, "Unicode"),
}


@pytest.mark.parametrize("name", JSON_REFUSED)
def test_json_that_is_refused(name, tmp_path):
    make, kind, match = JSON_REFUSED[name]
    path = TINY.save(tmp_path)
    made = make(json.loads(path.read_text()))
    path.write_bytes(made if isinstance(made, bytes) else made.encode())
    refused(path, kind, match)


def encoding_state(**changes):
    state = {"name": "rustbpe", "pat_str": PATTERN, "mergeable_ranks": dict(TINY.ranks),
             "special_tokens": dict(TINY.special_tokens)} | changes
    return pickle_writer.dumps(Record("tiktoken.core.Encoding", (), state))


class Gadget:
    def __reduce__(self):
        return print, ("the pickle ran code",)


PICKLE_REFUSED = {
    "gadget": (pickle.dumps(Gadget(), 4), UnsafeFileError, "builtins.print"),
    "empty": (b"", DamagedFileError, "early"),
    "cut": (encoding_state()[:-40], DamagedFileError, "early|more bytes"),
    "number": (pickle_writer.dumps(5), TokenizerError, "something else"),
    "a registered name": (
        pickle_writer.dumps(Record("tiktoken.core.Encoding", (), "gpt2")), TokenizerError, "'gpt2'"),
    "no state": (pickle_writer.dumps(Record("tiktoken.core.Encoding", (), {})), TokenizerError, "without"),
    "list of ranks": (encoding_state(mergeable_ranks=[1]), TokenizerError, "no dictionary"),
    "str ranks": (encoding_state(mergeable_ranks={"a": 1}), TokenizerError, "str to int"),
    "text as rank": (encoding_state(mergeable_ranks={b"a": "1"}), TokenizerError, "bytes to str"),
    "true as rank": (
        encoding_state(mergeable_ranks=dict(TINY.ranks) | {b"\x01": True}), TokenizerError, "bytes to bool"),
    "empty token": (encoding_state(mergeable_ranks=dict(TINY.ranks) | {b"": 276}), TokenizerError, "at least one"),
    "few ranks": (encoding_state(mergeable_ranks={b"a": 0}), TokenizerError, "single bytes"),
    "pattern": (encoding_state(pat_str="(a+)+$"), TokenizerError, "pattern"),
    "pattern of bytes": (encoding_state(pat_str=b"a"), TokenizerError, "no text"),
    "special gap": (encoding_state(special_tokens={"<|bos|>": 999}), TokenizerError, "special tokens"),
    "special number": (encoding_state(special_tokens={"<|bos|>": None}), TokenizerError, "special tokens"),
}


@pytest.mark.parametrize("name", PICKLE_REFUSED)
def test_pickles_that_are_refused(name, tmp_path, capsys):
    data, kind, match = PICKLE_REFUSED[name]
    path = tmp_path / "tokenizer.pkl"
    path.write_bytes(data)
    refused(tmp_path, kind, match)
    assert capsys.readouterr().out == ""


def test_missing_and_oversized_files(tmp_path):
    refused(tmp_path, TokenizerError, r"no tokenizer.json or tokenizer.pkl")
    refused(tmp_path / "nowhere", TokenizerError, "nowhere")
    with (tmp_path / "tokenizer.pkl").open("wb") as file:
        file.truncate((64 << 20) + 1)
    refused(tmp_path, UnsafeFileError, "64 MiB")


@given(st.data(), st.sampled_from(["tokenizer.json", "tokenizer.pkl"]))
@settings(QUICK, max_examples=150)
def test_altered_files_load_or_are_refused(tmp_path, data, name):
    path = tmp_path / name
    whole = bytearray((TINY.save if name.endswith("json") else TINY.save_pickle)(tmp_path).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    assume(whole)
    path.write_bytes(whole)
    try:
        tokenizer = Tokenizer.load(path)
    except NanochatError as error:
        message = str(error)
    else:
        message = ""
        assert tokenizer.decode(tokenizer.encode("a  b")) == "a  b"
    assert "\n" not in message


def test_a_tokenizer_without_special_tokens_says_so():
    plain = Tokenizer({bytes([byte]): byte for byte in range(256)}, {})
    assert plain.encode("ab") == [97, 98]
    with pytest.raises(TokenizerError, match=r"<\|bos\|>.*none"):
        plain.encode_with_bos("a")

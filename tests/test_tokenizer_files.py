"""Tokenizer files: read as data, whatever they hold, or refused in one line; what is saved loads again."""

import json
import pickle

import pytest
from fixture_files import parity
from fuzzing import examples
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pynanochat import pickle_writer
from pynanochat.errors import DamagedFileError, NanochatError, TokenizerError, UnsafeFileError
from pynanochat.pretokenizer import PATTERN
from pynanochat.tokenizer import SPECIAL_TOKENS, Tokenizer
from pynanochat.unpickle import Record

QUICK = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TOKENS = [bytes([byte]) for byte in range(256)] + [b"  ", b"ab", b"aa", b"aaaa", b"\n\n", b"\xc2\xa0", b"abab"]
TINY = Tokenizer({token: rank for rank, token in enumerate(TOKENS)},
                 {name: len(TOKENS) + at for at, name in enumerate(SPECIAL_TOKENS)})


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
    tokenizer = Tokenizer.load(parity("tokenizer_600/tokenizer.pkl"))
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
    "empty token": (
        encoding_state(mergeable_ranks=dict(TINY.ranks) | {b"": len(TOKENS)}), TokenizerError, "at least one"),
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
    with (tmp_path / "tokenizer.json").open("wb") as file:
        file.truncate((24 << 20) + 1)
    refused(tmp_path, UnsafeFileError, "24 MiB")
    with (tmp_path / "tokenizer.json").open("wb") as file:
        file.truncate(24 << 20)
    refused(tmp_path, DamagedFileError, "not valid JSON")  # read, and found to be zeros


def test_a_json_of_too_many_values_is_refused_unread(tmp_path):
    for part in (b"[],", b"{},", b"0,"):
        (tmp_path / "tokenizer.json").write_bytes(b"[" + part * 2_000_000 + b"broken")
        refused(tmp_path, UnsafeFileError, "more than 1,600,000 values")


def test_a_json_of_65536_tokens_is_far_below_the_limit(tmp_path):
    """Every split of a token in two is a merge in the file: here as many as there can be."""
    ranks = [bytes([byte]) for byte in range(256)]
    while len(ranks) < 65536 - len(SPECIAL_TOKENS):
        at = len(ranks) - 256
        ranks.append(ranks[at] + bytes([97 + at % 26]) if at % 7 == 6 and at > 256 else bytes(divmod(at, 256)))
    ranks = list(dict.fromkeys(ranks))
    tokenizer = Tokenizer({token: rank for rank, token in enumerate(ranks)},
                          {name: len(ranks) + at for at, name in enumerate(SPECIAL_TOKENS)})
    assert tokenizer.save(tmp_path).stat().st_size < 12 << 20
    assert Tokenizer.load(tmp_path).vocab_size == tokenizer.vocab_size > 50_000


@given(st.data(), st.sampled_from(["tokenizer.json", "tokenizer.pkl"]))
@settings(QUICK, max_examples=examples(150))
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

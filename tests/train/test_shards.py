"""Shards: what is read is what was written, whole or not at all, the same whatever the processes; damage is told."""

import errno
import hashlib
import json
import os

import numpy as np
import pytest
from fixture_files import parity
from fuzzing import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from pynanochat.chat import render_conversation
from pynanochat.checkpoint import staging
from pynanochat.checkpoint.staging import HashingFile
from pynanochat.errors import DataError
from pynanochat.tokenizer import Tokenizer
from pynanochat.train import shards, tokenization
from pynanochat.train.shard_index import Index
from pynanochat.train.texts import Document
from pynanochat.train.tokenization import encode, encode_all, token_dtype

TALK = ({"role": "user", "content": "What is 2+2?"},
        {"role": "assistant", "content": [{"type": "python", "text": "2+2"}, {"type": "python_output", "text": "4"},
                                          {"type": "text", "text": "It is 4."}]})


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.load(parity("tokenizer_512"))


def stories(count, first=0):
    return [Document(text=f"Story {number}. " + "The cat sat. " * (number % 7), source=f"s{number % 2}")
            for number in range(first, first + count)]


def read_all(found):
    made = {}
    for name, split in found.splits.items():
        made[name] = [split.document(number) for number in range(split.documents)]
    return made


def test_what_is_read_is_what_was_written(tmp_path, tokenizer):
    written = [*stories(300), Document(messages=TALK, source="talk")]
    index = shards.write(tmp_path / "d", written, tokenizer, val_share=0.1, shard_tokens=1000)
    found = shards.open(tmp_path / "d")
    found.verify()
    assert found.index == index
    assert found.tokenizer.encode("a cat") == tokenizer.encode("a cat")
    expected = {tuple(tokenizer.encode_with_bos(one.text)) for one in written if one.text}
    tokens, mask = render_conversation(tokenizer, TALK)
    texts, talks = set(), []
    for name, split in found.splits.items():
        assert [f"{name}_{number:06}.safetensors" for number in range(len(split.files))] == [
            file.file for file in split.files]
        for number in range(split.documents):
            ids, taught = split.document(number)
            assert ids.dtype == np.uint16
            assert len(ids) == split.lengths[number]
            if ids.tolist() == tokens:
                talks.append(taught.tolist())
            else:
                texts.add(tuple(ids.tolist()))
                assert taught is None or taught.all()
    assert texts == expected
    assert talks == [mask]
    assert len(found.split("train").files) > 2
    assert 10 < found.split("val").documents < 60
    assert sum(split.tokens for split in found.splits.values()) == sum(map(len, expected)) + len(tokens)
    assert sum(split.conversations for split in found.splits.values()) == 1
    text_bytes = sum(split.text_bytes for split in found.splits.values())
    assert text_bytes == sum(len(one.text.encode()) for one in written if one.text) + len("What is 2+2?2+24It is 4.")
    assert {name: counted["documents"] for name, counted in index.sources.items()} == {"s0": 150, "s1": 150, "talk": 1}
    assert sum(counted["text_bytes"] for counted in index.sources.values()) == text_bytes


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_the_same_files_whatever_the_processes(tmp_path, tokenizer):
    written = [*stories(700), Document(messages=TALK), *stories(100)]
    for processes in (1, 2):
        shards.write(tmp_path / str(processes), iter(written), tokenizer, processes=processes, shard_tokens=5000)
    assert digests(tmp_path / "1") == digests(tmp_path / "2")


def test_an_error_of_another_process_is_told(tokenizer):
    bad = [*stories(600), Document(messages=({"role": "assistant", "content": "x"},), where="talk.jsonl, line 9")]
    for processes in (1, 2):
        with pytest.raises(DataError, match=r"talk\.jsonl, line 9: message 0 is of role"):
            list(encode_all(bad, tokenizer, processes))
    with pytest.raises(DataError, match="either a text or messages"):
        encode(Document(), tokenizer)


def test_a_split_goes_by_the_content(tmp_path, tokenizer):
    def val(documents, share=0.1):
        shards.write(tmp_path / "d", documents, tokenizer, val_share=share)
        made = read_all(shards.open(tmp_path / "d"))
        assert len(made["train"]) + len(made.get("val", ())) == len(documents)
        held = {tuple(tokens.tolist()) for tokens, _ in made.get("val", ())}
        assert not held & {tuple(tokens.tolist()) for tokens, _ in made["train"]}  # duplicates never cross
        return held

    many = stories(300)
    held = val(many)
    assert val([*many, *many]) == val(many[::-1]) == held
    assert held <= val(many, 0.5)
    assert not val(many, 0)
    few = stories(5)
    for documents in (few, few[::-1], few * 3):  # one at least is held out, the same one
        assert val(documents, 1e-9) == val(few, 1e-9)
        assert len(val(documents, 1e-9)) == 1
    shards.write(tmp_path / "e", few[:1] * 3, tokenizer)
    with pytest.raises(DataError, match=r"the split val is empty.*val_share above 0"):
        shards.open(tmp_path / "e").split("val")
    with pytest.raises(DataError, match="no split 'test'"):
        shards.open(tmp_path / "e").split("test")


@settings(max_examples=examples(40), deadline=None)
@given(digests=st.lists(st.integers(0, 30), max_size=30), share=st.sampled_from([0, 3, 10]))
def test_every_document_has_one_side(digests, share):
    from pynanochat.train.shard_writer import _split

    made = [tokenization.Encoded(np.zeros(2, np.uint16), None, digest, str(place))
            for place, digest in enumerate(digests)]
    sides = {one.source: (side, one.digest) for side, one in _split(made, share / 2**64)}
    assert len(sides) == len(digests)
    held = {digest for side, digest in sides.values() if side == "val"}
    assert not held & {digest for side, digest in sides.values() if side == "train"}
    below = {digest for digest in digests if digest < share}
    assert held == (below or ({min(digests)} if share and len(set(digests)) > 1 else set()))


def test_a_folder_is_written_whole_or_not_at_all(tmp_path, tokenizer):
    def stops():
        yield from stories(100)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shards.write(tmp_path / "d", stops(), tokenizer, shard_tokens=100)
    assert not list(tmp_path.iterdir())
    shards.write(tmp_path / "d", stories(10), tokenizer)
    before = digests(tmp_path / "d")
    with pytest.raises(KeyboardInterrupt):
        shards.write(tmp_path / "d", stops(), tokenizer)
    assert digests(tmp_path / "d") == before
    shards.write(tmp_path / "d", stories(20), tokenizer)
    assert shards.open(tmp_path / "d").split("train").documents > 10
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_a_full_disk_or_a_failed_renaming_changes_nothing(tmp_path, tokenizer, monkeypatch):
    shards.write(tmp_path / "d", stories(10), tokenizer)
    before = digests(tmp_path / "d")
    rename, calls = os.rename, []

    def full(self, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fails(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rename(source, target)

    for owner, name, failing, message in ((HashingFile, "write", full, "No space left"),
                                          (os, "rename", fails, "Input/output error")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, failing)
            patch.setattr(staging, "_exchange", lambda *_: False)  # as where the system cannot swap two names
            with pytest.raises(DataError, match=f"was not saved: {message}"):
                shards.write(tmp_path / "d", stories(20), tokenizer)
        assert digests(tmp_path / "d") == before
        assert [path.name for path in tmp_path.iterdir()] == ["d"]
    assert len(calls) == 3


def test_other_folders_are_not_replaced(tmp_path, tokenizer):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"holds 'notes.txt', which would be lost"):
        shards.write(tmp_path, stories(3), tokenizer)
    with pytest.raises(DataError, match="is a file"):
        shards.write(tmp_path / "notes.txt", stories(3), tokenizer)
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "index.json").write_text("{}")
    with pytest.raises(DataError, match=r"holds 'index.json', which would be lost"):
        shards.write(tmp_path / "e", stories(3), tokenizer)
    tokenizer.save(tmp_path / "tok")
    with pytest.raises(DataError, match=r"holds 'tokenizer.json', which would be lost"):
        shards.write(tmp_path / "tok", stories(3), tokenizer)
    with pytest.raises(DataError, match="there is no document"):
        shards.write(tmp_path / "f", [Document(text="")], tokenizer)
    for options in ({"val_share": 1}, {"val_share": float("nan")}, {"shard_tokens": 0}):
        with pytest.raises(DataError, match="expected"):
            shards.write(tmp_path / "f", stories(3), tokenizer, **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e", "notes.txt", "tok"]


def test_shards_of_another_tokenizer(tmp_path, tokenizer):
    shards.write(tmp_path / "d", stories(10), tokenizer)
    found = shards.open(tmp_path / "d")
    found.check(tokenizer, 512)
    with pytest.raises(DataError, match="made by another tokenizer"):
        found.check(Tokenizer.load(parity("tokenizer_600")))
    with pytest.raises(DataError, match="has 512 tokens, the model 600"):
        found.check(vocab_size=600)
    (tmp_path / "d" / "tokenizer.json").unlink()
    with pytest.raises(DataError, match=r"no tokenizer\.json"):
        found.tokenizer
    tokenizer.save_pickle(tmp_path)
    assert hashlib.sha256(tokenizer.save(tmp_path).read_bytes()).hexdigest() == found.index.tokenizer_sha256


@pytest.mark.parametrize(("vocab_size", "dtype"), [(512, np.uint16), (65536, np.uint16), (65537, np.uint32)])
def test_the_numbers_are_wide_enough(vocab_size, dtype):
    assert token_dtype(vocab_size) == dtype


def test_ids_above_32767(tmp_path, tokenizer):
    ranks = dict(tokenizer.ranks)
    ranks |= {f"{number:06x}".encode(): number for number in range(len(ranks), 40_000)}
    large = Tokenizer(ranks, {"<|bos|>": 40_000})
    shards.write(tmp_path / "d", stories(5), large, val_share=0)
    found = shards.open(tmp_path / "d")
    found.verify()
    tokens, _ = found.split("train").document(0)
    assert tokens[0] == 40_000
    assert large.decode(tokens[1:].tolist()).startswith("Story 0.")


def test_damage_is_told(tmp_path, tokenizer):
    shards.write(tmp_path / "d", stories(50), tokenizer)
    path = tmp_path / "d" / "train_000000.safetensors"
    sound = path.read_bytes()
    path.write_bytes(sound[:-1] + b"\x7f")
    with pytest.raises(DataError, match="its SHA-256 is another"):
        shards.open(tmp_path / "d").verify()
    found = shards.open(tmp_path / "d")
    with pytest.raises(DataError, match="tokens that the tokenizer does not make"):
        found.split("train").verify(found.index)
    for content, message in ((sound[:-2], "the file holds"), (b"", "is empty"), (sound[:100], "no safetensors header"),
                             ((tmp_path / "d" / "val_000000.safetensors").read_bytes(), "what the index says")):
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            shards.open(tmp_path / "d")
    path.unlink()
    with pytest.raises(DataError, match="does not exist"):
        shards.open(tmp_path / "d")


ABSURD = {
    "format": "pynanochat", "version": 2, "dtype": "uint32", "vocab_size": -1, "bos": 512, "tokenizer_sha256": "abc",
    "val_share": None, "sources": {"a": 3}, "shards": {"a": 1},
}
ABSURD_SHARD = {
    "file": "../../etc/passwd", "split": "val", "documents": 0, "conversations": 1 << 40, "tokens": 1 << 60,
    "text_bytes": -1, "sha256": "0" * 63,
}


@pytest.mark.parametrize("name", [*ABSURD, *(f"shard {name}" for name in ABSURD_SHARD), "twice", "more", "size",
                                  "text"])
def test_an_index_that_cannot_be(tmp_path, tokenizer, name):
    shards.write(tmp_path, stories(9), tokenizer)
    path = tmp_path / "index.json"
    index = json.loads(path.read_text())
    if name in ABSURD:
        index[name] = ABSURD[name]
    elif name.startswith("shard "):
        index["shards"][0][name.removeprefix("shard ")] = ABSURD_SHARD[name.removeprefix("shard ")]
    elif name == "twice":
        index["shards"] *= 2
    elif name == "more":
        index["shards"][0]["more"] = 1
    path.write_text({"size": " " * (33 << 20), "text": "{"}.get(name) or json.dumps(index))
    with pytest.raises(DataError, match=r"index\.json"):
        Index.read(tmp_path)
    path.unlink()
    with pytest.raises(DataError, match="nanochat train data"):
        shards.open(tmp_path)

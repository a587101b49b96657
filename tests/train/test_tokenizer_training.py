"""Training of a tokenizer: the merges of upstream's library, our ids, the same each time, nothing that hangs."""

import json
import random

import pytest
from fixture_files import parity

from pynanochat.errors import DataError, TrainingError
from pynanochat.tokenizer import SPECIAL_TOKENS, Tokenizer
from pynanochat.train import tokenizer as training
from pynanochat.train.texts import Document, documents
from pynanochat.train.tokenizer import texts_of, train
from pynanochat.train.tokenizer_report import report


def corpus():
    return list(texts_of(documents([parity("bpe_train_corpus.jsonl")])))


@pytest.mark.parametrize("vocab_size", [512, 600])
def test_the_same_merges_as_upstream(vocab_size, tmp_path):
    pytest.importorskip("rustbpe")
    made, expected = train(corpus(), vocab_size), Tokenizer.load(parity(f"tokenizer_{vocab_size}"))
    assert dict(made.ranks) == dict(expected.ranks)
    assert dict(made.special_tokens) == dict(expected.special_tokens)
    assert made.pattern == expected.pattern
    assert list(made.special_tokens) == list(SPECIAL_TOKENS)
    assert made.bos == vocab_size - 9
    made.save(tmp_path)
    assert Tokenizer.load(tmp_path).encode("Hello world 2026") == made.encode("Hello world 2026")


def test_the_report_counts_every_byte():
    pytest.importorskip("rustbpe")
    made = train(corpus(), 512)
    conversation = ({"role": "user", "content": "2+2?"},
                    {"role": "assistant", "content": [{"type": "python", "text": "2+2"}]})
    read = [Document(text="Grüße", source="a"), Document(text="xyz", source="b"),
            Document(messages=conversation, source="b")]
    found = report(made, read)
    assert {name: (fit.documents, fit.bytes) for name, fit in found.sources.items()} == {"a": (1, 7), "b": (2, 10)}
    assert found.total.tokens == sum(len(made.encode(text)) for text in texts_of(read))
    used = {token for text in texts_of(read) for token in made.encode(text)}
    assert found.unused == 503 - len(used)
    assert found.longest[0] == max((token.decode() for token in made.ranks if token.isascii()), key=len)
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["bytes_per_token"] == found.total.bytes_per_token == 17 / found.total.tokens
    assert list(plain["sources"]) == ["a", "b"]
    assert report(made, []).total.bytes_per_token == 0


def test_texts_that_run_out_of_pairs_give_fewer_tokens():
    pytest.importorskip("rustbpe")
    made = train(["abab"], 512)
    assert made.vocab_size < 512
    assert made.bos == made.vocab_size - 9
    assert made.decode(made.encode("any text")) == "any text"


def test_the_limits_on_characters():
    pytest.importorskip("rustbpe")
    texts = ["ab" * 50, "cd" * 50]
    assert b"dc" not in train(texts, 300, max_total_chars=50).ranks
    assert b"dc" not in train(["ab" * 50 + "cd" * 50], 300, max_chars=100).ranks
    assert b"cd" in train(texts, 300).ranks


def test_hostile_texts_end():
    pytest.importorskip("rustbpe")
    letters = random.Random(3)
    texts = ["a" * 1_000_000, " " * 1_000_000, " " * 999_999 + "x", "\ud800" * 1000, "",
             "".join(letters.choice("abcdefgh") for _ in range(1_000_000))]
    assert train(texts, 400).vocab_size == 400


def test_what_is_refused(monkeypatch):
    for vocab_size in (264, 0, -1, 300.0, True, 1 << 30):
        with pytest.raises(TrainingError, match="vocab_size"):
            train(["text"], vocab_size)
    with pytest.raises(TrainingError, match="max_chars is 0"):
        train(["text"], 300, max_chars=0)

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(training, "import_module", missing)
    with pytest.raises(TrainingError, match=r"needs rustbpe; install it: pip install 'pynanochat\[train\]'"):
        train(["text"], 300)


def test_nothing_to_train_on():
    pytest.importorskip("rustbpe")
    for texts in ([], ["", ""]):
        with pytest.raises(DataError, match="nothing to train a tokenizer on"):
            train(texts, 300)
    with pytest.raises(DataError, match="a int among the texts"):
        train([7], 300)

"""nanochat train tokenizer and data: texts on disk to a folder that can be trained on, in two commands."""

import json

import cyclopts
import pytest
from fixture_files import parity

from pynanochat.cli.conversion import converted
from pynanochat.cli.train_data import train_data
from pynanochat.cli.train_tokenizer import train_tokenizer
from pynanochat.errors import DataError, TokenizerError
from pynanochat.tokenizer import Tokenizer
from pynanochat.train import shards


def run(command, *arguments):
    app = cyclopts.App(result_action="return_value",
                       default_parameter=cyclopts.Parameter(negative=(), converter=converted))
    app.default(command)
    return app([str(argument) for argument in arguments], exit_on_error=False, print_error=False)


def test_from_a_text_to_shards(tmp_path, capsys):
    pytest.importorskip("rustbpe")
    corpus = parity("bpe_train_corpus.jsonl")
    assert run(train_tokenizer, corpus, "--vocab-size", 512, "--out", tmp_path / "tok", "--json") == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == ""
    assert found["path"] == str(tmp_path / "tok" / "tokenizer.json")
    assert found["vocab_size"] == 512
    assert 2 < found["bytes_per_token"] < 4
    assert dict(Tokenizer.load(tmp_path / "tok").ranks) == dict(Tokenizer.load(parity("tokenizer_512")).ranks)

    talk = tmp_path / "talk.jsonl"
    talk.write_text('[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]\n')
    arguments = (corpus, talk, "--tokenizer", tmp_path / "tok", "--out", tmp_path / "d")
    assert run(train_data, *arguments, "--val-share", "0.1", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["splits"]["train"]["documents"] + found["splits"]["val"]["documents"] == 221
    assert found["sources"][str(talk)]["documents"] == 1
    opened = shards.open(tmp_path / "d")
    opened.verify()
    assert opened.split("val").documents == found["splits"]["val"]["documents"] > 5
    assert run(train_data, *arguments) == 0
    out, err = capsys.readouterr()
    assert out.split("\n")[1].split() == ["split", "documents", "conversations", "tokens", "bytes", "of", "text",
                                          "shards"]
    assert err.count("\n") == 1
    assert "tokens/s" in err


def test_what_a_tokenizer_is_told_of(tmp_path, capsys):
    pytest.importorskip("rustbpe")
    path = tmp_path / "a.txt"
    path.write_text("abab\n\nabab")
    assert run(train_tokenizer, path, "--out", tmp_path / "tok", "--separator", r"\n\n") == 0
    out, err = capsys.readouterr()
    assert "bytes per token" in out
    assert "'abab'" in out
    assert "note: the texts have pairs for" in err


def test_what_is_refused(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("text")
    with pytest.raises(DataError, match="no paths"):
        run(train_data, "--tokenizer", parity("tokenizer_512"), "--out", tmp_path / "d")
    with pytest.raises(DataError, match="is a file"):
        run(train_tokenizer, path, "--out", path)
    with pytest.raises(TokenizerError, match=r"no tokenizer\.json"):
        run(train_data, path, "--tokenizer", tmp_path, "--out", tmp_path / "d")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_nothing_held_out_is_said(tmp_path, capsys):
    path = tmp_path / "a.txt"
    path.write_text("text")
    assert run(train_data, path, "--tokenizer", parity("tokenizer_512"), "--out", tmp_path / "d") == 0
    assert "note: the split val is empty" in capsys.readouterr().err

"""Texts: every format gives the same documents, in the order of the names; what is broken is named by its line."""

import gzip
import json
import lzma
import tracemalloc

import pytest

from pynanochat.errors import DataError
from pynanochat.train.texts import documents

TALK = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


def texts(*paths, **options):
    return [document.text for document in documents(paths, **options)]


def lines(path, *values):
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path


def test_a_short_text_is_one_document(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbf\n\nOne.\r\n\r\nTwo: \xc3\xa4.\n\n")
    assert texts(path) == ["One.\n\nTwo: ä."]


def test_a_long_text_is_cut_at_blank_lines_and_loses_nothing(tmp_path):
    paragraphs = [f"{number} " + "word " * 100 for number in range(60)]
    path = tmp_path / "a.txt"
    path.write_text("\n \n".join(paragraphs))
    found = texts(path)
    assert len(found) == 8
    assert all(4000 <= len(text) < 5000 for text in found[:-1])
    assert [line for text in found for line in text.split("\n") if line.strip()] == paragraphs


def test_a_text_without_blank_lines_is_cut_at_a_line_end(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("123456789\n" * 20_000)
    found = texts(path)
    assert [len(text) for text in found] == [63_999, 63_999, 63_999, 7_999]


def test_what_ends_a_document_of_a_text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("One.\n\nStill one.\n<|endoftext|>\nTwo.\n<|endoftext|>\n<|endoftext|>\n")
    assert texts(path) == ["One.\n\nStill one.", "Two."]
    assert texts(path, separator="\n\n") == ["One.", "Still one.\n<|endoftext|>\nTwo.\n<|endoftext|>\n<|endoftext|>"]
    path.write_text("One.\n\nStill one.\n" * 5000)
    assert len(texts(path, separator="")) == 1
    path.write_text("a--b\n-" * 50_000)
    assert texts(path, separator="--") == ["a", *["b\n-a"] * 49_999, "b\n-"]


def test_lines_of_json(tmp_path):
    path = lines(tmp_path / "a.jsonl", {"text": "One"}, "Two", {"text": " \n"}, {"text": "lone \ud83d", "n": 1})
    assert texts(path) == ["One", "Two", "lone \ufffd"]
    path = lines(tmp_path / "b.jsonl", {"story": "One", "text": "no"})
    assert texts(path, key="story") == ["One"]
    path = lines(tmp_path / "c.jsonl", TALK, {"messages": TALK, "id": 4})
    assert [document.messages for document in documents([path])] == [tuple(TALK)] * 2


def test_compressed_files_and_folders_in_the_order_of_their_names(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "z.txt").write_text("third")
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'"first"\n'))
    (tmp_path / "a.txt.xz").write_bytes(lzma.compress(b"second"))
    (tmp_path / ".hidden.txt").write_text("no")
    (tmp_path / "README.md").write_text("no")
    found = list(documents([tmp_path]))
    assert [document.text for document in found] == ["first", "second", "third"]
    assert {document.source for document in found} == {str(tmp_path)}
    assert texts(tmp_path / "b", tmp_path / "a.txt.xz") == ["third", "second"]


def test_parquet(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    parquet.write_table(arrow.table({"text": ["One", None, "", "Two"], "n": [1, 2, 3, 4]}), path, row_group_size=2)
    assert texts(path) == ["One", "Two"]
    with pytest.raises(DataError, match=r"a\.parquet: the columns text, n; expected story"):
        texts(path, key="story")
    with pytest.raises(DataError, match=r"row 1: a int; expected a text"):
        texts(path, key="n")
    parquet.write_table(arrow.table({"messages": [TALK]}), path)
    assert [document.messages for document in documents([path])] == [tuple(TALK)]
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match="no parquet that can be read"):
        texts(path)


BROKEN = {
    "utf-8": ("a.txt", b"fine\nbad \xff\n", "a.txt, line 2: byte 4 is no UTF-8"),
    "json": ("a.jsonl", b'"fine"\n{"text": \n', "a.jsonl, line 2: no JSON"),
    "huge number": ("a.jsonl", b"1" * 5000, "a.jsonl, line 1: no JSON"),
    "deep": ("a.jsonl", b"[" * 100_000, "a.jsonl, line 1: JSON nested too deep"),
    "number": ("a.jsonl", b"7\n", "line 1: a int; expected a text, or a list of messages"),
    "other keys": ("a.jsonl", b'{"story": "a", "n": 1}', "keys story, n; expected text or messages, or name the key"),
    "messages": ("a.jsonl", b'{"messages": "Hi"}', "line 1: messages are a str; expected a list"),
    "no answer": ("a.jsonl", b'[{"role": "user", "content": "Hi"}]', "line 1: a conversation without an answer"),
    "gzip": ("a.txt.gz", gzip.compress(b"text" * 99)[:-9], "the compressed file is damaged"),
    "no gzip": ("a.txt.gz", b"text", "the compressed file is damaged"),
    "xz": ("a.txt.xz", lzma.compress(b"text" * 99)[:-9], "the compressed file is damaged"),
    "no xz": ("a.txt.xz", b"text", "the compressed file is damaged"),
    "name": ("a.pdf", b"", "known by its name; expected .txt .jsonl .parquet"),
    "zst": ("a.txt.zst", b"", "zstd -d"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken(tmp_path, name):
    file, content, message = BROKEN[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError) as error:
        texts(tmp_path / file)
    assert message in str(error.value)


def test_paths_that_hold_no_text(tmp_path):
    cases = ((tmp_path, "holds no text"), (tmp_path / "none.txt", "No such file"), ("a\0b", "a path holds no NUL"))
    for path, message in cases:
        with pytest.raises(DataError, match=message):
            documents([path])
    with pytest.raises(DataError, match="no paths"):
        documents([])
    with pytest.raises(DataError, match="expected an object with the key 'story'"):
        texts(lines(tmp_path / "a.jsonl", "One"), key="story")


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "a.txt.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for number in range(8000):
            file.write(f"{number} {'word ' * 400}\n\n".encode())
    tracemalloc.start()
    try:
        assert sum(1 for _ in documents([path])) == 4000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 << 20

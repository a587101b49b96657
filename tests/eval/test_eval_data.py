"""The files of the tasks: found or said where from, read in memory, damaged and absurd ones refused."""

import gzip
import io
import lzma
import tarfile

import pytest

from pynanochat.errors import DataError
from pynanochat.eval import data_folder
from pynanochat.eval.data_folder import DataFolder, documents, members, objects, rows


@pytest.mark.parametrize(("name", "pack"), [
    ("a.txt", bytes), ("a.txt.xz", lzma.compress), ("a.txt.gz", gzip.compress)])
def test_a_text_is_one_document(tmp_path, name, pack):
    (tmp_path / name).write_bytes(pack("ä b\n\nc\n".encode()))
    assert documents(tmp_path / name) == ["ä b\n\nc\n"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_of_its_own_ends_a_text(tmp_path, end):
    lines = ["<|endoftext|>", "one", "", "two<|endoftext|>", " <|endoftext|>\t", "<|endoftext|>", " ", "<|endoftext|>",
             "", "three ", "<|endoftext|>", ""]
    (tmp_path / "a.txt").write_bytes(end.join(lines).encode())
    assert documents(tmp_path / "a.txt") == [f"one{end}{end}two<|endoftext|>", "three "]


def test_lines_are_documents(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "one\\u2028"}\n\n{"title": "T", "story": "two"}\n')
    assert documents(tmp_path / "a.jsonl") == ["one\u2028", "two"]


@pytest.mark.parametrize(("name", "data", "word"), [
    ("a.txt", b"\xff\xfe", "UTF-8"), ("a.txt.xz", b"no archive", "cannot be read"),
    ("a.txt.gz", gzip.compress(b"text" * 99, mtime=0)[:-9], "cannot be read"),
    ("a.jsonl", b"[1]\n", "line 1: expected"),
    ("a.jsonl", b"{\n", "line 1"), ("a.jsonl", b"[" * 9999, "line 1"), ("a.jsonl", b"\n", "is empty"),
    ("a.jsonl", b'{"x": 1}', "line 1: no text under"), ("a.csv", b"x", "expected a .txt or .jsonl"),
    ("a.pdf.xz", b"x", "expected a .txt or .jsonl")])
def test_files_that_are_no_texts(tmp_path, name, data, word):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=word):
        documents(tmp_path / name)


def test_a_missing_file(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="is not there"):
        documents(tmp_path / "none.txt")
    with pytest.raises(DataError, match=r"gsm8k_test\.jsonl\.xz with --data \(pack test\.jsonl of"):
        DataFolder(tmp_path).lines(data_folder.GSM8K)
    monkeypatch.setenv("NANOCHAT_EVAL_DATA", str(tmp_path / "other"))
    assert DataFolder().path == tmp_path / "other"
    monkeypatch.delenv("NANOCHAT_EVAL_DATA")
    monkeypatch.setenv("NANOCHAT_BASE_DIR", str(tmp_path))
    assert DataFolder().path == tmp_path / "eval_data"


def test_members_of_an_archive(packed):
    path = packed("a.tar.xz", {"in/a": "A", "out/b": "B", "in/../../c": "C"})
    assert list(members(path, "in/")) == [("in/a", b"A"), ("in/../../c", b"C")]  # a name is only a name
    assert [name for name, _ in members(path)] == ["in/a", "out/b", "in/../../c"]


def test_links_are_left_out(tmp_path):
    with tarfile.open(tmp_path / "a.tar.xz", "w:xz") as archive:
        link = tarfile.TarInfo("secret")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        device = tarfile.TarInfo("device")
        device.type = tarfile.CHRTYPE
        archive.addfile(device)
    assert list(members(tmp_path / "a.tar.xz")) == []


def test_bombs(tmp_path, packed, monkeypatch):
    monkeypatch.setattr(data_folder, "MOST_BYTES", 1 << 16)
    path = packed("a.tar.xz", {"a": b"\0" * 40_000, "b": b"\0" * 40_000})
    with pytest.raises(DataError, match="more than"):
        list(members(path))
    with pytest.raises(DataError, match="more than"):  # and what is skipped has been unpacked, too
        list(members(path, "none"))
    (tmp_path / "a.txt.xz").write_bytes(lzma.compress(b" " * 70_000))
    with pytest.raises(DataError, match="more than"):
        documents(tmp_path / "a.txt.xz")


@pytest.mark.parametrize("cut", [10, 100, 400])
def test_damaged_archives(packed, cut):
    path = packed("a.tar.xz", {"a": bytes(range(256)) * 8})
    data = path.read_bytes()
    path.write_bytes(data[:cut] if cut < len(data) else data[:-20])
    with pytest.raises(DataError, match="cannot be read"):
        list(members(path))
    stream = io.BytesIO(lzma.compress(b"no tar at all" * 99))
    path.write_bytes(stream.getvalue())
    with pytest.raises(DataError, match="cannot be read"):
        list(members(path))


@pytest.mark.parametrize("header", [
    {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "4"},
    {"GNU.sparse.map": "a,b", "GNU.sparse.size": "1"}, {"GNU.sparse.size": "much"}, {"size": "9" * 20}])
def test_headers_that_no_archive_has(tmp_path, header):
    with lzma.open(tmp_path / "a.tar.xz", "wb") as file, tarfile.open(
            fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("a")
        member.pax_headers, member.size = header, 4
        archive.addfile(member, io.BytesIO(b"junk"))
    with pytest.raises(DataError, match=r"cannot be read|more than"):
        list(members(tmp_path / "a.tar.xz"))


def test_headers_without_end(tmp_path):
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 2
    (tmp_path / "a.tar.xz").write_bytes(lzma.compress(
        (header.tobuf(tarfile.GNU_FORMAT) + b"a".ljust(512, b"\0")) * 3000))
    with pytest.raises(DataError, match="cannot be read"):
        list(members(tmp_path / "a.tar.xz"))


def test_lines_without_end(monkeypatch):
    monkeypatch.setattr(data_folder, "MOST_LINES", 99)
    for read, data in ((objects, b"{}\n" * 100), (rows, b"a\r" * 100)):
        with pytest.raises(DataError, match="t has more than 99 lines"):
            read(data, "t")


def test_tables():
    assert rows(b'a,b\n"x, y",2\n', "t") == [{"a": "x, y", "b": "2"}]
    assert objects(b'{"a": 1}', "t") == [{"a": 1}]

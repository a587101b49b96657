"""Ready-made texts: read as the samples that they are to be, wrong files named, what measures kept apart."""

from __future__ import annotations

import hashlib
import json
import lzma
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pynanochat.errors import DataError
from pynanochat.synthetic import ready_texts
from pynanochat.synthetic.clean_turns import clean_turns


def put(folder: Path, monkeypatch: pytest.MonkeyPatch, **files: list[dict[str, Any]]) -> None:
    """Files of these rows, known to the module by their checksums."""
    sources = []
    for source in ready_texts.SOURCES:
        if source.name in files:
            rows = files[source.name]
            raw = lzma.compress("\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode())
            (folder / source.file).write_bytes(raw)
            source = replace(source, sha256=hashlib.sha256(raw).hexdigest())
        sources.append(source)
    monkeypatch.setattr(ready_texts, "SOURCES", tuple(sources))


def test_a_folder_without_them_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds none of the ready-made texts; expected one or more of: stories_ccby"):
        list(ready_texts.documents(tmp_path))


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "gsm8k_train.jsonl.xz").write_bytes(b"something else")
    with pytest.raises(DataError, match=r"gsm8k_train\.jsonl\.xz has the SHA-256 .*expected bf94833f0d3d"):
        list(ready_texts.documents(tmp_path))


def test_calculator_marks_become_calls_where_our_calculator_agrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, monkeypatch, gsm8k=[{"question": "How many?", "answer":
        "Half is 48/2 = <<48/2=24>>24.\nAll is <<10+1=12>>12, <<x=1>>1.\n#### 24"}])
    samples = list(ready_texts.documents(tmp_path))
    source, sample = samples[0]
    assert len(samples) == source.repeats
    assert source.licence == "MIT"
    assert sample.messages is not None
    assert sample.messages[1]["content"] == [
        {"type": "text", "text": "Half is 48/2 = "}, {"type": "python", "text": "48/2"},
        {"type": "python_output", "text": "24.0"}, {"type": "text", "text": "24.\nAll is 12, 1.\n#### 24"}]


def test_books_come_in_chunks_of_whole_paragraphs_but_for_the_last_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "\n\n".join(f"Paragraph {i} says “{'word ' * 60}”\u2028and ends." for i in range(20))
    put(tmp_path, monkeypatch, books=[{"book": book, "part": "1", "text": f"{book}. {text}"} for book in "abcd"])
    chunks = [sample.text or "" for _, sample in ready_texts.documents(tmp_path)]
    assert chunks[0].startswith('a. Paragraph 0 says "word')
    assert all(len(chunk) <= 1850 for chunk in chunks)
    assert all(chunk.endswith("and ends.") for chunk in chunks)
    assert {chunk[0] for chunk in chunks} == {"a", "b", "P"}
    held = ready_texts.held_out_texts(tmp_path, "books")
    assert {text[0] for text in held} == {"c", "d", "P"}


def test_fifty_stories_are_kept_for_measuring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"title": f"Story {i}", "text": f"Once there was number {i}."} for i in range(60)]
    put(tmp_path, monkeypatch, stories=rows)
    trained = {sample.text for _, sample in ready_texts.documents(tmp_path)}
    kept = ready_texts.held_out_texts(tmp_path, "stories")
    assert len(trained) == 10
    assert len(kept) == 50
    assert not any(any(text in (one or "") for one in trained) for text in kept)


def test_chats_are_cleaned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = [[1, "first"], [0, "hi\nhow are you"], [1, "im fine, and i like tea"], [0, "dont you like cake?"],
             [1, "Yes!"],
             [0, "see http://x.y"], [1, "ok"]]
    put(tmp_path, monkeypatch, chitchat=[{"prompt": "", "ratings": {}, "turns": turns}])
    ((_, sample),) = ready_texts.documents(tmp_path)
    assert sample.messages is not None
    assert [message["content"] for message in sample.messages] == [
        "Hi. How are you.", "I'm fine, and I like tea.", "Don't you like cake?", "Yes!"]
    assert [message["role"] for message in sample.messages] == ["user", "assistant"] * 2


def test_turns_of_one_speaker_after_the_other_only() -> None:
    turns = [(0, "One."), (1, "Two."), (1, "Three."), (0, "Four."), (1, "Five."), (0, "Six."), (1, "Seven.")]
    assert list(clean_turns(turns, 1800)) == [["Four.", "Five.", "Six.", "Seven."]]
    assert list(clean_turns([(0, "x" * 3), (1, "fuck")], 1800)) == []


def test_no_file_that_measures_is_a_source() -> None:
    files = " ".join(source.file for source in ready_texts.SOURCES)
    for name in ("test", "tinystories", "wikitext", "HumanEval", "mmlu", "core"):
        assert name not in files

"""The text of an answer beside its tool blocks, and where the blocks begin."""

from __future__ import annotations

from fixture_files import parity

from pynanochat.output import Piece, Transcript
from pynanochat.tokenizer import Tokenizer


def pushed(transcript: Transcript, tokens: list[int]) -> list[tuple[str, str]]:
    pieces = [transcript.push(token, False, None) for token in tokens]
    return [*pieces, transcript.flush()]


def test_what_is_held_back_comes_before_a_tool_block() -> None:
    """Half a character and the beginning of a stop string are certain once a block opens."""
    tokenizer = Tokenizer.load(parity("tokenizer_600"))
    special = tokenizer.special_tokens
    transcript = Transcript(tokenizer, ("END",))
    tokens = [*b"ab EN", special["<|python_start|>"], *b"1+1", special["<|python_end|>"], special["<|output_start|>"],
              *b"2", special["<|output_end|>"], *"é".encode()[:1], special["<|python_start|>"], *b"x"]
    pieces = pushed(transcript, tokens)
    assert transcript.text == "ab EN�"
    assert transcript.parts == [
        {"type": "text", "text": "ab EN"}, {"type": "python", "text": "1+1"}, {"type": "python_output", "text": "2"},
        {"type": "text", "text": "�"}, {"type": "python", "text": "x"}]
    assert "".join(content for kind, content in pieces if kind == "text") == transcript.text
    assert len(pieces) == len(tokens) + 1


def test_only_text_is_shown() -> None:
    assert [str(Piece("12", kind)) for kind in ("text", "python", "python_output")] == ["12", "", ""]


def test_a_stop_string_does_not_count_inside_a_block() -> None:
    tokenizer = Tokenizer.load(parity("tokenizer_600"))
    special = tokenizer.special_tokens
    transcript = Transcript(tokenizer, ("1",))
    pushed(transcript, [special["<|python_start|>"], *b"1+1", special["<|python_end|>"]])
    assert transcript.stop is None
    pushed(transcript, [*b"a1b"])
    assert (transcript.stop, transcript.text) == ("1", "a")

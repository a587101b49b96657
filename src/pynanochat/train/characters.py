"""Characters that UTF-8 cannot hold: JSON can spell half a surrogate pair."""

from __future__ import annotations


def whole_characters(text: str) -> str:
    """The text with U+FFFD for every half of a surrogate pair, as the tokenizer reads it."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text

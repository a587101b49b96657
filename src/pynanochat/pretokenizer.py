"""The pattern that cuts a text into pieces before byte pairs merge, and the one kind of piece that needs help.

tiktoken's regex engine gives up (a Rust panic) on a run of about a million blanks: trying `\\s+(?!\\S)`, it stacks one
state per blank. Where such a run begins and ends is known without a regex engine, so it is cut out of the text first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# Source: karpathy/nanochat, nanochat/tokenizer.py, SPLIT_PATTERN (unchanged since October 2025).
PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)
# The same with numbers in groups of three as in GPT-4, the one change that upstream's comment invites. No other
# pattern is accepted: one from a stranger's file may take exponential time.
KNOWN_PATTERNS = (PATTERN, PATTERN.replace(r"\p{N}{1,2}", r"\p{N}{1,3}"))

# Unicode's White_Space without the two line ends, as Rust's \s has it (Python's has U+001C to U+001F as well).
_BLANKS = "\t\x0b\x0c \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
LONG_RUN = 50_000


def long_blank_runs(text: str, long_run: int = LONG_RUN) -> Iterator[tuple[int, int]]:
    """Where the pieces lie (start, end) that consist of at least `long_run` blanks and no line end; in linear time.

    A run of blanks that a line end follows is not among them: it belongs to the piece of `\\s*[\\r\\n]`, which costs no
    stack. Any other run is a piece of its own, but for its last blank where something follows it: that blank starts the
    next piece. It follows that text before, run, and text after it encode independently.
    """
    if len(text) <= long_run:
        return
    # possessive and tied to the start of the run, so that each blank is looked at once
    for run in re.finditer(f"(?<![{_BLANKS}])[{_BLANKS}]{{{long_run + 1},}}+(?![\r\n])", text):
        start, end = run.span()
        yield start, end if end == len(text) else end - 1

"""Seconds that hostile texts take to encode, and whether the time grows linearly.

    python benchmarks/tokenizer_hostile.py [TOKENIZER]

TOKENIZER is a folder or file that `Tokenizer.load` takes; without it a vocabulary of 65,536 ids is made up, with the
long merges (blanks, letters, symbols) that hostile text can exercise. The last line of the output is JSON.
"""

from __future__ import annotations

import json
import platform
import random
import sys
import time
from collections.abc import Callable

import tiktoken

from pynanochat.tokenizer import SPECIAL_TOKENS, Tokenizer

FULL, HALF = 1_000_000, 500_000
GOAL_SECONDS, GOAL_GROWTH = 1.0, 2.5
random.seed(7)
LETTERS = "".join(random.choices("etaoinshrdlucmfwypvbgkjqxz", k=FULL))
BYTES = random.randbytes(FULL).decode("latin-1")
BLANKS = "".join(random.choices(" \n\t\r\u3000", k=FULL))
MIXED = "".join(random.choices("aé你😀1 \n'!\u0301ٱ", k=FULL))

# each gives a text of n bytes of UTF-8, a few more or less
TEXTS: dict[str, Callable[[int], str]] = {
    "one letter": lambda n: "a" * n,
    "ab": lambda n: "ab" * (n // 2),
    "random letters": lambda n: LETTERS[:n],
    "words": lambda n: "the quick brown fox, " * (n // 21),
    "spaces": lambda n: " " * n,
    "spaces, letter": lambda n: " " * n + "a",
    "spaces, line end": lambda n: " " * n + "\n",
    "tabs": lambda n: "\t" * n,
    "wide spaces": lambda n: "\u3000" * (n // 3),
    "line ends": lambda n: "\n" * n,
    "line ends, spaces": lambda n: "\n " * (n // 2),
    "random blanks": lambda n: BLANKS[: n * 5 // 7],
    "runs of 50,001": lambda n: (" " * 50_001 + "x") * (n // 50_002),
    "runs of 49,999": lambda n: (" " * 49_999 + "x") * (n // 50_000),
    "digits": lambda n: "1" * n,
    "symbols": lambda n: "!" * n,
    "dashes, line ends": lambda n: "-" * (n // 2) + "\n" * (n // 2),
    "apostrophes": lambda n: "'s" * (n // 2),
    "emoji": lambda n: "😀" * (n // 4),
    "combining marks": lambda n: "e" + "\u0301" * (n // 2),
    "Chinese": lambda n: "你" * (n // 3),
    "random latin-1": lambda n: BYTES[: n * 2 // 3],
    "mixed": lambda n: MIXED[: n * 11 // 20],
    "special names": lambda n: "<|bos|>" * (n // 7),
    "half surrogates": lambda n: "\ud800" * (n // 3),
}


def made_up(vocab_size: int = 65_536) -> Tokenizer:
    tokens = [bytes([byte]) for byte in range(256)]
    known = set(tokens)

    def add(token: bytes) -> None:
        if token not in known and len(tokens) < vocab_size - len(SPECIAL_TOKENS):
            known.add(token)
            tokens.append(token)

    for text in (" ", "\n", "\t", "a", "-", "!", "ab", "\u3000", "你", "😀", "\u0301", "\r\n"):
        whole = text.encode("utf-8")
        for length in range(2, len(whole)):
            add(whole[:length])
        for count in (1, 2, 4, 8, 16, 32, 64, 128):
            add(whole * count)
    pool = [token for token in tokens if token.isalpha()]
    while len(tokens) < vocab_size - len(SPECIAL_TOKENS):
        left, right = random.choice(pool), random.choice(pool)
        if len(left + right) <= 12:
            add(left + right)
            pool.append(left + right)
    special = {name: len(tokens) + at for at, name in enumerate(SPECIAL_TOKENS)}
    return Tokenizer({token: rank for rank, token in enumerate(tokens)}, special)


def seconds(tokenizer: Tokenizer, text: str) -> tuple[float, int]:
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        count = len(tokenizer.encode(text))
        best = min(best, time.perf_counter() - started)
    return best, count


def main() -> None:
    tokenizer = Tokenizer.load(sys.argv[1]) if len(sys.argv) > 1 else made_up()
    print(f"{tokenizer}, tiktoken {tiktoken.__version__}; best of 3")
    print(f"{'text':<20}{'tokens':>10}{'s / 0.5 MB':>12}{'s / 1 MB':>10}{'growth':>8}")
    rows = {}
    for name, make in TEXTS.items():
        half, _ = seconds(tokenizer, make(HALF))
        full, count = seconds(tokenizer, make(FULL))
        rows[name] = {"seconds_half_mb": round(half, 4), "seconds_mb": round(full, 4), "growth": round(full / half, 2)}
        print(f"{name:<20}{count:>10}{half:>12.4f}{full:>10.4f}{full / half:>8.2f}")
    worst, growth = max(row["seconds_mb"] for row in rows.values()), max(row["growth"] for row in rows.values())
    print(json.dumps({
        "benchmark": "tokenizer_hostile", "vocab_size": tokenizer.vocab_size, "tiktoken": tiktoken.__version__,
        "python": platform.python_version(), "machine": platform.machine(), "worst_seconds_mb": worst,
        "worst_growth": growth, "goal_met": worst <= GOAL_SECONDS and growth <= GOAL_GROWTH, "texts": rows}))


if __name__ == "__main__":
    main()

"""M10: the tokenizer of the bundled model, on texts of many scripts, random bytes and hostile strings."""

from __future__ import annotations

import random
from functools import cache

from pynanochat import checkpoint
from pynanochat.chat import render_conversation
from pynanochat.check.demo import Demo
from pynanochat.check.result import Check, Measure, equal
from pynanochat.detokenizer import Detokenizer
from pynanochat.tokenizer import SPECIAL_TOKENS, Tokenizer

TEXTS = (
    "The quick brown fox, 12345.678 times; it's done!", "Größe, naïve café, Ærø, łódź", "Быстрая лиса прыгает",
    "Η αλεπού πηδάει", "敏捷的棕色狐狸跳过了懒狗", "素早い茶色の狐", "빠른 갈색 여우", "השועל המהיר", "الثعلب السريع",
    "तेज़ भूरी लोमड़ी", "🦊 jumps 👩‍👩‍👧‍👦 over 🏳️‍🌈",
    "  leading\n\n\ttabs and   spaces  \r\n", "e\u0301 \u00e9 \ufeff\u200b\u2028",
    "def f(x):\n    return {'a': x**2}  # comment", "\x00\x01\x7f\x1b[31m", "")
_RANDOM = 200


def identity(demo: Demo) -> Measure:
    """Decoding what was encoded gives the text back."""
    tokenizer, rng = _bundled(), random.Random(demo.seed)
    texts = [*TEXTS, *(_characters(rng) for _ in range(_RANDOM))]
    texts += [rng.randbytes(64).decode("latin-1") for _ in range(64)]
    right = sum(tokenizer.decode(tokenizer.encode(text)) == text for text in texts)
    return equal(right, len(texts), "16 texts in many scripts, random characters, random bytes")


def pieces(demo: Demo) -> Measure:
    """Tokens decoded one by one, as they stream, give the text of all of them, valid UTF-8 or not."""
    tokenizer, rng = _bundled(), random.Random(demo.seed)
    right = 0
    for _ in range(_RANDOM):
        tokens = [rng.randrange(tokenizer.vocab_size - len(SPECIAL_TOKENS)) for _ in range(40)]
        stream = Detokenizer(tokenizer)
        right += "".join([*(stream.push([token]) for token in tokens), stream.flush()]) == tokenizer.decode(tokens)
    return equal(right, _RANDOM, "answers of 40 random tokens")


def hostile(demo: Demo) -> Measure:
    """No text makes a special token, however it spells one."""
    tokenizer = _bundled()
    edges = [(before, after) for before in ("", " ", "a", "<|bos|>") for after in ("", "\n")]
    texts = [f"{before}{name}{after}" for name in SPECIAL_TOKENS for before, after in edges]
    special = sum(tokenizer.is_special(token) for text in texts for token in tokenizer.encode(text))
    same = all(tokenizer.decode(tokenizer.encode(text)) == text for text in texts)
    return Measure(special, "= 0, texts kept", special == 0 and same, f"special tokens from {len(texts)} texts")


def rendering(demo: Demo) -> Measure:
    """A conversation with a system prompt and a tool call, token by token as upstream lays it out."""
    tokenizer = _bundled()
    tokens, mask = render_conversation(tokenizer, [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 12*3?"},
        {"role": "assistant", "content": [
            {"type": "text", "text": "Let me see: "}, {"type": "python", "text": "12*3"},
            {"type": "python_output", "text": "36"}, {"type": "text", "text": " It is 36."}]}])
    layout = [  # name or text, whether the model learns to say it
        ("<|bos|>", 0), ("<|user_start|>", 0), ("Be brief.\n\nWhat is 12*3?", 0), ("<|user_end|>", 0),
        ("<|assistant_start|>", 0), ("Let me see: ", 1), ("<|python_start|>", 1), ("12*3", 1), ("<|python_end|>", 1),
        ("<|output_start|>", 0), ("36", 0), ("<|output_end|>", 0), (" It is 36.", 1), ("<|assistant_end|>", 1)]
    wanted = [(token, taught) for text, taught in layout
              for token in ([tokenizer.encode_special(text)] if text in SPECIAL_TOKENS else tokenizer.encode(text))]
    right = sum(pair == want for pair, want in zip(zip(tokens, mask, strict=True), wanted, strict=False))
    return Measure(f"{right} of {len(wanted)}", f"= {len(wanted)} tokens and masks",
                   right == len(wanted) == len(tokens))


@cache
def _bundled() -> Tokenizer:
    opened = checkpoint.open(checkpoint.resolve(None), verify=False)
    assert opened.tokenizer_path is not None
    return Tokenizer.load(opened.tokenizer_path)


def _characters(rng: random.Random) -> str:
    """Forty characters from anywhere in Unicode, half surrogate pairs left out."""
    points = (rng.randrange(0x110000 - 0x800) for _ in range(40))
    return "".join(chr(point if point < 0xD800 else point + 0x800) for point in points)


CHECKS = (
    Check("M10", "text to tokens and back", identity),
    Check("M10", "streamed text equals whole text", pieces),
    Check("M10", "text makes no special tokens", hostile),
    Check("M10", "conversations are laid out as upstream's", rendering),
)

"""Bits per byte by hand from llm.logits, the same in batches of any size."""

import math

import pytest

from pynanochat.errors import DataError
from pynanochat.eval.bits_per_byte import bits_per_byte, windows
from pynanochat.sampling import log_softmax

TEXT = "Ben found a small red kite by the sea. Ünïcode, 12 + 30 = 42 and some more words follow here. " * 3


def by_hand(llm, documents):
    words, nats, size, count = llm.tokenizer, 0.0, 0, 0
    for document in documents:
        tokens = words.encode(document)
        for start in range(0, len(tokens), llm.context):
            piece = tokens[start:start + llm.context]
            logits = llm.logits([words.bos, *piece[:-1]])
            nats += sum(-log_softmax(row)[token] for row, token in zip(logits, piece, strict=True))
            count += len(piece)
        size += len(document.encode())
    return nats / math.log(2) / size, math.exp(nats / count), size


def test_by_hand(tiny):
    documents = [TEXT, "Short.", "", TEXT[:96]]
    found = bits_per_byte(tiny, documents)
    value, perplexity, size = by_hand(tiny, documents)
    assert found.value == pytest.approx(value, rel=1e-6)
    assert found.perplexity == pytest.approx(perplexity, rel=1e-6)
    assert (found.bytes, found.tokens) == (size, size)  # its tokens are bytes
    assert len(found.windows) == len(windows(tiny, documents)) > len(documents)
    score = found.score("mine")
    assert (score.unit, score.n, score.facts["bytes"]) == ("bits/byte", len(found.windows), size)
    assert score.value == pytest.approx(value, rel=1e-6)
    assert 0 < score.standard_error < 1


def test_batches_change_nothing(tiny):
    heard = []
    found = [bits_per_byte(tiny, [TEXT, "more"], batch=batch, progress=lambda *done: heard.append(done))
             for batch in (1, 2, 64)]
    assert found[0] == found[1] == found[2]
    count = len(windows(tiny, [TEXT, "more"]))
    assert heard[-1] == (count, count)


def test_a_vocabulary_of_more_than_bytes(story):
    found = bits_per_byte(story, [TEXT])
    assert found.bytes == len(TEXT.encode())
    assert found.tokens == len(story.tokenizer.encode(TEXT))
    assert found.value == pytest.approx(by_hand(story, [TEXT])[0], rel=1e-6)


def test_only_so_many_windows(tiny):
    assert bits_per_byte(tiny, [TEXT], max_windows=2).bytes == 2 * 96
    assert windows(tiny, [TEXT], 2) == windows(tiny, [TEXT])[:2]


def test_no_text(tiny):
    with pytest.raises(DataError, match="no tokens"):
        bits_per_byte(tiny, ["", ""])

"""Packing: every token lies in a row once, rows begin with documents, and little stays free."""

import numpy as np
import pytest
from fuzzing import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from pynanochat.train.order import epoch_order, row_order, shuffled
from pynanochat.train.packing import pack


def check(lengths, places, cuttable):
    rows = pack(lengths, places, cuttable)
    spans = {document: [] for document in range(len(lengths))}
    for row in rows:
        assert row
        assert sum(piece.places for piece in row) <= places
        for number, (document, offset, count) in enumerate(row):
            assert count >= 1
            begin, end = offset, offset + count - (offset > 0)
            spans[document].append((begin, end))
            if end < lengths[document]:  # a cut is at the end of a full row: what follows is no end of the document
                assert number == len(row) - 1
                assert sum(piece.places for piece in row) == places
    for document, found in spans.items():
        found.sort()
        assert [begin for begin, _ in found] == [0, *(end for _, end in found[:-1])]
        assert found[-1][1] == lengths[document]
        if lengths[document] <= places and not cuttable[document]:
            assert len(found) == 1
    return rows


@settings(max_examples=examples(300), deadline=None)
@given(data=st.data(), places=st.integers(2, 80))
def test_every_token_lies_in_a_row_once(data, places):
    lengths = data.draw(st.lists(st.integers(2, 200), min_size=1, max_size=60))
    cuttable = data.draw(st.lists(st.booleans(), min_size=len(lengths), max_size=len(lengths)))
    check(lengths, places, cuttable)


def test_by_hand():
    assert pack([6, 4, 3, 2], 10, [False] * 4) == [[(0, 0, 6), (1, 0, 4)], [(2, 0, 3), (3, 0, 2)]]
    assert pack([25], 10, [False]) == [[(0, 0, 10)], [(0, 10, 10)], [(0, 19, 7)]]
    assert pack([7, 7], 10, [True, True]) == [[(1, 0, 7), (0, 0, 3)], [(0, 3, 5)]]
    assert pack([7, 7], 10, [False, False]) == [[(1, 0, 7)], [(0, 0, 7)]]
    assert pack([], 10, []) == []


DISTRIBUTIONS = {
    "stories": (lambda rng, n: rng.lognormal(5, 0.6, n), 0.996),
    "web": (lambda rng, n: rng.lognormal(6.2, 1.1, n), 0.998),
    "short": (lambda rng, n: rng.integers(5, 40, n), 0.99),
    "all of one awkward length": (lambda rng, n: np.full(n, 330), 0.985),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_little_stays_free(name):
    draw, least = DISTRIBUTIONS[name]
    lengths = np.maximum(draw(np.random.default_rng(1), 4000).astype(int), 2).tolist()
    rows = check(lengths, 513, [True] * len(lengths))
    assert sum(piece.places for row in rows for piece in row) / (len(rows) * 513) > least


def test_conversations_stay_whole_and_most_rows_are_full():
    lengths = np.maximum(np.random.default_rng(1).lognormal(4.5, 0.7, 2000).astype(int), 2).clip(2, 513).tolist()
    rows = check(lengths, 513, [False] * len(lengths))
    assert sum(lengths) / (len(rows) * 513) > 0.99


def test_an_order_is_a_pure_function():
    for count in (0, 1, 7, 1000):
        assert sorted(shuffled(count, 5, 2).tolist()) == list(range(count))
    orders = [shuffled(1000, *key).tolist() for key in ((5, 2), (5, 3), (6, 2), (5, 2, 1 << 32))]
    assert len({tuple(order) for order in orders}) == 4
    assert shuffled(1000, 5, 2).tolist() == orders[0]
    assert sorted(row_order(50, 5, 2, 0)) == list(range(50))
    assert row_order(50, 5, 2, 0) != row_order(50, 5, 2, 2048)


def test_this_order_never_changes():
    assert shuffled(8, 7, 1).tolist() == [3, 1, 6, 2, 5, 4, 0, 7]


def test_a_mixture_repeats_its_sources():
    counts = np.bincount(epoch_order([3, 2, 10], [1, 3, 0], 1, 0), minlength=15)
    assert counts.tolist() == [1] * 3 + [3] * 2 + [0] * 10
    seen = np.zeros(10, int)
    for epoch in range(4):
        order = epoch_order([10], [1.25], 9, epoch)
        assert len(order) == 12 + epoch % 2
        assert np.bincount(order, minlength=10).min() == 1
        seen += np.bincount(order, minlength=10)
    assert seen.tolist() == [5] * 10  # the broken share goes round

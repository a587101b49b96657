"""Bars fit a terminal, and their lengths are in proportion."""

import pytest

from pynanochat.bench.plot import bars, figures


@pytest.mark.parametrize("values", [{1: 95.0, 32: 1234567.0}, {2048: 0.001}, {1: 1.0, 2: 2.0, 4: 4.0, 8: 0.0}])
@pytest.mark.parametrize("width", [40, 76])
def test_bars(values, width):
    top, *lines = bars("batch", "tokens/s", values, width)
    assert top.startswith("batch ")
    assert top.endswith(" tokens/s")
    assert {len(line) for line in (top, *lines)} == {width}
    lengths = [line.count("█") for line in lines]
    most = max(lengths)
    for value, length in zip(values.values(), lengths, strict=True):
        assert abs(length - most * value / max(values.values())) <= 1


def test_figures():
    assert [figures(number) for number in (0.1234, 9.876, 99.94, 123.4, 45678.9)] == [
        "0.123", "9.88", "99.9", "123", "45,679"]

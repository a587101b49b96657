"""A source that is to come very often is refused before it takes memory; ordinary counts keep their order."""

from __future__ import annotations

import hashlib
import tracemalloc

import pytest
from fixture_files import parity

from pynanochat.errors import DataError
from pynanochat.tokenizer import Tokenizer
from pynanochat.train import shards
from pynanochat.train.loader import Loader, evaluation
from pynanochat.train.order import epoch_order
from pynanochat.train.plan import Plan
from pynanochat.train.shards import Shards
from pynanochat.train.texts import Document


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    folder, words = tmp_path_factory.mktemp("texts") / "d", Tokenizer.load(parity("tokenizer_512"))
    shards.write(folder, [Document(text=f"text {number}") for number in range(200)], words, val_share=0.1)
    return shards.open(folder)


def test_a_million_times_is_refused_at_once(texts: Shards) -> None:
    tracemalloc.start()
    with pytest.raises(DataError, match=r"1,000,000 times an epoch, which makes 1\d\d,000,1\d\d documents; expected"):
        Loader([(texts, 1), (texts, 1_000_000)], row_tokens=16, step_rows=2)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1 << 20


@pytest.mark.parametrize("times", [1_000_001, 10**4000, float("nan")])
def test_a_number_that_none_means(texts: Shards, times: float) -> None:
    with pytest.raises(DataError, match=r"expected a number, 0 to 1,000,000") as caught:
        evaluation([(texts, times)], row_tokens=16, step_rows=2)
    assert len(str(caught.value)) < 300


def test_a_thousand_times_is_a_thousand_times(texts: Shards) -> None:
    assert len(Plan([(texts, 1000)], "train", 16, 0).order(0)) == 1000 * texts.split("train").documents


def test_the_order_of_ordinary_counts_stays_what_it_was() -> None:
    orders = [epoch_order([50, 7, 9], [1.0, 3.0, 2.5], seed, epoch) for seed in (0, 5) for epoch in (0, 1)]
    digest = hashlib.sha256(b"".join(order.astype("<i8").tobytes() for order in orders)).hexdigest()
    assert digest == "590c78a25134f75efd70cabaa80b450969f4a7cf77e812d9617f3b65a3990fc3"

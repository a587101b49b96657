"""A workload lays sequences down as the engine would: the same logits as a plain run of the same tokens."""

import numpy as np
import pytest

from pynanochat.backends import choose, open_runner
from pynanochat.bench.workload import STEP_ROWS, Workload
from pynanochat.initialize import random_tensors


def runner_of(cfg, work):
    tensors = random_tensors(cfg, 3)
    return open_runner(choose("reference", None), cfg, tensors.__getitem__, context=work.length, pages=work.pages)


def logits(runner, batch):
    return runner.forward(batch).numpy().copy()


def test_decode_after_fill_is_the_prompt_in_one_step(cfg):
    work = Workload(cfg, 3, 40)
    whole = [logits(runner_of(cfg, work), work.batch(range(i, i + 1), 0, 30, sampled=30)) for i in range(3)]
    runner = runner_of(cfg, work)
    for batch in work.fill(0, 25):
        runner.forward(batch)
    for _ in range(2):  # again over what is there already
        for position, batch in zip(range(25, 30), work.decode(3, 25, 5), strict=True):
            assert np.array_equal(logits(runner, batch), [rows[position] for rows in whole])


@pytest.mark.parametrize(("count", "start", "end"), [(1, 0, 1000), (32, 0, 64), (5, 3, 4), (300, 0, 1), (2, 10, 10)])
def test_fill_runs_every_token_once_in_steps_of_the_engines_size(cfg, count, start, end):
    work = Workload(cfg, count, end)
    seen = set()
    for batch in work.fill(start, end):
        assert 0 < len(batch.tokens) <= STEP_ROWS
        assert len(batch.sample_rows) == len(batch.seq_start) - 1
        places = list(zip(batch.page_tables[0][batch.row_sequences, 0].tolist(), batch.positions.tolist(), strict=True))
        assert not seen & set(places)
        seen.update(places)
    assert len(seen) == count * (end - start)


def test_pages_are_shared_by_no_two_sequences(cfg):
    work = Workload(cfg, 4, 50)
    tables = work.batch(range(4), 0, 1).page_tables
    assert len(tables) == len(work.pages) == 2
    for table, pages in zip(tables, work.pages, strict=True):
        assert sorted(table.ravel()) == list(range(pages)) == list(range(16))

"""Workers: results in order, errors passed on, and nothing left behind when the process that asks is stopped."""

from __future__ import annotations

import math
import os
import signal
from pathlib import Path

import pytest
from fixture_files import parity
from stopped_scripts import stopped

from pynanochat.errors import TrainingError
from pynanochat.train.workers import in_order

pytestmark = pytest.mark.skipif(os.name == "nt", reason="process groups are POSIX's")

ASKS = """
    import sys, time
    from pynanochat.train.workers import in_order

    def asked():
        print("ready", flush=True)  # the workers have just been started
        yield from [{seconds}] * 3

    try:
        for _ in in_order(time.sleep, asked(), 2):
            time.sleep(100)
    except KeyboardInterrupt:
        sys.exit(130)
"""
WRITES = """
    import sys, time
    from pynanochat.cli import main
    from pynanochat.train import texts

    def slow(*_, **__):
        for number in range(600):
            yield texts.Document(text=f"text {{number}}")
        print("ready", flush=True)
        time.sleep(100)

    texts.documents = slow
    sys.exit(main(["train", "data", "--tokenizer", "{tokenizer}", "--out", "{out}", "--processes", "2"]))
"""


@pytest.mark.parametrize("seconds", [0, 100])
def test_ctrl_c_is_for_the_process_that_asks(seconds: int) -> None:
    assert stopped(ASKS, signal.SIGINT, seconds=seconds) == (130, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_process_that_asks(number: signal.Signals) -> None:
    assert stopped(ASKS, number, seconds=0) == (-number, "")


def test_ctrl_c_of_train_data_leaves_nothing(tmp_path: Path) -> None:
    code, said = stopped(WRITES, signal.SIGINT, tokenizer=parity("tokenizer_512"), out=tmp_path / "data")
    assert (code, said) == (130, f"stopped; {tmp_path / 'data'} is as it was before\n")
    assert list(tmp_path.iterdir()) == []


def test_order_and_errors() -> None:
    numbers = [9, 4, 1, 0, 16]
    assert list(in_order(math.sqrt, numbers, 2)) == list(in_order(math.sqrt, numbers, 1)) == [3, 2, 1, 0, 4]
    with pytest.raises(ValueError, match="math domain error"):
        list(in_order(math.sqrt, [1, -1], 2))


def test_a_worker_that_ends_is_told() -> None:
    with pytest.raises(TrainingError, match="a process that worked for this one ended"):
        list(in_order(os._exit, [0, 0, 0], 2))

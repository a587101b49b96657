"""A network small enough that measuring it takes no time, and the least effort."""

import pytest

from pynanochat.bench.effort import Effort
from pynanochat.config import GPTConfig


@pytest.fixture(scope="session")
def cfg():
    return GPTConfig(sequence_len=64, vocab_size=96, n_layer=3, n_head=2, n_kv_head=1, n_embd=32, window_pattern="SL",
                     short_window=20)


@pytest.fixture(scope="session")
def least():
    return Effort(steps=4, sweep_steps=2, repeats=1, prompt=40, start=8, batches=(1, 3), contexts=(16, 32),
                  bandwidth_repeats=1)

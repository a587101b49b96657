"""What the tests of the command share: a random model, stdin, and a call in this process."""

import io
import sys

import pytest
from command_line import Terminal

from pynanochat import checkpoint
from pynanochat.cli import main
from pynanochat.config import GPTConfig
from pynanochat.initialize import random_tensors
from pynanochat.tokenizer import SPECIAL_TOKENS, Tokenizer

CONFIG = GPTConfig(sequence_len=256, vocab_size=265, n_layer=2, n_head=2, n_kv_head=1, n_embd=32)


@pytest.fixture(autouse=True)
def no_other_models(monkeypatch, tmp_path):
    monkeypatch.setenv("NANOCHAT_BASE_DIR", str(tmp_path / "base"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("NANOCHAT_BACKEND", "BURN_BACKEND", "NANOCHAT_HISTORY", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A random model whose tokens are bytes."""
    words = Tokenizer({bytes([i]): i for i in range(256)}, {name: 256 + i for i, name in enumerate(SPECIAL_TOKENS)})
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return str(checkpoint.save(folder, config=CONFIG, tensors=random_tensors(CONFIG, 1), tokenizer=words,
                               meta={"step": 3, "val_bpb": 1.5}))


@pytest.fixture(scope="session")
def mute(tmp_path_factory):
    """The same without a tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "mute"
    return str(checkpoint.save(folder, config=CONFIG, tensors=random_tensors(CONFIG, 1)))


@pytest.fixture
def stdin(monkeypatch):
    def give(data):
        data = data if isinstance(data, bytes) else data.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))

    give("")
    return give


@pytest.fixture
def call(capsys, stdin):
    """Exit code, stdout and stderr of a command; `piped` is its stdin."""

    def run(*arguments, piped=""):
        stdin(piped)
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def terminal():
    pytest.importorskip("termios")
    opened = []

    def start(*arguments, **how):
        opened.append(Terminal(*arguments, **how))
        return opened[-1]

    yield start
    for one in opened:
        one.close()

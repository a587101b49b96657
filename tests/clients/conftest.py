"""What the tests with real clients share: servers, the clients, and the model to know what must be said."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixture_files import STORY5M
from real_clients import Clients
from running_server import Served, serve

import pynanochat as nc
from pynanochat.chat import apply_chat_template

NEEDED = ("uvicorn", "httptools", "prometheus_client", "llguidance")


@pytest.fixture(scope="session")
def extra() -> None:
    """What nanochat serve needs."""
    for name in NEEDED:
        pytest.importorskip(name, reason=f"{name} of the extra serve is not installed")


@pytest.fixture(scope="session")
def served(extra: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A trained model behind `nanochat serve`."""
    yield from serve(tmp_path_factory.mktemp("served"), str(STORY5M))


@pytest.fixture(scope="session")
def llm() -> nc.LLM:
    """The model that the server has."""
    return nc.load(STORY5M)


@pytest.fixture(scope="session")
def says(llm):
    """The model's answer to a question or a conversation, from Python."""
    def answer(asked, **settings):
        turns = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
        return llm.generate(apply_chat_template(llm.tokenizer, turns), **settings)

    return answer


@pytest.fixture(scope="session")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Clients:
    """The environment of the clients; NANOCHAT_CLIENTS names the Python of another one."""
    python = os.environ.get("NANOCHAT_CLIENTS") or str(Path(__file__).parents[2] / ".venv-clients/bin/python")
    if shutil.which(python) is None:
        pytest.skip(f"there is no {python}; make clients installs the clients")
    return Clients.of(python, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def served_with_key(extra: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One that wants a key."""
    yield from serve(tmp_path_factory.mktemp("served_with_key"), str(STORY5M), "--api-key", "open-sesame")


@pytest.fixture(scope="session")
def served_with_bos(extra: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One that puts <|bos|> in front of every prompt of /v1/completions, token ids included."""
    yield from serve(tmp_path_factory.mktemp("served_with_bos"), str(STORY5M), "--bos", "always")

"""The API over a trained model, and over a model that says what a test wants, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from fixture_files import STORY5M

import pynanochat as nc

if TYPE_CHECKING:
    from api_client import Api, ScriptedApi


@pytest.fixture(scope="session")
def story5m() -> nc.LLM:
    return nc.load(STORY5M)


@pytest.fixture(scope="session")
def api(story5m: nc.LLM) -> Iterator[Api]:
    from api_client import Api

    served = Api({"story5m": story5m})
    yield served
    served.close()


@pytest.fixture(scope="session")
def scripted(story5m: nc.LLM) -> Iterator[ScriptedApi]:
    from api_client import ScriptedApi

    served = ScriptedApi(story5m)
    yield served
    served.close()

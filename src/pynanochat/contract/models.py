"""Which models there are."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from pynanochat.contract.clients import GUIDELLM, OPENAI_NPM, OPENAI_PYTHON, SPECIFICATION
from pynanochat.contract.problem import Problem, quoted
from pynanochat.contract.result import Check
from pynanochat.contract.server import Server, accepted
from pynanochat.contract.shape import NAME, SECONDS, differences, exactly, record, sequence

MODEL = record(id=NAME, object=exactly("model"), created=SECONDS, owned_by=NAME)
LIST = record(object=exactly("list"), data=sequence(record(id=NAME), 1))


def listed(server: Server) -> Iterator[Problem]:
    """GET /v1/models."""
    document = accepted("/v1/models", server.get("/v1/models"))
    yield from differences(document, LIST)
    data = document.get("data")
    names = [model.get("id") for model in data if isinstance(model, dict)] if isinstance(data, list) else []
    if server.model not in names:
        yield Problem("data", f"does not name {quoted(server.model)}")


def fields(server: Server) -> Iterator[Problem]:
    """The fields of each model."""
    return differences(accepted("/v1/models", server.get("/v1/models")), record(data=sequence(MODEL)))


def by_name(server: Server) -> Iterator[Problem]:
    """GET /v1/models/{id}."""
    path = f"/v1/models/{quote(server.model)}"  # as openai-python does, which leaves a / in it
    document = accepted(path, server.get(path))
    yield from differences(document, record(id=NAME))
    if document.get("id") not in (None, server.model):
        yield Problem("id", f"is {quoted(document['id'])}; expected {quoted(server.model)}")


CHECKS = (
    Check("models", "models are listed", "required", (OPENAI_PYTHON, OPENAI_NPM, GUIDELLM), listed),
    Check("models", "fields of a model", "expected", (SPECIFICATION,), fields),
    Check("models", "a model by its name", "expected", (OPENAI_PYTHON, OPENAI_NPM), by_name),
)

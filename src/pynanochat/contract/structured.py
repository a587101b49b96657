"""Answers in JSON: any object, or one that follows a schema."""

from __future__ import annotations

from collections.abc import Iterator

from pynanochat.contract.chat import text_of
from pynanochat.contract.clients import LANGCHAIN, LITELLM, OPENAI_AGENTS, OPENAI_PYTHON, SPECIFICATION
from pynanochat.contract.problem import AnswerError, Problem, quoted
from pynanochat.contract.result import Check
from pynanochat.contract.server import Document, Server, parsed, pick
from pynanochat.contract.shape import BOOLEAN, Shape, differences, one_of, record

# No free text and no number, so that the answer ends however small the model is.
DOG = {**record(animal={"type": "string", **one_of("dog", "cat", "bird")}, friendly=BOOLEAN,
                ball={**record(color={"type": "string", **one_of("red", "green", "blue")}),
                      "additionalProperties": False}),
       "additionalProperties": False}
_LONGEST = 96  # tokens
_QUESTION = "Describe the dog and its ball as a JSON object."
_PLACE = "choices[0].message.content"


def any_object(server: Server) -> Iterator[Problem]:
    """The answer to json_object is one, as far as max_tokens lets it come."""
    return _judged(server, {"type": "json_object"}, {"type": "object"})


def by_schema(server: Server) -> Iterator[Problem]:
    """The answer to json_schema follows it."""
    return _judged(server, {"type": "json_schema", "json_schema": {"name": "dog", "schema": DOG, "strict": True}}, DOG)


def _judged(server: Server, wanted: Document, shape: Shape) -> Iterator[Problem]:
    document = server.chat(_QUESTION, response_format=wanted, max_tokens=_LONGEST)
    text = text_of(document)
    try:
        value = parsed(text)
    except AnswerError:
        cut = pick(document, "choices", 0, "finish_reason", kind=str) == "length"
        if not cut or text.strip()[:1] not in ("", "{"):
            yield Problem(_PLACE, f"is {quoted(text)}; expected a JSON object")
        return
    yield from differences(value, shape, _PLACE)


CHECKS = (
    Check("JSON", "response_format json_object", "expected", (SPECIFICATION, LITELLM), any_object),
    Check("JSON", "response_format json_schema", "expected", (SPECIFICATION, OPENAI_PYTHON, LANGCHAIN, OPENAI_AGENTS),
          by_schema),
)

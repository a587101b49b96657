"""What the server answers when something is wrong, in OpenAI's shape: {"error": {message, type, param, code}}."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from pynanochat.errors import BackendError, ContextError, NanochatError
from pynanochat.serve.bridge import QueueFullError

MOST_MESSAGE = 2000  # characters: an error never echoes a big value
MOST_NAME = 200


class Disconnected(Exception):  # noqa: N818 - an event, not a fault
    """The client has left, or has stopped reading; there is nobody to answer."""


class ApiError(Exception):
    """An answer with an HTTP status of 400 or more.

    `param` names the field of the request that is wrong, `code` is for programs, such as "model_not_found".
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str | None = None,  # noqa: A002 - OpenAI's name
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = _bounded(message, MOST_MESSAGE)
        self.type = type or ("server_error" if status >= 500 else
                             "rate_limit_error" if status == 429 else "invalid_request_error")
        self.param = None if param is None else _bounded(param, MOST_NAME)
        self.code = None if code is None else _bounded(code, MOST_NAME)
        self.headers = dict(headers or {})

    @classmethod
    def of(cls, error: BaseException) -> ApiError:
        """The answer to any error; what is not a `NanochatError` is the server's fault and told without details."""
        if isinstance(error, ApiError):
            return error
        if isinstance(error, QueueFullError):
            return cls(429, str(error), code="queue_full",
                       headers={"retry-after": str(math.ceil(error.retry_after_seconds))})
        if isinstance(error, BackendError):
            return cls(503, str(error), code="engine_unavailable")
        if isinstance(error, ContextError):
            return cls(400, str(error), code="context_length_exceeded")
        if isinstance(error, NanochatError):
            return cls(400, str(error))
        return cls(500, "the server failed at this request; its log says where", code="internal_error")

    def document(self) -> bytes:
        """The JSON document, at most 8 KiB."""
        return msgspec.json.encode({"error": {
            "message": self.message, "type": self.type, "param": self.param, "code": self.code}})


def _bounded(text: str, most: int) -> str:
    """The text on one printable line, cut in its middle; what UTF-8 cannot hold is replaced."""
    if len(text) > most:
        text = f"{text[:most * 3 // 4]} ... {text[-most // 5:]}"
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)

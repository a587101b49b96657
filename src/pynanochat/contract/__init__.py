"""The client contract: what OpenAI's clients need of a server, asked of any server, with the offending field named.

Every part of it comes from a client or from OpenAI's specification; `Check.level` says what happens without it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from pynanochat import __version__
from pynanochat.contract import (
    chat,
    completions,
    load,
    logprobs,
    models,
    refusals,
    responses,
    sampling,
    scoring,
    stream,
    structured,
    tokens,
    transport,
)
from pynanochat.contract.address import Address
from pynanochat.contract.problem import AnswerError, NotOfferedError, SilenceError, UnreachableError
from pynanochat.contract.result import Check, Report, Result, examined
from pynanochat.contract.server import Reply, Server, accepted, pick
from pynanochat.errors import RequestError

__all__ = ["CHECKS", "Check", "Report", "Result", "check_server", "run"]

CHECKS: tuple[Check, ...] = (
    *models.CHECKS, *chat.CHECKS, *sampling.CHECKS, *logprobs.CHECKS, *structured.CHECKS, *stream.CHECKS,
    *completions.CHECKS, *scoring.CHECKS, *responses.CHECKS, *tokens.CHECKS, *refusals.CHECKS, *transport.CHECKS,
    *load.CHECKS)


def check_server(url: str, *, api_key: str | None = None, model: str | None = None, only: Collection[str] = (),
                 timeout: float = 60.0, on_result: Callable[[Result], None] | None = None) -> Report:
    """The report on the server at a URL, with or without /v1 at its end.

    `only` are names of checks or areas, all if there are none; `timeout` is in seconds, for one request; the model is
    the first that the server names unless given.

    Raises:
        RequestError: the URL is none, nobody listens there, or the server wants a key.
    """
    started = time.perf_counter()
    chosen = [check for check in CHECKS if not only or {check.name, check.area} & set(only)]
    unknown = set(only) - {name for check in CHECKS for name in (check.name, check.area)}
    if unknown:
        areas = ", ".join(dict.fromkeys(check.area for check in CHECKS))
        raise RequestError(f"no check is named {', '.join(map(repr, sorted(unknown)))}; expected an area of {areas}")
    if not timeout > 0:
        raise RequestError(f"timeout is {timeout}; expected seconds above 0")
    address = Address.parse(url)
    if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
        raise RequestError("the API key holds letters that no HTTP header takes; expected printable ASCII")
    server = Server(address, api_key=api_key, timeout=timeout)
    found = _model(server)
    server.model = model or found or server.model
    results = []
    for check in chosen:
        results.append(examined(check, server))
        if on_result is not None:
            on_result(results[-1])
    return Report(str(address), server.model, tuple(results), time.perf_counter() - started)


def run(url: str, *, api_key: str | None = None, model: str | None = None, json: bool = False) -> int:
    """The command: prints the report and gives its exit code, 1 where a required check failed.

    Raises:
        RequestError: as `check_server`; the command line ends with 2.
    """
    from pynanochat.cli.terminal import emit
    from pynanochat.contract.report import show, show_heading, show_summary

    areas: list[str] = []

    def tell(result: Result) -> None:
        if not areas:
            show_heading(url, len(CHECKS))
        show(result, heading=result.area not in areas)
        areas.append(result.area)

    report = check_server(url, api_key=api_key, model=model, on_result=None if json else tell)
    if json:
        emit({"version": __version__, **report.to_dict()})
    else:
        show_summary(report)
    return int(not report.passed)


def _model(server: Server) -> str | None:
    """The first model that the server names, None if it names none; this is how we learn that somebody is there."""
    try:
        reply: Reply = server.get("/v1/models")
    except UnreachableError as error:
        raise RequestError(f"{error}; start the server, or correct the URL") from None
    except SilenceError:
        raise RequestError(f"{server.address} takes connections but did not answer within {server.timeout:g} s; is it "
                           "an HTTP server?") from None
    except AnswerError:
        return None
    if reply.status in (401, 403):
        raise RequestError(f"{server.address} answered {reply.status}: it wants an API key"
                           + ("" if server.api_key is None else " other than this one"))
    try:
        return pick(accepted("/v1/models", reply), "data", 0, "id", kind=str) or None
    except (AnswerError, NotOfferedError):
        return None

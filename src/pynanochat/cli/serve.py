"""nanochat serve: models behind an OpenAI-compatible address, with a page for people."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from pynanochat.cli.options import CheckpointOptions, Json, RunningOptions, load_model
from pynanochat.cli.terminal import emit, say
from pynanochat.errors import RequestError

_EXTRA = "pip install 'pynanochat[serve]'"
_NEEDED = {"uvicorn", "httptools", "prometheus_client"}
_SAFETY = Group("Safety", sort_key=1)
_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,99})=(.+)", re.DOTALL)


def serve(
    *models: Annotated[str, Parameter(
        help="Paths, tags or Hugging Face ids, or NAME=MODEL; the first answers requests that name none. nano8m if "
             "left out.", show_default=False)],
    host: Annotated[str, Parameter(help="Address to listen on; 0.0.0.0 is every one of this machine.")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="0 takes a free one.")] = 8000,
    api_key: Annotated[tuple[str, ...], Parameter(
        group=_SAFETY, help="A key that clients must send; may be given again. NANOCHAT_API_KEY is another.")] = (),
    api_key_file: Annotated[Path | None, Parameter(group=_SAFETY, help="A file with a key on each line.")] = None,
    allowed_host: Annotated[tuple[str, ...], Parameter(
        group=_SAFETY, help="A name in the Host header that is answered, too; may be given again, * is any.")] = (),
    allowed_origin: Annotated[tuple[str, ...], Parameter(
        group=_SAFETY, help="A foreign page that may ask, as in https://example.org; may be given again, * is "
                            "any.")] = (),
    max_waiting: Annotated[int, Parameter(help="Requests that wait for the model; more are told to come again.")] = 128,
    request_timeout: Annotated[float, Parameter(
        help="Seconds after which a request is cancelled; 0 is never.")] = 600.0,
    shutdown_timeout: Annotated[float, Parameter(help="Seconds for running requests to finish after Ctrl-C.")] = 30.0,
    bos: Annotated[Literal["auto", "always", "never"], Parameter(
        help="What /v1/completions puts <|bos|> before: auto, texts; always, token ids that lack it, too.")] = "auto",
    log_requests: Annotated[bool, Parameter(help="A line on stderr for each request, without its content.")] = False,
    check: Annotated[str | None, Parameter(
        help="Instead, run our client contract against the server at this URL and report; MODEL is its model.")] = None,
    json: Json = False,
    files: CheckpointOptions = CheckpointOptions(),  # noqa: B008 - frozen
    running: RunningOptions = RunningOptions(),  # noqa: B008
) -> int:
    """Serve models over HTTP: OpenAI's API below /v1, a page at /, /health and /metrics.

    Ready when it prints its URL. Ctrl-C or SIGTERM lets running requests finish; a second one does not.
    """
    keys = _keys(api_key, api_key_file)
    for origin in allowed_origin:
        if origin != "*" and not re.fullmatch(r"https?://[^/\s]+/?", origin):
            raise RequestError(f"--allowed-origin is {origin!a}; expected scheme and host, as in https://example.org")
    if check is not None:
        from pynanochat import contract

        return contract.run(check, api_key=keys[0] if keys else None, model=models[0] if models else None, json=json)
    for name, value in (("--max-waiting", max_waiting), ("--request-timeout", request_timeout),
                        ("--shutdown-timeout", shutdown_timeout)):
        if not 0 <= value < float("inf"):
            raise RequestError(f"{name} is {value}; expected 0 or more")
    try:
        from pynanochat.serve import lifecycle
        from pynanochat.serve.app import App
        from pynanochat.serve.bridge import EngineThread
        from pynanochat.serve.guard import Guard, is_loopback
        from pynanochat.serve.limits import Settings
        from pynanochat.serve.routes import ROUTES
        from pynanochat.serve.server import ServedModel, Server
    except ModuleNotFoundError as error:
        library = str(error.name).partition(".")[0]
        if library not in _NEEDED:
            raise
        raise RequestError(f"nanochat serve needs {library}; install it with {_EXTRA}") from None

    with lifecycle.bind(host, port) as listener:  # before the models, which take longer
        if not keys and not is_loopback(host):
            say(f"warning: everyone who reaches {host} may use this server; set --api-key, or leave --host out",
                "yellow")
        served: dict[str, ServedModel] = {}
        for name, source in _named(models):
            llm = load_model(source, files, running)
            name = name or llm.checkpoint.path.name
            if name in served:
                raise RequestError(f"two models are called {name}; name one of them, as in other={source or name}")
            engine = EngineThread(llm, name=name, most_waiting=max_waiting)
            served[name] = ServedModel(name=name, llm=llm, engine=engine, created=int(time.time()))
        settings = Settings(bos=bos, request_seconds=request_timeout or None, shutdown_seconds=shutdown_timeout,
                            log_requests=log_requests)
        guard = Guard(bound=host, keys=keys, hosts=allowed_host, origins=allowed_origin)
        app = App(Server(models=served, settings=settings), guard, ROUTES)
        address = lifecycle.url(listener)

        def ready() -> None:
            if json:
                emit({"url": address, "models": list(served)})
            else:
                print(f"Serving {', '.join(served)} at {address}")
                if host in ("0.0.0.0", "::"):
                    say("and at every other address of this machine", "dim")
            sys.stdout.flush()
            say("Ctrl-C stops it.", "dim")

        _log_to_stderr()
        code = lifecycle.Lifecycle(app, listener).run(ready)
    say("stopped", "dim")
    return code


def _keys(given: tuple[str, ...], file: Path | None) -> list[str]:
    """The API keys from every source; `RequestError` for one that no header can carry."""
    keys = list(given)
    if os.environ.get("NANOCHAT_API_KEY"):
        keys.append(os.environ["NANOCHAT_API_KEY"])
    if file is not None:
        try:
            found = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            raise RequestError(f"--api-key-file {file}: {reason}") from None
        if not found:
            raise RequestError(f"--api-key-file {file} holds no key; write one on each line")
        keys += found
    for key in keys:
        if not key.strip() or not key.isprintable():
            raise RequestError("an API key is empty or holds unprintable characters; choose letters and digits")
    return [key.strip() for key in keys]


def _named(models: tuple[str, ...]) -> list[tuple[str, str | None]]:
    """Name ("" for the checkpoint's own) and source of each model."""
    chosen: list[tuple[str, str | None]] = []
    for text in models:
        match = None if Path(text).exists() else _NAMED.fullmatch(text)
        chosen.append((match[1], match[2]) if match else ("", text))
    return chosen or [("", None)]


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("pynanochat.serve")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False

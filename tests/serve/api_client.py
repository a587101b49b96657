"""A server in this process with a client that speaks ASGI to it: no sockets, one loop in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from pynanochat.batch import Batch
from pynanochat.llm import LLM
from pynanochat.runner import Facts, HostLogits
from pynanochat.serve import lifecycle
from pynanochat.serve.app import App
from pynanochat.serve.bridge import EngineThread
from pynanochat.serve.guard import Guard
from pynanochat.serve.limits import Settings
from pynanochat.serve.routes import ROUTES
from pynanochat.serve.server import ServedModel, Server

HANG_SECONDS = 120.0


@dataclass(frozen=True)
class Reply:
    """An answer: its status, its headers, its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    parts: int = 1  # how many writes the body came in

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> list[str]:
        """The data of server-sent events."""
        assert self.headers["content-type"] == "text/event-stream", self.body
        found = []
        for block in self.body.decode().split("\n\n")[:-1]:
            lines = [line.removeprefix("data: ") for line in block.split("\n") if line.startswith("data: ")]
            assert len(lines) == 1, block
            found += lines
        return found

    @property
    def chunks(self) -> list[Any]:
        """The events of a stream that ends with [DONE]."""
        assert self.data[-1] == "[DONE]", self.data[-1]
        return [json.loads(line) for line in self.data[:-1]]

    @property
    def events(self) -> list[Any]:
        """The events of a stream that ends with none of its own."""
        return [json.loads(line) for line in self.data]

    @property
    def error(self) -> Any:
        """What was wrong."""
        document = self.json()
        assert set(document) == {"error"}
        assert set(document["error"]) == {"message", "type", "param", "code"}
        return document["error"]


class Api:
    """Models behind the routes of the API."""

    def __init__(self, models: Mapping[str, LLM], *, settings: Settings | None = None, keys: tuple[str, ...] = (),
                 most_waiting: int = 256) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        served = {name: ServedModel(name=name, llm=llm, created=int(time.time()), engine=EngineThread(
            llm, name=name, most_waiting=most_waiting)) for name, llm in models.items()}
        self.server = Server(models=served, settings=settings or Settings(), state="ready")
        self.app = App(self.server, Guard(bound="127.0.0.1", keys=keys), ROUTES)
        self._call(self._start())

    async def _start(self) -> None:
        for model in self.server.models.values():
            model.engine.start()

    def close(self) -> None:
        for model in self.server.models.values():
            self._call(model.engine.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(HANG_SECONDS)
        self._loop.close()

    def post(self, path: str, document: object = None, *, body: bytes | None = None,
             headers: Mapping[str, str] | None = None) -> Reply:
        return self.start(path, document, body=body, headers=headers).result(HANG_SECONDS)

    def start(self, path: str, document: object = None, *, body: bytes | None = None,
              headers: Mapping[str, str] | None = None) -> Future[Reply]:
        """The same, not waited for."""
        sent = json.dumps(document).encode() if body is None else body
        every = {"content-type": "application/json", **(headers or {})}
        return asyncio.run_coroutine_threadsafe(self._ask("POST", path, sent, every), self._loop)

    def get(self, path: str) -> Reply:
        return self._call(self._ask("GET", path, b"", {}))

    def chat(self, text: str = "", **fields: Any) -> Reply:
        return self.post("/v1/chat/completions", {"messages": [{"role": "user", "content": text}], **fields})

    def complete(self, prompt: object = None, **fields: Any) -> Reply:
        return self.post("/v1/completions", {"prompt": prompt, **fields})

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(HANG_SECONDS)

    async def _ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        messages = [{"type": "http.request", "body": body, "more_body": False}]
        answer: dict[str, Any] = {"status": 0, "headers": {}, "body": b"", "parts": 0}

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await asyncio.sleep(HANG_SECONDS)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer["status"] = message["status"]
                answer["headers"] = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                answer["body"] += message["body"]
                answer["parts"] += bool(message["body"])

        named = {"host": "127.0.0.1", "content-length": str(len(body)), **headers}
        scope = {"type": "http", "http_version": "1.1", "method": method, "path": path, "query_string": b"",
                 "headers": [(name.encode(), value.encode()) for name, value in named.items()]}
        await self.app(scope, receive, send)
        return Reply(**answer)


class ScriptedRunner:
    """A runner that knows no numbers: the token at a position is what the script says, whatever came before."""

    def __init__(self, facts: Facts, vocab_size: int) -> None:
        self.facts = facts
        self.script: dict[int, int] = {}
        self._vocab_size = vocab_size

    def forward(self, batch: Batch) -> HostLogits:
        rows = np.zeros((len(batch.sample_rows), self._vocab_size), np.float32)
        rows -= np.arange(self._vocab_size, dtype=np.float32) / self._vocab_size  # the alternatives have an order
        for row, logits in zip(batch.sample_rows, rows, strict=True):
            logits[self.script.get(int(batch.positions[row]) + 1, 0)] = 10
        return HostLogits(rows)

    def copy_page(self, group: int, source: int, target: int) -> None:
        pass


class ScriptedApi(Api):
    """An API over a model that says what a test wants it to say."""

    def __init__(self, llm: LLM) -> None:
        self.tokenizer = llm.need_tokenizer()
        self.runner = ScriptedRunner(llm.backend, llm.config.vocab_size)
        super().__init__({"scripted": LLM(llm.checkpoint, self.runner, self.tokenizer, context=llm.context)})

    def script(self, tokens: list[int], *, messages: object = None, prompt_tokens: int = 0) -> None:
        """Have the answer to these messages, or to a prompt of so many tokens, be these tokens, and then an end."""
        if messages is not None:
            prompt_tokens = self.post("/tokenize", {"messages": messages}).json()["count"]
        ended = [*tokens, self.tokenizer.encode_special("<|assistant_end|>")]
        self.runner.script = dict(enumerate(ended, prompt_tokens))

    def spell(self, text: str) -> list[int]:
        """The tokens of a text in which special tokens stand by name."""
        return self.post("/tokenize", {"prompt": text, "add_special_tokens": False}).json()["tokens"]


@contextmanager
def serving(models: Mapping[str, LLM], keys: tuple[str, ...] = ()) -> Iterator[str]:
    """The same over sockets: the URL of a server that runs as `nanochat serve` runs it."""
    served = {name: ServedModel(name=name, llm=llm, created=int(time.time()), engine=EngineThread(llm, name=name))
              for name, llm in models.items()}
    app = App(Server(models=served), Guard(bound="127.0.0.1", keys=keys), ROUTES)
    listener = lifecycle.bind("127.0.0.1", 0)
    running = lifecycle.Lifecycle(app, listener)
    ready = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(running.serve(ready.set)), daemon=True)
    thread.start()
    try:
        assert ready.wait(HANG_SECONDS)
        yield lifecycle.url(listener)
    finally:
        running.stop()
        thread.join(HANG_SECONDS)

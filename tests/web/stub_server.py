"""A server that speaks the API as far as the page uses it and says what a test tells it to: for outputs that no model
gives on purpose."""

from __future__ import annotations

import json
import math
import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pynanochat.serve.page import POLICY, Page

WORD = re.compile(r"<\|[a-z_]+\|>|\s?\w+|\s?[^\w\s]|\s+")
OTHERS = [" quiet", " brave", " the", "!", " and"]
FACTS = {"generation": "G4", "parameters": 6_200_000, "backend": "cpu", "dtype": "bfloat16", "context_policy": "drop",
         "defaults": {"temperature": 0.6, "top_k": 50}}
ENTRIES = [{"id": "story5m", "object": "model", "max_model_len": 512, "nanochat": FACTS}]


@dataclass
class Tool:
    """A block of the calculator in an answer."""

    code: str
    output: str


@dataclass
class Reply:
    """What the next request gets: texts and tool blocks, or an error."""

    parts: list[str | Tool] = field(default_factory=list)
    delay: float = 0.0  # seconds before each token
    finish: str | None = "stop"  # None: the connection just ends
    dropped: int = 0
    status: int = 200
    error: str = ""
    code: str | None = None  # of the error
    cut: int = 0  # bytes per write; 0: an event at a time
    before: float = 0.0  # seconds before the first token


class StubServer:
    """Listens on a free port of 127.0.0.1 until it is closed; `requests` holds what came in."""

    def __init__(self) -> None:
        self.replies: deque[Reply] = deque()
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.page = Page()
        self.models: list[dict[str, Any]] = ENTRIES
        self.key = ""
        self.cancelled = 0
        self.ids: dict[str, int] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"stub": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def reset(self) -> None:
        """As new, but for the port."""
        self.replies.clear()
        self.requests.clear()
        self.models, self.key, self.cancelled = ENTRIES, "", 0

    def say(self, *parts: str | Tool, **settings: Any) -> None:
        """What the next request gets."""
        self.replies.append(Reply(list(parts), **settings))

    def token(self, text: str) -> int:
        return self.ids.setdefault(text, len(self.ids) + 100)

    def encode(self, text: str) -> list[int]:
        return [self.token(word) for word in WORD.findall(text)]

    def posted(self, path: str) -> list[dict[str, Any]]:
        return [body for where, body in self.requests if where == path]


class _Handler(BaseHTTPRequestHandler):
    stub: StubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):
            self.stub.cancelled += 1

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path == "/v1/models":
            if self._allowed():
                self._json({"object": "list", "data": self.stub.models})
            return
        asset = self.stub.page.assets.get(path)
        if asset is None:
            self._json({"error": {"message": f"no {path} here"}}, 404)
        else:
            self._send(asset.body, asset.content_type, 200, {"cache-control": "max-age=600"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        path = self.path.lstrip("/")
        self.stub.requests.append((path, body))
        if not self._allowed():
            return
        if path == "tokenize":
            bos = ["<|bos|>"] if body.get("add_special_tokens") else []
            words = [*bos, *WORD.findall(body["prompt"])]
            tokens = [{"id": self.stub.token(word), "piece": word} for word in words]
            self._json({"tokens": tokens, "token_strs": words})
        elif body.get("echo"):
            self._score(body)
        else:
            told = self.stub.replies
            self._answer(body, told.popleft() if told else Reply([f"You said: {_last(body)}"]))

    def _allowed(self) -> bool:
        if not self.stub.key or self.headers.get("authorization") == f"Bearer {self.stub.key}":
            return True
        self._json({"error": {"message": "the API key is missing or wrong", "code": "invalid_api_key"}}, 401)
        return False

    def _answer(self, body: dict[str, Any], reply: Reply) -> None:
        if reply.status != 200:
            headers = {"retry-after": "2"} if reply.status == 429 else {}
            self._json({"error": {"message": reply.error, "type": "x", "code": reply.code}}, reply.status, headers)
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        if reply.dropped:
            self.send_header("x-nanochat-dropped-turns", str(reply.dropped))
        self.end_headers()
        count = 0
        time.sleep(reply.before)
        for delta, words in self._pieces(reply):
            time.sleep(reply.delay)
            items = [] if "tool_outputs" in delta else [self._item(word, count + at) for at, word in enumerate(words)]
            count += len(words)
            ids = [self.stub.token(word) for word in words]
            chunk: dict[str, Any] = {"index": 0, "token_ids": ids, "logprobs": {"content": items}}
            if self.path.endswith("chat/completions"):
                chunk["delta"] = delta
            else:
                chunk["text"] = delta.get("content", "")
            first = {"prompt_token_ids": list(range(20))} if count == len(words) else {}
            self._event({"choices": [chunk], **first}, reply.cut)
        if reply.error:
            self._event({"error": {"message": reply.error}}, reply.cut)
        elif reply.finish:
            self._event({"choices": [{"index": 0, "delta": {}, "text": "", "finish_reason": reply.finish}]}, reply.cut)
            self._event({"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": count,
                                                  "prompt_tokens_details": {"cached_tokens": 8}}}, reply.cut)
            self.wfile.write(b"data: [DONE]\n\n")

    def _pieces(self, reply: Reply) -> Iterator[tuple[dict[str, Any], list[str]]]:
        calls = 0
        for part in reply.parts:
            if isinstance(part, str):
                for word in WORD.findall(part):
                    yield {"content": word}, [word]
                continue
            yield {}, ["<|python_start|>"]
            for word in WORD.findall(part.code):
                yield {}, [word]
            function = {"name": "python", "arguments": json.dumps({"code": part.code})}
            yield {"tool_calls": [{"index": calls, "id": f"call_{calls}", "type": "function", "function": function}]}, [
                "<|python_end|>"]
            words = ["<|output_start|>", *WORD.findall(part.output), "<|output_end|>"]
            yield {"tool_outputs": [{"tool_call_id": f"call_{calls}", "output": part.output}]}, words
            calls += 1

    def _score(self, body: dict[str, Any]) -> None:
        words = {number: word for word, number in self.stub.ids.items()}
        items = [self._item(words[token], at) for at, token in enumerate(body["prompt"])]
        logprobs = {"tokens": [item["token"] for item in items],
                    "token_logprobs": [None, *(item["logprob"] for item in items[1:])],
                    "top_logprobs": [None, *({top["token"]: top["logprob"] for top in item["top_logprobs"]}
                                             for item in items[1:])]}
        self._json({"choices": [{"text": "", "logprobs": logprobs}]})

    def _item(self, word: str, position: int) -> dict[str, Any]:
        """The token is the most probable one at every third place only."""
        shares = [0.62, 0.2, 0.08, 0.04, 0.003]
        words = [other for other in OTHERS if other != word]
        words.insert(position % 4, word)
        top = [{"token": each, "token_id": self.stub.token(each), "logprob": math.log(share),
                "bytes": list(each.encode())} for each, share in zip(words, shares, strict=False)]
        own = next(item for item in top if item["token"] == word)
        return {**own, "position": position, "top_logprobs": top}

    def _event(self, document: dict[str, Any], cut: int) -> None:
        data = b"data: " + json.dumps(document, ensure_ascii=False).encode() + b"\n\n"
        for start in range(0, len(data), cut or len(data)):
            self.wfile.write(data[start:start + (cut or len(data))])
            self.wfile.flush()

    def _json(self, document: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(json.dumps(document).encode(), "application/json", status, headers)

    def _send(self, data: bytes, kind: str, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        fixed = {"content-type": kind, "content-length": str(len(data)), "content-security-policy": POLICY}
        for name, value in {**fixed, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def _last(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"]) if "messages" in body else "more"

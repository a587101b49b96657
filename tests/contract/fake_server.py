"""A good server on the standard library, and a Fault: one thing that it does wrong."""

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import fake_answers as answers


def same(value, *_):
    return value


@dataclass
class Fault:
    """What becomes of a request that was read and of what would be sent; `answer` and `chunk` may give None."""

    request: object = same  # (document, path) -> document
    answer: object = same  # (document, path, status) -> document, (status, document), or bytes
    chunk: object = same  # (chunk, path) -> chunk, or None to leave it out
    events: object = same  # (list of event bytes, path) -> such a list
    headers: object = same  # (headers, path) -> headers


POSTS = {"/v1/chat/completions": answers.chat, "/v1/completions": answers.completion,
         "/v1/responses": answers.response, "/tokenize": answers.tokenize, "/detokenize": answers.detokenize}
GETS = {"/v1/models": {"object": "list", "data": [answers.MODEL]}, f"/v1/models/{answers.MODEL['id']}": answers.MODEL,
        "/tokenizer_info": answers.TOKENIZER, "/health": {"status": "ok"}}
STREAMS = {"/v1/chat/completions": answers.chat_chunks, "/v1/completions": answers.completion_chunks,
           "/v1/responses": answers.response_events}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self):
        if not self.allowed():
            return
        if self.path == "/metrics":
            self.send(200, f"vllm:num_requests_running {self.server.running}\n".encode())
        elif self.path in GETS:
            self.tell(200, GETS[self.path])
        else:
            known = self.path in POSTS
            self.tell(405 if known else 404, answers.RefusalError(404, f"{self.path} is not here").document)

    def do_HEAD(self):
        self.do_GET()

    def do_OPTIONS(self):
        self.tell(200, {})

    def do_POST(self):
        body = self.body()
        if not self.allowed():
            return
        try:
            request = json.loads(body)
            if isinstance(request, dict):
                request = {name: value for name, value in request.items() if value is not None}
            request = self.server.fault.request(request, self.path)
            if self.path not in POSTS:
                raise answers.RefusalError(404, f"{self.path} is not here")
            answers.check(request)
            if request.get("stream"):
                chunks = STREAMS[self.path](request)
                first = next(chunks)
                self.stream(first, chunks, request)
            else:
                self.tell(200, POSTS[self.path](request))
        except answers.RefusalError as refusal:
            self.tell(refusal.status, refusal.document)
        except ValueError:
            self.tell(400, answers.RefusalError(400, "the body is no JSON").document)
        except OSError:
            self.close_connection = True

    def body(self):
        if "content-length" in self.headers:
            return self.rfile.read(int(self.headers["content-length"]))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def allowed(self):
        key = self.server.key
        if key is None or self.path == "/health" or self.headers.get("authorization") == f"Bearer {key}":
            return True
        self.tell(401, answers.RefusalError(401, "the key is wrong", code="invalid_api_key").document)
        return False

    def tell(self, status, document):
        made = self.server.fault.answer(json.loads(json.dumps(document)), self.path, status)
        if isinstance(made, tuple):
            status, made = made
        self.send(status, made if isinstance(made, bytes) else json.dumps(made).encode())

    def send(self, status, body):
        self.begin(status, {"Content-Type": "application/json", "Content-Length": str(len(body))})
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def begin(self, status, headers):
        self.send_response(status)
        for name, value in self.server.fault.headers(headers, self.path).items():
            self.send_header(name, value)
        self.end_headers()

    def stream(self, first, chunks, request):
        with self.server.counted():
            self.begin(200, {"Content-Type": "text/event-stream; charset=utf-8", "Transfer-Encoding": "chunked"})
            fault = self.server.fault
            if request.get("max_tokens", 0) > 100:  # one that nobody reads to its end
                for chunk in (first, *chunks):
                    self.chunked(self.rendered(chunk))
                    time.sleep(0.002)
                return
            made = [fault.chunk(json.loads(json.dumps(chunk)), self.path) for chunk in (first, *chunks)]
            events = [self.rendered(chunk) for chunk in made if chunk is not None]
            if self.path != "/v1/responses":
                events.append(b"data: [DONE]\n\n")
            for event in fault.events(events, self.path):
                if event is None:  # the connection breaks
                    self.close_connection = True
                    return
                self.chunked(event)
            self.chunked(b"")

    def rendered(self, chunk):
        name = b"event: %s\n" % chunk["type"].encode() if "type" in chunk else b""
        return name + b"data: " + json.dumps(chunk).encode() + b"\n\n"

    def chunked(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def log_message(self, *_):
        pass


class FakeServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, key=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.key = key
        self.fault = Fault()
        self.running = 0
        self.lock = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    @contextmanager
    def counted(self):
        with self.lock:
            self.running += 1
        try:
            yield
        finally:
            with self.lock:
                self.running -= 1

    def handle_error(self, *_):
        pass


@contextmanager
def serving(key=None):
    with FakeServer(key) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()

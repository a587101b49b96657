"""Downloads against a local stand-in of the Hugging Face hub."""

import hashlib
import http.server
import json
import threading
import urllib.parse

import pytest
from test_checkpoint_formats import random_model

from pynanochat import checkpoint
from pynanochat.checkpoint import hub
from pynanochat.errors import CheckpointError, NotFoundError

pytest.importorskip("huggingface_hub", reason="the hub extra is not installed")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the hub's HTTP interface as a download uses."""

    repos: dict = {}  # noqa: RUF012 - name: {path: bytes}
    log: list = []  # noqa: RUF012

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        path = urllib.parse.unquote(urllib.parse.urlparse(self.path).path)
        self.log.append((self.command, path))
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            self.api("/".join(parts[2:4]), parts[4:])
        elif len(parts) > 4 and parts[2] == "resolve":
            self.file("/".join(parts[:2]), parts[3], "/".join(parts[4:]), body)
        else:
            self.reply(404, b"", {})

    def api(self, repo, rest):
        if repo == "some/gated":
            return self.reply(403, b"{}", {"X-Error-Code": "GatedRepo"})
        if repo == "some/broken":
            return self.reply(500, b"{}", {})
        if repo not in self.repos:
            return self.reply(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        revision = "/".join(rest[1:]) if rest and rest[0] in ("revision", "tree") else "main"
        if revision not in ("main", COMMIT, "v1"):
            return self.reply(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        files = self.repos[repo]
        if rest and rest[0] == "tree":
            listing = [{"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                       for name, data in files.items()]
            return self.reply(200, json.dumps(listing).encode(), {"Content-Type": "application/json"})
        info = {"id": repo, "modelId": repo, "sha": COMMIT, "private": False, "tags": [], "downloads": 0, "likes": 0,
                "siblings": [{"rfilename": name} for name in files]}
        return self.reply(200, json.dumps(info).encode(), {"Content-Type": "application/json"})

    def file(self, repo, revision, name, body):
        data = self.repos.get(repo, {}).get(name)
        if data is None:
            return self.reply(404, b"", {"X-Error-Code": "EntryNotFound"})
        etag = f'"{hashlib.sha1(data).hexdigest()}"'
        return self.reply(200, data if body else b"", {
            "ETag": etag, "X-Repo-Commit": COMMIT, "Content-Length": str(len(data)), "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream"})

    def reply(self, status, data, headers):
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(data))} | headers).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def repos(tmp_path_factory):
    """A few repositories as people upload them."""
    folder = tmp_path_factory.mktemp("made")
    cfg, tensors = random_model(value_embeds=False, lambdas=False, smear=False, backout=False, window_pattern=None,
                                vocab_size=320, rope_base=1e4, qk_scale=1.0, rope_table_dtype="bfloat16")

    def files(kind, **options):
        saved = checkpoint.save(folder / kind, config=cfg, tensors=tensors, format=kind, **options)
        return {path.name: path.read_bytes() for path in saved.iterdir()}

    nanochat = files("nanochat", meta={"step": 650})
    older = {name.replace("650", "100"): b"old" for name in nanochat}
    bare = {name.replace("_000650", ""): data for name, data in nanochat.items()}
    upload = {f"base_checkpoints/d4/{name}": data for name, data in older.items()}
    upload |= {f"chatsft_checkpoints/d4/{name}": data for name, data in nanochat.items()}
    return {
        "some/native": files("native") | {"README.md": b"# hi", "evil.py": b"import os"},
        "some/nanochat": nanochat | older | {"README.md": b"# hi", "optim_000650_rank0.pt": b"large"},
        "some/bare": bare,
        "some/upload": upload | {"report/report.md": b"", "tokenizer/tokenizer.pkl": b"not read here"},
        "some/empty": {"README.md": b"# hi", "pytorch_model.bin": b""},
    }


@pytest.fixture
def server(repos, monkeypatch):
    """Its address; HF_HUB_OFFLINE and the user's token play no part."""
    monkeypatch.setattr(Hub, "repos", repos)
    monkeypatch.setattr(Hub, "log", [])
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # which another test may have settled
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{running.server_address[1]}"
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.mark.parametrize(("repo", "files"), [
    ("some/native", {"config.json", "model.safetensors"}),
    ("some/nanochat", {"model_000650.pt", "meta_000650.json"}),
    ("some/bare", {"model.pt", "meta.json"}),
    ("some/upload", {"model_000650.pt", "meta_000650.json"})])
def test_only_the_files_of_one_checkpoint(repo, files, server, tmp_path):
    folder = hub.download(repo, endpoint=server, cache_dir=tmp_path)
    assert {path.name for path in folder.iterdir()} == files
    assert checkpoint.open(folder).config.n_embd == 32
    got = {path for method, path in Hub.log if method == "GET" and "/resolve/" in path}
    assert len(got) == len(files) + (repo == "some/upload")
    again = hub.download(repo, endpoint=server, cache_dir=tmp_path)
    assert again == folder
    offline = hub.download(repo, endpoint="http://127.0.0.1:9", cache_dir=tmp_path, offline=True)
    assert offline == folder
    if repo == "some/upload":
        assert checkpoint.open(folder).tokenizer_path.name == "tokenizer.pkl"


def test_steps_and_revisions(server, tmp_path):
    folder = hub.download("some/nanochat", step=100, revision="v1", endpoint=server, cache_dir=tmp_path)
    assert {path.name for path in folder.iterdir()} == {"model_000100.pt", "meta_000100.json"}
    with pytest.raises(NotFoundError, match="no checkpoint of step 7"):
        hub.download("some/nanochat", step=7, endpoint=server, cache_dir=tmp_path)


@pytest.mark.parametrize(("repo", "revision", "kind", "message"), [
    ("some/nothing", None, NotFoundError, "is not on the Hugging Face hub"),
    ("some/nanochat", "v9", NotFoundError, "no revision 'v9'"),
    ("some/gated", None, CheckpointError, "is gated"),
    ("some/empty", None, NotFoundError, "holds no checkpoint"),
    ("bad--name/x..y", None, NotFoundError, "bad--name"),
])
def test_one_clear_line(repo, revision, kind, message, server, tmp_path):
    with pytest.raises(kind, match=message) as caught:
        hub.download(repo, revision=revision, endpoint=server, cache_dir=tmp_path)
    assert "\n" not in str(caught.value)


def test_no_network(tmp_path):
    with pytest.raises(CheckpointError, match=r"was not reached|cannot be reached") as caught:
        hub.download("some/nanochat", endpoint="http://127.0.0.1:9", cache_dir=tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(NotFoundError, match="not in the hub's cache"):
        hub.download("some/nanochat", offline=True, cache_dir=tmp_path)


def test_without_the_library(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(CheckpointError, match=r"pip install 'pynanochat\[hub\]'"):
        hub.download("some/nanochat")

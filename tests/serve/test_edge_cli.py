"""nanochat serve as a command: what it prints, what it refuses, how it stops."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="the extra serve is not installed")

from edge_server import Client, until

from pynanochat.cli import main


class Program(Client):
    """The command with these arguments, ready; `line` is what it printed."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pynanochat", "serve", "--port", "0", *arguments], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env={**os.environ, **environment}, text=True)
        assert self.process.stdout is not None
        watchdog = threading.Timer(120, self.process.kill)  # kernels may have to be compiled first
        watchdog.start()
        self.line = self.process.stdout.readline()
        watchdog.cancel()
        found = re.search(r"http://[^\s\"]+:(\d+)", self.line)
        assert found, self.process.communicate()
        super().__init__(int(found[1]))

    def stop(self) -> tuple[int, str, str]:
        """Exit code, the rest of stdout, stderr."""
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


@contextmanager
def program(*arguments: str, **environment: str) -> Iterator[Program]:
    running = Program(*arguments, **environment)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.communicate()
        running.hang_up()


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["serve", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    return err


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_it_prints_its_url_when_it_is_ready() -> None:
    with program("one=nano8m", "two=nano8m", "--log-requests") as running:
        assert running.line.startswith("Serving one, two at http://127.0.0.1:")
        assert list(json.loads(running.get("/health").body)["models"]) == ["one", "two"]
        code, out, err = running.stop()
    assert (code, out) == (0, "")
    assert "GET /health 200" in err
    assert "Traceback" not in err


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_json_and_a_key_of_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("\nfrom-a-file\n\n", encoding="utf-8")
    arguments = ("--json", "--api-key", "given", "--api-key-file", str(file))
    with program(*arguments, NANOCHAT_API_KEY="from-outside") as running:
        document = json.loads(running.line)
        assert document == {"url": f"http://127.0.0.1:{running.port}", "models": ["nano8m"]}
        assert running.get("/metrics").status == 401
        for key in ("given", "from-a-file", "from-outside"):
            assert running.get("/metrics", f"Authorization: Bearer {key}").status == 200
        assert running.stop()[0] == 0


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_signal_while_the_model_loads_ends_it() -> None:
    process = subprocess.Popen([sys.executable, "-m", "pynanochat", "serve", "--port", "0"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    until(lambda: process.poll() is not None or Path(f"/proc/{process.pid}").exists())
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode != 0


def test_a_port_in_use_is_told_before_a_model_is_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"port {port}" in refused(capsys, "no-such-model", "--port", port)


@pytest.mark.parametrize(("arguments", "says"), [
    (["no-such-model"], "no-such-model"), (["a=nano8m", "a=nano8m"], "two models are called a"),
    (["nano8m", "nano8m"], "two models are called nano8m"), (["--port", "70000"], "--port"),
    (["--port", "x"], "x"), (["--host", "not a host"], "--host"), (["--max-waiting", "-1"], "--max-waiting"),
    (["--request-timeout", "nan"], "--request-timeout"), (["--shutdown-timeout", "inf"], "--shutdown-timeout"),
    (["--api-key", ""], "API key"), (["--api-key", "a\nb"], "API key"), (["--api-key-file", "/no/such"], "/no/such"),
    (["--api-key-file", os.devnull], "holds no key"), (["--bos", "maybe"], "maybe"),
    (["--check", "http://127.0.0.1:1"], "127.0.0.1")])
def test_wrong_input_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], says: str) -> None:
    port = [] if "--port" in arguments else ["--port", "0"]
    assert says in refused(capsys, *arguments, *port)


@pytest.mark.parametrize("missing", ["uvicorn", "httptools", "prometheus_client"])
def test_a_missing_extra_is_named(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None\nfrom pynanochat.cli import main\nsys.exit(main(['serve']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "pip install 'pynanochat[serve]'" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(("arguments", "warned"), [((), True), (("--api-key", "k"), False)])
def test_an_open_address_without_a_key_is_warned_of(arguments: tuple[str, ...], warned: bool) -> None:
    with program("--host", "0.0.0.0", *arguments) as running:
        assert "http://127.0.0.1:" in running.line
        code, _, err = running.stop()
    assert code == 0
    assert ("warning: everyone who reaches 0.0.0.0" in err) is warned


def test_help_loads_no_server() -> None:
    code = ("import sys; from pynanochat.cli import main; main(['serve', '--help'])\n"
            "sys.exit(any(name in sys.modules for name in ('uvicorn', 'numba', 'prometheus_client')))")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120).returncode == 0

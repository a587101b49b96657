"""The sandbox: programs that try to get out, and the refusal where nothing could hold them."""

import os
import platform
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pynanochat.errors import RequestError
from pynanochat.eval import sandbox
from pynanochat.eval.sandbox import Limits, process, support

MISSING = sandbox.refusal()
isolated = pytest.mark.skipif(MISSING is not None, reason=f"no sandbox here: {MISSING}")
PATIENT = Limits(seconds=60, cpu_seconds=30)  # for a busy machine


def said(source, limits=PATIENT):
    return sandbox.run(source, limits)


def tried(attempts):
    """A program that says of each statement whether it was refused."""
    return "".join(f"try:\n    {one}\nexcept OSError:\n    print('closed')\nelse:\n    print({one!r}, 'worked')\n"
                   for one in attempts)


@isolated
def test_a_program_computes_and_prints():
    result = said("import math, collections, re, hashlib, json, random, fractions, datetime, typing, statistics\n"
                  "print(math.factorial(20), 'ä')\nprint(hashlib.md5(b'x').hexdigest()[:4])")
    assert (result.status, result.code, result.output) == ("ended", 0, "2432902008176640000 ä\n9dd4\n")
    assert result.ok


@isolated
@pytest.mark.parametrize(("source", "code"), [("raise SystemExit(3)", 3), ("1 / 0", 1), ("not python", 1)])
def test_a_program_that_fails(source, code):
    result = said(source)
    assert (result.status, result.code, result.ok) == ("ended", code, False)


@isolated
@pytest.mark.parametrize("path", ["/etc/passwd", "/proc/self/environ", "/proc/1/cmdline", "/etc/hostname", "~/.ssh",
                                  "/", "/tmp", "/dev/shm", "/sys/kernel"])
def test_files_outside_stay_closed(path):
    path = os.path.expanduser(path)
    result = said(f"import os\nprint(os.listdir({path!r}) if os.path.isdir({path!r}) else open({path!r}).read())")
    assert result.code == 1
    assert "Error" in result.output


@isolated
def test_the_files_of_the_user_stay_closed(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("the password")
    hidden = tmp_path / "folder"
    hidden.mkdir()
    attempts = [
        f"open({str(secret)!r}).read()", f"open({str(secret)!r}, 'a')", f"open({str(tmp_path / 'new')!r}, 'w')",
        f"os.remove({str(secret)!r})", f"os.rename({str(secret)!r}, {str(secret)!r} + 'x')",
        f"os.chmod({str(secret)!r}, 0)", f"os.truncate({str(secret)!r}, 0)", f"os.utime({str(secret)!r}, (0, 0))",
        f"os.mkdir({str(tmp_path / 'd')!r})", f"os.rmdir({str(hidden)!r})",
        f"os.symlink('/etc/passwd', {str(tmp_path / 'link')!r})", f"os.link({str(secret)!r}, 'here')",
        f"os.listdir({str(tmp_path)!r})", "os.symlink('/etc/passwd', 'here')",
        "open('here', 'w')", "os.open('program.py', os.O_RDONLY | os.O_TRUNC)", "os.open(os.__file__, os.O_RDWR)",
        "os.open('/dev/null', os.O_WRONLY)", "os.chdir('/') or os.listdir('.')", "os.chroot('.')",
        "os.memfd_create('m')",
        f"os.chown({str(secret)!r}, 1, 1)", "os.mkfifo('f')", "os.setxattr('program.py', 'user.a', b'1')",
        f"__import__('ctypes').CDLL(None).unlink({str(secret).encode()!r}) and open('x')"]
    source = "import os\n" + tried(attempts)
    before = secret.stat()
    result = said(source)
    assert result.output == "closed\n" * len(attempts)
    assert secret.read_text() == "the password"
    assert (secret.stat().st_mode, secret.stat().st_mtime) == (before.st_mode, before.st_mtime)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["folder", "secret.txt"]


@isolated
def test_the_network_is_not_there():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(0)
        source = f"import socket\nsocket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 5)"
        result = said(source)
        assert (result.code, "PermissionError" in result.output) == (1, True)
        with pytest.raises(BlockingIOError):
            server.accept()
    for kind in ("AF_INET, socket.SOCK_DGRAM", "AF_INET6, socket.SOCK_STREAM", "AF_UNIX, socket.SOCK_STREAM",
                 "AF_NETLINK, socket.SOCK_RAW"):
        assert "PermissionError" in said(f"import socket\nsocket.socket(socket.{kind})").output
    assert "PermissionError" in said("import socket\nsocket.socketpair()").output


@isolated
@pytest.mark.parametrize("attempt", [
    "os.fork()", "subprocess.run(['/bin/true'])", "os.posix_spawn(sys.executable, ['x'], {})",
    "os.system('true') and 1 / 0", "threading.Thread(target=print).start()", "[os.fork() for _ in range(10**6)]"])
def test_no_process_is_started(attempt):
    result = said(f"import os, subprocess, sys, threading\n{attempt}")
    assert result.code == 1
    assert any(word in result.output for word in ("PermissionError", "can't start new thread", "ZeroDivisionError"))


@isolated
def test_no_other_process_is_touched():
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        ids = (os.getpid(), other.pid, 0, -1, 1)
        source = "import os, signal, fcntl, resource, ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        attempts = [f"os.kill({one}, 0)" for one in ids] + [f"os.kill({other.pid}, 9)", "os.kill(-os.getpid(), 9)"]
        attempts += [f"fcntl.fcntl(0, fcntl.F_SETOWN, {other.pid})",
                     f"resource.prlimit({other.pid}, resource.RLIMIT_CPU, (1, 1))",
                     f"os.sched_setaffinity({other.pid}, [0])", f"os.setpriority(0, {other.pid}, 19)",
                     f"raise_(libc.ptrace(16, {other.pid}, 0, 0))", f"raise_(libc.syscall(434, {other.pid}, 0))"]
        source += "def raise_(result):\n    if result < 0:\n        raise OSError(ctypes.get_errno(), 'no')\n"
        source += tried(attempts)
        assert said(source).output == "closed\n" * len(attempts)
        assert other.poll() is None
    finally:
        other.kill()
        other.communicate()
    assert said("import os\nos.kill(os.getpid(), 15)").code == -15  # itself it may end


@isolated
def test_the_environment_is_empty(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "the password")
    result = said("import os, sys\nprint(sorted(os.environ), sys.argv[1:], os.path.basename(os.getcwd())[:16])")
    assert result.output == "['LC_ALL', 'PYTHONHASHSEED'] [] nanochat-sandbox\n"


@isolated
def test_no_file_of_ours_is_open():
    source = ("import os\nfor one in range(3, 32):\n    try:\n        os.fstat(one)\n        print(one)\n"
              "    except OSError:\n        pass\n")
    with open(__file__):
        assert said(source).output == ""
    assert "Too many open files" in said("held = [open(__file__) for _ in range(99)]").output


@isolated
def test_memory_is_bounded():
    assert "MemoryError" in said("x = bytearray(4 << 30)").output
    assert "MemoryError" in said("x = []\nwhile True:\n    x.append(bytearray(1 << 20))").output
    result = said("import resource as r\nfor one in (r.RLIMIT_AS, r.RLIMIT_FSIZE, r.RLIMIT_CPU, r.RLIMIT_NOFILE):\n"
                  "    try:\n        r.setrlimit(one, (1 << 40, 1 << 40))\n        print('worked')\n"
                  "    except (ValueError, OSError):\n        print('closed')")
    assert result.output == "closed\n" * 4


@isolated
def test_time_is_bounded():
    started = time.monotonic()
    for source in ("import time\ntime.sleep(600)", "import os, time\nos.close(1); os.close(2)\ntime.sleep(600)",
                   "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: pass"):
        assert said(source, Limits(seconds=0.3)).status == "time"
    assert said("while True: pass", Limits(seconds=300, cpu_seconds=1)).status == "killed"
    assert time.monotonic() - started < 250


@isolated
def test_output_is_bounded():
    result = said("while True: print('x' * 1000)")
    assert (result.status, len(result.output)) == ("output", PATIENT.output_bytes)


@isolated
def test_two_programs_talk_over_their_stdin():
    partner = "import os\nos.write(0, input().upper().encode())\nprint('dropped')"
    both = "import os\nos.write(0, b'hello\\n')\nprint(input(), os.path.exists('/proc/self/fd/3'))"
    assert sandbox.run(both, PATIENT, partner=partner).output == "HELLO False\n"
    gone = sandbox.run("print(open(0).read() == '')", PATIENT, partner="raise SystemExit")  # its end is seen
    assert gone.output == "True\n"
    assert sandbox.run("input()", Limits(seconds=1), partner="import time\ntime.sleep(600)").status == "time"
    assert sandbox.run("print('done')", PATIENT, partner="while True: pass").output == "done\n"
    flood = sandbox.run("x = input()", PATIENT, partner="import os\nwhile True: os.write(0, b'x' * 65536)")
    assert "MemoryError" in flood.output
    closed = tried(["open('/etc/passwd')", "os.fork()", "__import__('socket').socket(fileno=0).sendmsg([b'x'])"])
    assert sandbox.run("print(open(0).read())", PATIENT, partner=(
        "import os, sys\nsys.stdout = open(0, 'w', closefd=False)\n" + closed)).output == "closed\n" * 3 + "\n"


@isolated
def test_nothing_is_left_behind(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert said("print(open('program.py').read())").output.startswith("print(")
    assert list(tmp_path.iterdir()) == []
    fds = len(os.listdir("/proc/self/fd"))
    said("1 / 0")
    sandbox.run("1 / 0", PATIENT, partner="1 / 0")
    assert list(tmp_path.iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) == fds


@isolated
@pytest.mark.parametrize("broken", ["lock_files", "lock_calls", "limit", "drop_rights"])
def test_a_lock_that_fails_runs_nothing(broken, monkeypatch, tmp_path):
    source = process._LAUNCHER.read_text().replace(f"def {broken}(", f"def was_{broken}(", 1)
    call = f"\ndef {broken}(*_):\n    raise OSError('no lock')\n"
    (tmp_path / "launcher.py").write_text(source.replace("\ndef main", f"{call}\n\ndef main", 1))
    monkeypatch.setattr(process, "_LAUNCHER", tmp_path / "launcher.py")
    with pytest.raises(RequestError, match=r"cannot be locked, so the program was not run: no lock"):
        said("print('ran')")
    with pytest.raises(RequestError, match="no lock"):
        sandbox.run("print('ran')", PATIENT, partner="print('ran')")
    assert "no lock" in sandbox.refusal()


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp's filter is Linux'")
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_can_be_written_for(machine):
    from pynanochat.eval.sandbox import launcher

    program = launcher.program_of(machine, 1234)
    assert len(program) % 8 == 0
    assert 100 < len(program) // 8 < 4096
    assert all(name in launcher.NUMBERS[machine][2] for name in launcher.NUMBERS[machine][1].split())
    assert program.endswith((launcher.REFUSE).to_bytes(4, sys.byteorder))


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_refused_without_linux(system, monkeypatch):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(support, "run", lambda *_: pytest.fail("something was run"))
    with pytest.raises(RequestError, match=r"in a sandbox only, and there is none here: .* no Landlock and seccomp"):
        sandbox.require()
    with pytest.raises(RequestError, match="needs Linux"):
        sandbox.run("print('ran')")


@pytest.mark.skipif(sys.platform != "linux", reason="this refusal is Linux'")
def test_refused_without_landlock_or_on_unknown_machines(monkeypatch):
    from pynanochat.eval.sandbox import launcher

    monkeypatch.setattr(support, "run", lambda *_: pytest.fail("something was run"))
    monkeypatch.setattr(launcher, "landlock_version", lambda: 0)
    assert "no Landlock" in sandbox.refusal()
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert "system calls for riscv64" in sandbox.refusal()


@isolated
def test_refused_where_the_probe_gets_out(monkeypatch):
    monkeypatch.setattr(support, "_PROBE", "print('a door is open')")
    with pytest.raises(RequestError, match="a door is open"):
        sandbox.require()


def test_the_launcher_stands_alone():
    text = Path(process._LAUNCHER).read_text()
    assert "pynanochat" not in text.replace('"""', "")

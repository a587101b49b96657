"""The command as a program of its own: on pipes, and on a pseudo terminal."""

import os
import select
import struct
import subprocess
import sys
import time

PATIENCE = 120  # seconds until a test gives up, for slow and busy machines
_START = """
import runpy, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # where those above ignore it, Python would too
if pause := float(sys.argv.pop(1)):
    from pynanochat.cli.answer import AnswerWriter
    from pynanochat.cli.events import EventWriter
    for writer in (AnswerWriter, EventWriter):
        writer.push = lambda self, piece, push=writer.push: (push(self, piece), time.sleep(pause))
runpy.run_module("pynanochat", run_name="__main__", alter_sys=True)
"""


def command(*arguments, pause=0.0):
    """The command line of python -m pynanochat, which rests after every piece of an answer and can be interrupted."""
    return [sys.executable, "-c", _START, str(pause), *map(str, arguments)]


def program(*arguments, piped=b"", **environment):
    return subprocess.run(command(*arguments), input=piped, capture_output=True, timeout=PATIENCE,
                          env=os.environ | environment)


def one_line(text):
    return text.startswith("nanochat: ") and text.count("\n") == 1 and text.endswith("\n")


def writing(model, *options):
    """A program in the middle of a long text, which takes it at least 25 seconds."""
    arguments = ("generate", "hi", "-m", model, "--max-tokens", "2500", "--context", "2560", "-t", "1", "--seed", "1",
                 *options)
    return subprocess.Popen(command(*arguments, pause=0.01), stdout=subprocess.PIPE, stderr=subprocess.PIPE)


class Terminal:
    """The command on a pseudo terminal, whose size is unknown if left out."""

    def __init__(self, *arguments, pause=0.0, size=None, **environment):
        self.master, slave = os.openpty()
        if size is not None:
            import fcntl
            import termios

            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        environment = os.environ | {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"} | environment
        self.process = subprocess.Popen(command(*arguments, pause=pause), stdin=slave, stdout=slave, stderr=slave,
                                        env=environment, start_new_session=True)
        os.close(slave)
        self.seen = ""

    def until(self, text, seconds=PATIENCE):
        """Read until the text has come, and forget what was read."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            ready, _, _ = select.select([self.master], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"{text!r} did not come; got {self.seen!r}"
            try:
                data = os.read(self.master, 65536)
            except OSError:
                data = b""
            assert data, f"{text!r} did not come before the end; got {self.seen!r}"
            self.seen += data.decode("utf-8", "replace")
        before, _, self.seen = self.seen.partition(text)
        return before

    def type(self, text):
        os.write(self.master, text.encode())

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)

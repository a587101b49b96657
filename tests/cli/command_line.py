"""The command as a program of its own: on pipes, and on a pseudo terminal."""

import os
import select
import subprocess
import sys
import time


def program(*arguments, piped=b"", timeout=60, **environment):
    return subprocess.run([sys.executable, "-m", "pynanochat", *map(str, arguments)], input=piped, capture_output=True,
                          timeout=timeout, env=os.environ | environment)


def one_line(text):
    return text.startswith("nanochat: ") and text.count("\n") == 1 and text.endswith("\n")


def writing(model):
    """A program in the middle of a long text."""
    arguments = ("generate", "hi", "-m", model, "--max-tokens", "2500", "--context", "2560", "-t", "1", "--seed", "1")
    return subprocess.Popen([sys.executable, "-m", "pynanochat", *arguments], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


class Terminal:
    """The command on a pseudo terminal."""

    def __init__(self, *arguments):
        self.master, slave = os.openpty()
        environment = os.environ | {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
        self.process = subprocess.Popen([sys.executable, "-m", "pynanochat", *arguments], stdin=slave, stdout=slave,
                                        stderr=slave, env=environment, start_new_session=True)
        os.close(slave)
        self.seen = ""

    def until(self, text, seconds=20.0):
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

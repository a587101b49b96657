"""The command nanochat. Data goes to stdout, talk to stderr.

Exit codes: 0 it worked; 1 a check failed, or something broke on the way; 2 the input was wrong; 130 stopped by Ctrl-C;
141 whoever read the output has left.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from pynanochat import __version__
from pynanochat.errors import NanochatError, RequestError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of the command with these arguments (None: those of the process); errors are one line on stderr."""
    _settle_streams()
    try:
        code = _run([_as_utf8(argument) for argument in (sys.argv[1:] if argv is None else argv)])
        sys.stdout.flush()
        return code
    except NanochatError as error:
        return _say(error, 2)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _drop_output()
        return 141
    except OSError as error:
        place = f"{error.filename or 'the output'}: "
        code = _say(f"{place}{error.strerror or error}", 1)
        _drop_output()
        return code
    except MemoryError:
        return _say("not enough memory", 1)


def _run(arguments: list[str]) -> int:
    if arguments == ["--version"]:  # nothing else is loaded for this
        print(f"nanochat {__version__}")
        return 0
    from pynanochat.cli.app import run

    return run(arguments)


def _as_utf8(argument: str) -> str:
    """An argument in a locale that could not read it is UTF-8 all the same."""
    if argument.isprintable() or not any("\ud800" <= letter <= "\udfff" for letter in argument):
        return argument
    try:
        return os.fsencode(argument).decode("utf-8")
    except UnicodeError:
        raise RequestError(f"{argument!a} is no UTF-8 text; convert it first") from None


def _settle_streams() -> None:
    """Streams that were closed lead nowhere, and a character that a terminal cannot show becomes another."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - until the process ends
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def _drop_output() -> None:
    """What is still buffered cannot be written: lose it, so that nothing fails at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(problem: object, code: int) -> int:
    print(f"nanochat: {' '.join(str(problem).split())}", file=sys.stderr)
    return code

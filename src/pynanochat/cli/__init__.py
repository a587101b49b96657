"""The command nanochat. Data goes to stdout, talk to stderr.

Exit codes: 0 it worked; 1 a check failed, or something broke on the way; 2 the input was wrong; 130 stopped by Ctrl-C;
141 whoever read the output has left.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from pynanochat import __version__
from pynanochat.errors import NanochatError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of the command with these arguments (None: those of the process); errors are one line on stderr."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["--version"]:  # nothing else is loaded for this
        print(f"nanochat {__version__}")
        return 0
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")  # a terminal that cannot show a character shows another, and goes on
    try:
        from pynanochat.cli.app import run

        code = run(arguments)
        sys.stdout.flush()
        return code
    except NanochatError as error:
        return _say(error, 2)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that nothing fails at exit
        return 141
    except OSError as error:
        return _say(error, 1)
    except MemoryError:
        return _say("not enough memory", 1)


def _say(problem: object, code: int) -> int:
    print(f"nanochat: {' '.join(str(problem).split())}", file=sys.stderr)
    return code

"""Every block of the README, and every Python block of the docs, runs and says what it says there."""

from __future__ import annotations

import doctest
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
COMMANDS = [(command, output) for kind, block in BLOCKS if kind == "console"
            for command, output in re.findall(r"^\$ (.*?)\n((?:(?!\$ ).*\n)*)", block, re.M)]


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    assert {kind for kind, _ in BLOCKS} == {"sh", "console", "python"}
    assert COMMANDS


def test_the_two_commands_for_a_fresh_machine() -> None:
    """They are targets of the Makefile; that they work is what the checks run."""
    (block,) = [block for kind, block in BLOCKS if kind == "sh"]
    commands = [line.split("#")[0].split() for line in block.splitlines()]
    assert commands == [["make", "chat"], ["make", "test"]]
    for command in commands:
        subprocess.run([*command, "--dry-run"], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize(("command", "output"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_shell(command: str, output: str) -> None:
    first, _, second = command.rpartition(" | ")
    given = subprocess.run(shlex.split(first), check=True, capture_output=True, text=True).stdout if first else None
    program, *arguments = shlex.split(second)
    assert program == "nanochat"
    done = subprocess.run([sys.executable, "-m", "pynanochat", *arguments], check=True, capture_output=True, text=True,
                          input=given)
    assert done.stdout == output


@pytest.mark.parametrize("page", ["README.md", *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/*.md"))])
def test_python(page: str) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(), re.M | re.S)
    names: dict[str, object] = {}
    for number, block in enumerate(blocks):
        test = doctest.DocTestParser().get_doctest(block, names, f"{page}, block {number}", page, 0)
        report: list[str] = []
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        assert runner.run(test, out=report.append, clear_globs=False).failed == 0, "".join(report)
        assert test.examples
        names = test.globs
    assert blocks or page not in ("README.md", "docs/python.md")

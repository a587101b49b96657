"""The newcomer's path of docs/training.md runs as it stands there, with fewer texts and steps."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("rustbpe")

DOCS = Path(__file__).parents[2] / "docs" / "training.md"
(PATH,) = re.findall(r"^```sh\n(.*?)^```$", DOCS.read_text(), re.M | re.S)
SMALLER = {"--count": "150", "--max-per-task": "4", "--vocab-size": "400"}


def smaller(arguments: list[str]) -> list[str]:
    """The same command, on less."""
    found = [SMALLER.get(before, word) for before, word in zip(["", *arguments], arguments, strict=False)]
    if arguments[:2] in (["train", "pretrain"], ["train", "sft"]):
        found += ["--steps", "4", "--batch-tokens", "1024", "--rows", "4", "--eval-tokens", "1024", "--threads", "1"]
    return found


def test_newcomers_path(tmp_path: Path) -> None:
    said = ""
    for line in PATH.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "nanochat"
        if "plot" in arguments:
            pytest.importorskip("matplotlib")
        done = subprocess.run([sys.executable, "-m", "pynanochat", *smaller(arguments)], cwd=tmp_path, text=True,
                              capture_output=True)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        said = done.stdout
    assert said.strip()
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "runs/chat/run.json").read_text())["stage"] == "sft"

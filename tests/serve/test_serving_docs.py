"""The programs of docs/serving.md run as they stand there, against a server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="the serve extra is not installed")
from load import serving

PROGRAMS = re.findall(r"^```py\n(.*?)^```$", (Path(__file__).parents[2] / "docs" / "serving.md").read_text(),
                      re.M | re.S)


def test_programs() -> None:
    pytest.importorskip("openai", reason="the openai client is not installed")
    assert len(PROGRAMS) == 3
    with serving() as server:
        said = [subprocess.run([sys.executable, "-c", program.replace("http://127.0.0.1:8000", server.url)], check=True,
                               capture_output=True, text=True, timeout=120).stdout for program in PROGRAMS]
    assert said[0].strip()
    assert 0 <= json.loads(said[1])["age"] <= 99
    assert said[2].startswith("True ")

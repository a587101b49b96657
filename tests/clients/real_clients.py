"""Clients in an environment of their own (`make clients`), which programs/ runs as they are, offline."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
SECONDS = 240  # until a client is given up, for slow and busy machines
_INSTALLED = """
import importlib.metadata, json
print(json.dumps({d.name.lower().replace("_", "-"): d.version for d in importlib.metadata.distributions()}))
"""
_OFFLINE = {
    "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LANGSMITH_TRACING": "false", "DO_NOT_TRACK": "1", "NO_COLOR": "1",
    "OMP_NUM_THREADS": "1",
}
_OURS = ("HF_", "HUGGING", "LANG", "LITELLM_", "LLM_", "NANOCHAT_", "OPENAI_", "PYTHON")


def run(command: list[str], home: Path, cwd: Path = HERE, **variables: str) -> str:
    """What a client writes to stdout: offline, past no proxy, without the settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items()
            if "proxy" not in name.lower() and not name.startswith(_OURS)}
    environment = {**kept, **_OFFLINE, "HOME": str(home), "HF_HOME": str(home / "huggingface"), **variables}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=SECONDS,
                          check=False)
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}"
    return done.stdout


@dataclass(frozen=True)
class Clients:
    """A Python that has clients."""

    python: str
    installed: dict[str, str]  # versions by name
    home: Path  # what clients write goes here

    @classmethod
    def of(cls, python: str, home: Path) -> Clients:
        """What is installed beside this Python."""
        return cls(python, json.loads(run([python, "-c", _INSTALLED], home)), home)

    def need(self, package: str) -> None:
        """Skip the test where the client is missing."""
        if package not in self.installed:
            pytest.skip(f"{package} is not installed beside {self.python}; make clients installs it")

    def json(self, program: str, *arguments: str, package: str) -> Any:
        """The JSON document that a program under programs/ prints."""
        self.need(package)
        return json.loads(run([self.python, str(HERE / "programs" / program), *arguments], self.home))

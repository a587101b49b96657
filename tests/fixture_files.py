"""Where the fixtures are: the whole folder that NANOCHAT_PARITY names, or the subset in tests/fixtures."""

import os
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parent / "fixtures"
STORY5M = FIXTURES / "story5m"  # a trained model that stays as it is, for tests that need sense in what is said
PARITY = Path(os.environ.get("NANOCHAT_PARITY") or FIXTURES)


def parity(name: str) -> Path:
    """A file or folder of the parity fixtures; skips the test where only the subset is there and lacks it."""
    path = PARITY / name
    if not path.exists():
        pytest.skip(f"{name} is not in the fixtures at hand; NANOCHAT_PARITY names the whole folder")
    return path

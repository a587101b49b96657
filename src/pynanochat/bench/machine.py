"""Machine: what a measured number was measured on."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pynanochat.backends.cpu import processor
from pynanochat.cores import cores


@dataclass(frozen=True)
class Machine:
    """Processor, system and versions."""

    processor: str
    cores: int  # that can work at once
    system: str
    python: str
    numpy: str

    @classmethod
    def here(cls) -> Machine:
        """This one."""
        return cls(processor.machine(), cores(), platform.platform(), platform.python_version(),
                   np.__version__)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

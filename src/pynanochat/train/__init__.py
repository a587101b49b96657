"""Training: nanochat's pipeline on any machine. `pretrain` and `sft` need the extra train, the rest only itself."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pynanochat.train.config import TrainConfig
    from pynanochat.train.session import Outcome
    from pynanochat.train.stages import pretrain, sft

__all__ = ["Outcome", "TrainConfig", "pretrain", "sft"]

_HOMES = {"Outcome": "session", "TrainConfig": "config", "pretrain": "stages", "sft": "stages"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

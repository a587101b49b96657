"""pynanochat: run nanochat-family GPTs from Python, on any machine, exactly.

Names are imported when they are first used, so that the package itself loads at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pynanochat import train
    from pynanochat.config import GPTConfig
    from pynanochat.errors import (
        BackendError,
        CheckpointError,
        ConfigError,
        ContextError,
        ConversationError,
        DamagedFileError,
        DataError,
        NanochatError,
        NotFoundError,
        PolicyError,
        RequestError,
        TokenizerError,
        TrainingError,
        UnsafeFileError,
        UnsupportedError,
    )
    from pynanochat.grammar import Grammar
    from pynanochat.inspection import Inspection, inspect
    from pynanochat.llm import LLM, load, save
    from pynanochat.output import Output, Piece
    from pynanochat.sampling import SamplingPolicy
    from pynanochat.session import Chat
    from pynanochat.tokenizer import Tokenizer
    from pynanochat.train import recipes

__all__ = [
    "LLM",
    "BackendError",
    "Chat",
    "CheckpointError",
    "ConfigError",
    "ContextError",
    "ConversationError",
    "DamagedFileError",
    "DataError",
    "GPTConfig",
    "Grammar",
    "Inspection",
    "NanochatError",
    "NotFoundError",
    "Output",
    "Piece",
    "PolicyError",
    "RequestError",
    "SamplingPolicy",
    "Tokenizer",
    "TokenizerError",
    "TrainingError",
    "UnsafeFileError",
    "UnsupportedError",
    "__version__",
    "inspect",
    "load",
    "recipes",
    "save",
    "train",
]

_HOMES = {
    "LLM": "llm", "load": "llm", "save": "llm", "Chat": "session", "Output": "output", "Piece": "output",
    "SamplingPolicy": "sampling", "Tokenizer": "tokenizer", "GPTConfig": "config", "Inspection": "inspection",
    "inspect": "inspection", "Grammar": "grammar",
}

_MODULES = {"train": "train", "recipes": "train.recipes"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _MODULES:
        return import_module(f"{__name__}.{_MODULES[name]}")
    value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

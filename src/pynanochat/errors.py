"""What users can meet when something is wrong; every message says what is wrong, what was expected, what to do.

    NanochatError
    ├── ConfigError             numbers that describe no network
    ├── CheckpointError         a file or folder that holds no usable model
    │   ├── NotFoundError       nothing there under that name
    │   ├── DamagedFileError    truncated, flipped bits, wrong checksum, not-a-number weights
    │   ├── UnsafeFileError     asks for more than reading data: code, absurd sizes
    │   └── UnsupportedError    a sound file, of a network or in a format that cannot hold it
    ├── TokenizerError          no tokenizer, one that does not fit, an id or a text that it cannot take
    ├── ConversationError       messages that nanochat's chat format cannot express
    ├── PolicyError             a sampling setting out of range
    ├── RequestError            a request that the engine cannot take
    │   └── ContextError        more tokens than the context holds
    ├── BackendError            a backend that is unknown, not installed or has no device
    ├── DataError               texts, conversations or shards that cannot be trained or measured on
    └── TrainingError           a training run that cannot start or go on
"""


class NanochatError(Exception):
    """Base of all errors that this package raises on purpose; `str(error)` is one printable line for people."""

    def __str__(self) -> str:
        text = super().__str__()
        if text.isprintable():
            return text
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class ConfigError(NanochatError, ValueError):
    """The numbers describe no network that can exist."""


class CheckpointError(NanochatError):
    """A file or folder holds no usable model."""


class NotFoundError(CheckpointError, FileNotFoundError):
    """No model, step or file under that name."""


class DamagedFileError(CheckpointError):
    """A file is truncated or altered, or its weights are not numbers."""


class UnsafeFileError(CheckpointError):
    """A file asks for more than reading data: code to run, sizes that no file of its length can hold."""


class UnsupportedError(CheckpointError):
    """A sound file, but of an unknown network, or a format that cannot hold this one."""


class TokenizerError(NanochatError, ValueError):
    """There is no tokenizer, it does not fit the model, or it cannot take this input."""


class ConversationError(NanochatError, ValueError):
    """Messages that nanochat's conversation format cannot express."""


class PolicyError(NanochatError, ValueError):
    """A sampling setting is out of its range."""


class RequestError(NanochatError, ValueError):
    """A request that the engine cannot take."""


class ContextError(RequestError):
    """The tokens do not fit the context."""


class BackendError(NanochatError):
    """A backend is unknown, not installed, or finds no device."""


class DataError(NanochatError, ValueError):
    """Texts, conversations or shards that cannot be trained or measured on."""


class TrainingError(NanochatError):
    """A training run cannot start or go on."""

"""Server: the models behind one address, and what every handler needs to know of the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pynanochat.serve.errors import ApiError
from pynanochat.serve.limits import Limits, Settings
from pynanochat.serve.metrics import Metrics

if TYPE_CHECKING:
    from pynanochat.llm import LLM
    from pynanochat.serve.bridge import EngineThread
    from pynanochat.serve.exchange import Exchange

State = Literal["loading", "ready", "shutting_down"]


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """A model under the name that requests call it by."""

    name: str
    llm: LLM
    engine: EngineThread
    created: int  # when it was loaded, in seconds since 1970


@dataclass(kw_only=True)
class Server:
    """Everything that lives as long as the server does; the first model is the default."""

    models: dict[str, ServedModel]
    limits: Limits = field(default_factory=Limits)
    settings: Settings = field(default_factory=Settings)
    metrics: Metrics = field(default_factory=Metrics)
    state: State = "loading"
    exchanges: set[Exchange] = field(default_factory=set)  # that have begun and not ended

    @property
    def draining(self) -> bool:
        """Whether the server takes no new work."""
        return self.state == "shutting_down"

    def model(self, name: str | None) -> ServedModel:
        """The model of that name; the first one for "", None and "default". Raises `ApiError` 404."""
        if not name or name == "default":
            return next(iter(self.models.values()))
        found = self.models.get(name)
        if found is None:
            shown = name if len(name) <= 80 else f"{name[:80]}..."
            raise ApiError(404, f"the model {shown!r} does not exist; there is {', '.join(self.models)}", param="model",
                           code="model_not_found")
        return found

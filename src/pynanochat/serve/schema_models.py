"""What /v1/models says of a model."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class ModelFacts(Struct, kw_only=True):
    """What a model is, and how it runs here."""

    generation: Annotated[str, Meta(description="Of nanochat's network: G0 to G4, nanochat-rs or custom.")]
    parameters: int
    backend: str
    device: str
    dtype: Annotated[str, Meta(description="Of weights and activations.")]
    context_policy: Annotated[
        Literal["drop", "stop", "error"],
        Meta(description="What a chat does at the end of the context: drop its oldest turns, stop, or be refused.")]
    has_tokenizer: Annotated[bool, Meta(description="Without one, only token ids can be completed.")]
    defaults: Annotated[dict[str, float], Meta(description="Of sampling settings that a request leaves out.")]


class Model(Struct, kw_only=True):
    """A model that can be asked."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "nanochat"
    max_model_len: Annotated[int, Meta(description="Tokens of context.")]
    nanochat: ModelFacts


class ModelList(Struct, kw_only=True):
    """The models; the first one answers where no name is given."""

    object: Literal["list"] = "list"
    data: list[Model]

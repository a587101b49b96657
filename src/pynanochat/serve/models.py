"""/v1/models: what is served, and what each model is."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from msgspec import json

import pynanochat
from pynanochat.serve.schema_models import Model, ModelFacts, ModelList
from pynanochat.serve.settings import DEFAULTS
from pynanochat.sizes import parameters

if TYPE_CHECKING:
    from pynanochat.llm import LLM
    from pynanochat.serve.exchange import Exchange
    from pynanochat.serve.server import ServedModel, Server


async def handle_list(exchange: Exchange, server: Server) -> None:
    """Answer GET /v1/models."""
    await exchange.send_json(ModelList(data=[described(model) for model in server.models.values()]))


async def handle_one(exchange: Exchange, server: Server) -> None:
    """Answer GET /v1/models/{model}."""
    await exchange.send_json(described(server.model(exchange.params["model"])))


def described(model: ServedModel) -> Model:
    """What the API says of a model."""
    llm = model.llm
    facts = llm.backend
    return Model(
        id=model.name, created=model.created, max_model_len=llm.context,
        nanochat=ModelFacts(
            generation=llm.checkpoint.generation, parameters=parameters(llm.config)["total"], backend=facts.name,
            device=facts.device, dtype=facts.dtype, context_policy=llm.context_policy,
            has_tokenizer=llm.tokenizer is not None, defaults=DEFAULTS))


def fingerprint(llm: LLM) -> str:
    """What `system_fingerprint` says: it changes with the model, with how it runs and with this package."""
    checkpoint, facts = llm.checkpoint, llm.backend
    told = (pynanochat.__version__, checkpoint.path.name, checkpoint.generation, checkpoint.meta.get("step"),
            checkpoint.meta.get("val_bpb"), llm.config.to_dict(), llm.context, facts.name, facts.dtype)
    return f"fp_{hashlib.sha256(json.encode(told)).hexdigest()[:12]}"

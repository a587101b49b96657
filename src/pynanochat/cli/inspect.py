"""nanochat inspect: what a checkpoint holds, without loading its weights."""

from __future__ import annotations

import json as json_text
import sys
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from pynanochat.cli.control_characters import visible
from pynanochat.cli.options import CheckpointOptions, Json, ModelName
from pynanochat.cli.terminal import amount, console, emit, paint, say, table
from pynanochat.errors import UnsupportedError

if TYPE_CHECKING:
    from pynanochat.inspection import Inspection


def inspect(
    model: ModelName = None,
    *,
    tensors: Annotated[bool, Parameter(help="List every tensor.")] = False,
    plan: Annotated[bool, Parameter(
        help="List the calls that the cpu backend runs; with --dtype q8 or q4, those of weights in it.")] = False,
    dtype: Annotated[Literal["float32", "float64", "bfloat16", "q8", "q4"] | None, Parameter(
        help="Precision that sizes are told for; if left out float32, or q8 or q4 where the weights are.")] = None,
    context: Annotated[int | None, Parameter(help="Tokens that sizes are told for; sequence_len if left out.")] = None,
    json: Json = False,
    files: CheckpointOptions = CheckpointOptions(),  # noqa: B008 - frozen
) -> int:
    """Show what a checkpoint holds; weights are neither read nor checked."""
    from pynanochat.inspection import inspect as look
    from pynanochat.ops.plan import describe
    from pynanochat.quantize.formats import format_of

    found = look(model, dtype=dtype or "float32", context=context, **asdict(files))
    stored = next((kind for one in found.tensors if (kind := format_of(one.dtype))), None)
    if stored is not None and dtype is None:
        found = look(model, dtype=stored, context=context, **asdict(files))
    elif stored is not None and format_of(found.sizes.dtype) not in (None, stored):
        raise UnsupportedError(f"the weights are {stored} already, and {dtype} made of them would lose twice; inspect "
                               "the float original instead")
    if json:
        emit(found.to_dict() | ({"plan": found.plan().to_dict()} if plan else {}))
        return 0
    for note in found.notes:
        say(f"note: {visible(note)}", "dim")
    _show(found)
    if tensors:
        rows = [(t.name, "x".join(map(str, t.shape)), t.dtype, f"{t.nbytes:,}") for t in found.tensors]
        console().print(table(("tensor", "shape", "dtype", "bytes"), rows, right=(1, 3)))
    if plan:
        print(f"\n{paint('plan', 'bold', sys.stdout)}")
        print("\n".join(describe(found.plan())))
    return 0


def _show(found: Inspection) -> None:
    sizes, out = found.sizes, sys.stdout
    print(paint(str(found.path), "bold", out))
    kinds = sorted({t.dtype for t in found.tensors})
    words = found.tokenizer
    _lines("", {
        "format": found.format,
        "generation": found.generation + (f", nanochat since {found.since}" if found.since else ""),
        "stored": f"{len(found.tensors)} tensors, {amount(found.stored_bytes, 'B')}, {' and '.join(kinds)}",
        "tokenizer": f"{words.vocab_size:,} tokens, {len(words.special_tokens)} special, {words.path}" if words
                     else "none found",
    })
    groups = {name: count for name, count in sizes.parameters.items() if count and name != "total"}
    total = sizes.parameters["total"]
    _lines("parameters", {name: f"{count:>15,}  {count / total:6.1%}" for name, count in groups.items()}
           | {"total": f"{total:>15,}"})
    _lines(f"sizes in {sizes.dtype} at {sizes.context:,} tokens", {
        "weights": amount(sizes.weight_bytes, "B"),
        "read per decoded token": amount(sizes.bytes_per_token, "B"),
        "cache per token": amount(sizes.kv_bytes_per_token, "B"),
        "cache": amount(sizes.kv_bytes, "B"),
        "operations per token": amount(sizes.flops_per_token, "FLOP"),
        "to train on a token": amount(sizes.training_flops_per_token, "FLOP"),
    })
    _lines("config", {field.name: _plain(getattr(found.config, field.name)) for field in fields(found.config)})
    if found.meta:
        _lines("meta", {name: _plain(value) for name, value in found.meta.items() if name != "model_config"})


def _lines(heading: str, values: dict[str, str]) -> None:
    if heading:
        print(f"\n{paint(heading, 'bold', sys.stdout)}")
    for name, value in values.items():
        print(f"  {name:<24}{value}")


def _plain(value: Any) -> str:
    text = visible(value if isinstance(value, str) else json_text.dumps(value, ensure_ascii=False))
    return " ".join(text.split()) if len(text) <= 200 else f"{' '.join(text[:197].split())}..."

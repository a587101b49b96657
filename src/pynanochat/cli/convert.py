"""nanochat convert: a model of any format into another one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from pynanochat.cli.options import CheckpointOptions, Json
from pynanochat.cli.terminal import amount, emit, say


def convert(
    model: Annotated[str, Parameter(help="The model, named as for every command.")],
    out: Annotated[Path, Parameter(help="The folder to write.")],
    /,
    *,
    format: Annotated[  # noqa: A002 - --format
        Literal["native", "nanochat", "huggingface", "burn"],
        Parameter(help="native is pynanochat's own, burn that of nanochat-rs.")] = "native",
    dtype: Annotated[Literal["float32", "bfloat16"] | None, Parameter(
        help="Store every tensor in it; as they are if left out.")] = None,
    json: Json = False,
    files: CheckpointOptions = CheckpointOptions(),  # noqa: B008 - frozen
) -> int:
    """Write a model in another format; it is checked while it is read, and written whole or not at all."""
    from pynanochat import checkpoint
    from pynanochat.tokenizer import Tokenizer

    options = asdict(files)
    place = checkpoint.resolve(model, source=options.pop("source"), step=files.step)
    opened = checkpoint.open(place, **options)
    tokenizer = None if opened.tokenizer_path is None else Tokenizer.load(opened.tokenizer_path)
    for note in opened.notes:
        say(f"note: {note}", "dim")
    folder = checkpoint.save(out, config=opened.config, tensors=opened.tensors, tokenizer=tokenizer, format=format,
                             meta=opened.meta, dtype=dtype)
    written = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    if json:
        emit({"path": str(folder), "format": format, "generation": opened.generation, "files": written,
              "total_bytes": sum(written.values())})
        return 0
    for name, size in written.items():
        print(f"{size:>15,}  {name}")
    say(f"{folder}: {opened.generation} as {format}, {amount(sum(written.values()), 'B')}", "dim")
    return 0

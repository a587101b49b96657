"""nanochat convert: a model of any format into another one, quantised if asked, and what that costs."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from pynanochat.cli.options import CheckpointOptions, Json
from pynanochat.cli.terminal import amount, emit, say
from pynanochat.errors import RequestError, TokenizerError

if TYPE_CHECKING:
    from pynanochat.check.quality import Quality


def convert(
    model: Annotated[str, Parameter(help="The model, named as for every command.")],
    out: Annotated[Path, Parameter(help="The folder to write.")],
    /,
    *,
    format: Annotated[  # noqa: A002 - --format
        Literal["native", "nanochat", "huggingface", "burn"],
        Parameter(help="native is pynanochat's own, burn that of nanochat-rs.")] = "native",
    dtype: Annotated[Literal["float32", "bfloat16"] | None, Parameter(
        help="Store every tensor in it that is not quantised by this command; as they are if left out.")] = None,
    quantize: Annotated[Literal["q8", "q4"] | None, Parameter(
        help="Store the matrices in 8 or 4 bits; native only.")] = None,
    text: Annotated[Path | None, Parameter(
        help="A text file to measure on what that costs: KL divergence, top-1 agreement, perplexity.")] = None,
    json: Json = False,
    files: CheckpointOptions = CheckpointOptions(),  # noqa: B008 - frozen
) -> int:
    """Write a model in another format; it is checked while it is read, and written whole or not at all."""
    from pynanochat import checkpoint
    from pynanochat.checkpoint.layout import nbytes
    from pynanochat.checkpoint.lazy_tensors import kinds
    from pynanochat.tokenizer import Tokenizer

    words = None if text is None else _read(text)
    options = asdict(files)
    place = checkpoint.resolve(model, source=options.pop("source"), step=files.step)
    opened = checkpoint.open(place, **options)
    tokenizer = None if opened.tokenizer_path is None else Tokenizer.load(opened.tokenizer_path)
    if words is not None and tokenizer is None:
        raise TokenizerError(f"{place}: there is no tokenizer with this model to measure on a text with; name one, or "
                             "leave --text out")
    for note in opened.notes:
        say(f"note: {note}", "dim")
    folder = checkpoint.save(out, config=opened.config, tensors=opened.tensors, tokenizer=tokenizer, format=format,
                             meta=opened.meta, dtype=dtype, quantize=quantize,
                             beside=partial(_add_optimizer, opened.path) if format == "nanochat" else None)
    written = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    stored = quantize or (checkpoint.quantization(opened.tensors) if dtype is None else None)
    before = sum(nbytes(shape, kind) for kind, shape in kinds(opened.tensors).values())
    found = None if words is None else _measured(place, folder, words, options)
    if json:
        document: dict[str, Any] = {
            "path": str(folder), "format": format, "generation": opened.generation, "quantization": stored,
            "files": written, "total_bytes": sum(written.values()), "source_weight_bytes": before}
        emit(document | ({} if found is None else {"quality": found.to_dict()}))
        return 0
    for name, size in written.items():
        print(f"{size:>15,}  {name}")
    if found is not None:
        print(f"{found.tokens:>15,}  tokens of {text}")
        print(f"{found.kl:>15.2e}  mean KL divergence ({found.kl_99:.1e} at the 99th percentile)")
        print(f"{found.top1:>15.2%}  top-1 agreement")
        print(f"{found.perplexity_ratio:>15.5f}  perplexity, by that before ({found.perplexity:.4g})")
    say(f"{folder}: {opened.generation} as {format}{f' in {stored}' if stored else ''}, "
        f"{amount(sum(written.values()), 'B')}, from {amount(before, 'B')} of weights", "dim")
    return 0


def _add_optimizer(saved: Path, folder: Path) -> None:
    """Beside the model of a run the state of its optimizer, from which upstream's trainer goes on."""
    if not (saved / "optimizer.safetensors").is_file():
        return
    try:
        from pynanochat.train.export import write_optimizer
    except ModuleNotFoundError:
        say("note: the optimizer's state is left out; with the extra train it is written, too", "dim")
        return
    write_optimizer(saved, folder)


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise RequestError(f"{path} cannot be read: {why}; expected a text file to measure on") from None
    if not text:
        raise RequestError(f"{path} is empty, so it has no tokens to measure on")
    return text


def _measured(place: Path, folder: Path, text: str, options: dict[str, Any]) -> Quality:
    """What was written beside what it was made of, both run in float32."""
    from pynanochat.check.quality import quality
    from pynanochat.llm import load

    first = load(place, dtype="float32", **options)
    return quality(first, load(folder, dtype="float32", tokenizer=options["tokenizer"]),
                   first.need_tokenizer().encode(text))

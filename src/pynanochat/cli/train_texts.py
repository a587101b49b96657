"""nanochat train texts: made-up stories, sums, facts and small talk, in a file to train on."""

from __future__ import annotations

import json as json_text
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pynanochat.cli.options import Json
from pynanochat.cli.terminal import amount, emit, say
from pynanochat.errors import RequestError

if TYPE_CHECKING:
    from pynanochat.synthetic.sample import Sample


def train_texts(
    *,
    out: Annotated[Path, Parameter(help="The .jsonl file to write.")],
    count: Annotated[int, Parameter(help="Texts and conversations to make.")] = 10_000,
    seed: Annotated[int, Parameter(help="The same seed gives the same texts.")] = 0,
    conversations: Annotated[bool, Parameter(help="Conversations alone, as fine-tuning takes them.")] = False,
    json: Json = False,
) -> int:
    """Write made-up texts: stories of a tracked world and questions about them, sums, spelling, facts, small talk.

    They belong to nobody. A line is an object with "text", or with "messages" as nanochat has them.
    """
    from pynanochat.checkpoint.place import place_of
    from pynanochat.synthetic import mixture

    if count < 1:
        raise RequestError(f"--count is {count}; expected 1 or more")
    out = place_of(out, "the file to write")
    if out.suffix != ".jsonl":
        raise RequestError(f"{out} is no name for the texts; expected one that ends in .jsonl")
    written, bits, size, place = 0, 0.0, 0, 0
    beside = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8") as file:
            while written < count:
                sample = mixture.document(seed, place)
                place += 1
                if conversations and sample.messages is None:
                    continue
                file.write(_line(sample) + "\n")
                written += 1
                bits += sample.bits
                size += len(mixture.text_of(sample).encode("utf-8"))
        beside.replace(out)
    except OSError as error:
        raise RequestError(f"{out} cannot be written: {error.strerror or error}") from None
    finally:
        beside.unlink(missing_ok=True)
    if json:
        emit({"path": str(out), "texts": written, "bytes": size, "bits_per_byte": bits / size})
    else:
        print(out)
        say(f"{written:,} texts, {amount(size, 'B')}, at most {bits / size:.3f} bits of choice a byte", "dim")
    return 0


def _line(sample: Sample) -> str:
    found = {"text": sample.text} if sample.messages is None else {"messages": sample.messages}
    return json_text.dumps(found, ensure_ascii=False)

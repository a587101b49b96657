"""The bundled model, made from nothing: texts by the generator, a tokenizer, both stages of training, 8-bit weights.

    OUT/tokenizer  OUT/data  OUT/talk  OUT/base  OUT/sft  OUT/model

Every step that is done is left as it is, so that the same command goes on where it was stopped.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pynanochat import checkpoint
from pynanochat.errors import TrainingError
from pynanochat.synthetic import mixture, ready_texts
from pynanochat.synthetic.sample import Sample
from pynanochat.tokenizer import Tokenizer
from pynanochat.train import recipes, shards, stages
from pynanochat.train import tokenizer as tokenizers
from pynanochat.train.config import TrainConfig
from pynanochat.train.session import Outcome
from pynanochat.train.sinks import Sink
from pynanochat.train.texts import Document
from pynanochat.train.workers import in_order

VOCAB_SIZE = 4096
_TOKENIZER_SAMPLES = 60_000  # some 35 MB
_SEEDS = {"tokenizer": 1, "data": 2, "talk": 3}  # of the generator; suites are drawn from what none of them holds
_CHUNK = 500  # samples that a process makes at a time
_SPARE = 1.03  # of tokens, so that the epoch does not end before the run

Say = Callable[[str], None]
Watch = Callable[[Path, TrainConfig], Sequence[Sink]]


def make(
    out: Path, *, texts: Path | None = None, processes: int = 1, device: str | None = None, say: Say = print,
    watch: Watch = lambda folder, config: (), base: dict[str, Any] | None = None, sft: dict[str, Any] | None = None,
) -> Outcome:
    """Make the model in OUT/model, or go on; the outcome of the stage that it ended with.

    `texts` is a folder with the openly licensed texts of `ready_texts`, which are trained on beside the generator's.
    `processes` make the texts. `base` and `sft` change the recipes, such as `steps`. Raises as `stages.pretrain`.
    """
    pretraining = recipes.bundled(vocab_size=VOCAB_SIZE, **(base or {}))
    tokenizer = _tokenizer(out / "tokenizer", texts, say)
    size = tokenizer.vocab_size
    pretraining = replace(pretraining, network=replace(pretraining.network, vocab_size=size, padded_vocab_size=0))
    tuning = replace(recipes.bundled_sft(vocab_size=size, **(sft or {})), network=pretraining.network)
    _shards(out / "data", "data", pretraining, tokenizer, texts, processes, say)
    outcome = stages.pretrain(pretraining, data=out / "data", out=out / "base", recipe="bundled", device=device,
                              sinks=watch(out / "base", pretraining))
    if not outcome.finished or outcome.exit_code:  # stopped, perhaps in the very last step
        return outcome
    _shards(out / "talk", "talk", tuning, tokenizer, None, processes, say)
    outcome = stages.sft(tuning, start=out / "base", data=out / "talk", out=out / "sft", recipe="bundled",
                         device=device, sinks=watch(out / "sft", tuning))
    if outcome.finished:
        opened = checkpoint.open(out / "sft", step=tuning.steps)
        checkpoint.save(out / "model", config=opened.config, tensors=opened.tensors, tokenizer=tokenizer,
                        meta=opened.meta, dtype="bfloat16", quantize="q8")
        say(f"made {out / 'model'}")
    return outcome


def samples(
    seed: int, processes: int = 1, weights: Mapping[str, float] = mixture.WEIGHTS
) -> Generator[Sample, None, None]:
    """The samples of a seed in their order without end, made by so many processes."""
    with contextlib.closing(in_order(partial(_made, seed, weights), itertools.count(), processes)) as made:
        yield from itertools.chain.from_iterable(made)


def _made(seed: int, weights: Mapping[str, float], chunk: int) -> list[Sample]:
    return list(mixture.documents(seed, _CHUNK, first=chunk * _CHUNK, weights=weights))


def _document(sample: Sample) -> Document:
    return Document(text=sample.text, messages=sample.messages, source=sample.kind)


def _tokenizer(folder: Path, texts: Path | None, say: Say) -> Tokenizer:
    if (folder / "tokenizer.json").is_file():
        return Tokenizer.load(folder)
    say(f"making {folder}")
    made: Iterator[Sample] = mixture.documents(_SEEDS["tokenizer"], _TOKENIZER_SAMPLES)
    if texts is not None:
        made = itertools.chain(made, (sample for _, sample in ready_texts.documents(texts)))
    tokenizer = tokenizers.train(tokenizers.texts_of(map(_document, made)), VOCAB_SIZE)
    tokenizer.save(folder)
    return tokenizer


def _shards(
    folder: Path, name: str, config: TrainConfig, tokenizer: Tokenizer, texts: Path | None, processes: int, say: Say
) -> None:
    """Fill a folder with tokens for the whole of a run, so that nothing comes twice; left as it is if it is there."""
    wanted = int(config.steps * config.batch_tokens * _SPARE) + config.eval_tokens
    if (folder / "index.json").is_file():
        there = sum(split.tokens for split in shards.open(folder).splits.values())
        if there < wanted:
            raise TrainingError(f"{folder} has {there:,} tokens, the run takes {wanted:,}; remove it and the runs "
                                "beside it, or ask for fewer steps")
        return
    say(f"making {folder}: {wanted:,} tokens")
    made = told = 0

    def progress(done: int, tokens: int) -> None:
        nonlocal made, told
        made = tokens
        if tokens - told >= wanted // 20:
            told = tokens
            say(f"{done:,} documents, {tokens:,} tokens")

    def documents() -> Iterator[Document]:
        for source, sample in ready_texts.documents(texts) if texts is not None else ():
            yield Document(text=sample.text, messages=sample.messages, source=source.name)
        for sample in made_up:
            if made >= wanted:
                return
            yield _document(sample)

    weights = mixture.PRACTICE if name == "talk" else mixture.WEIGHTS
    with contextlib.closing(samples(_SEEDS[name], processes, weights)) as made_up:
        shards.write(folder, documents(), tokenizer, val_share=0.005, progress=progress)

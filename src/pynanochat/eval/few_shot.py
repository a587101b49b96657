"""Items of CORE's three kinds, with examples before them, as continuations whose likelihood says the answer.

Source of layout, examples and rules: karpathy/nanochat, nanochat/core_eval.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pynanochat.errors import DataError
from pynanochat.eval.continuations import Continuation, Judged, likeliest
from pynanochat.tokenizer import Tokenizer

Kind = Literal["multiple_choice", "schema", "language_modeling"]
Item = Mapping[str, Any]

_SEED = 1234  # plus the item's index


@dataclass(frozen=True)
class FewShot:
    """How a task's items are asked."""

    kind: Kind
    shots: int
    delimiter: str = " "  # between question and answer

    def check(self, items: Sequence[Item], where: str) -> None:
        """Raise `DataError` for items of another kind, and for none."""
        wanted = _FIELDS[self.kind]
        if not items:
            raise DataError(f"{where}: the file has no items; fetch it again")
        for number, item in enumerate(items, 1):
            if not all(_is(item.get(name), form) for name, form in wanted.items()) or not _gold(item, self.kind):
                raise DataError(f"{where}, item {number}: expected {', '.join(wanted)} of a {self.kind} task")

    def examples(self, items: Sequence[Item], index: int) -> list[Item]:
        """The examples before an item: others of the task, drawn with a seed of its own; fewer where there are few."""
        others = [place for place in range(len(items)) if place != index]
        chosen = random.Random(_SEED + index).sample(others, min(self.shots, len(others))) if self.shots else []
        return [items[place] for place in chosen]

    def texts(self, item: Item, examples: Sequence[Item]) -> list[str]:
        """The whole text of each choice; for language_modeling the one without and the one with the answer."""
        shown = "".join(f"{_SHOWN[self.kind](example, self.delimiter)}\n\n" for example in examples)
        if self.kind == "multiple_choice":
            return [f"{shown}{item['query']}{self.delimiter}{choice}" for choice in item["choices"]]
        if self.kind == "schema":
            return [f"{shown}{context}{self.delimiter}{item['continuation']}" for context in item["context_options"]]
        start = f"{shown}{item['context'].strip()}{self.delimiter}"
        return [start.strip(), f"{start}{item['continuation']}"]

    def continuations(self, tokenizer: Tokenizer, item: Item, examples: Sequence[Item]) -> list[Continuation]:
        """What is judged: each choice's own tokens, the shared end after each context, or the answer."""
        texts = [tuple(tokenizer.encode_with_bos(text)) for text in self.texts(item, examples)]
        if self.kind == "schema":
            size = _common([text[::-1] for text in texts])
            starts = [len(text) - size for text in texts]
        else:
            starts = [_common(texts)] * len(texts)
        if self.kind == "language_modeling":
            texts, starts = texts[1:], starts[1:]
        starts = [min(start, min(map(len, texts)) - 1) for start in starts] if self.kind != "schema" else [
            min(start, len(text) - 1) for start, text in zip(starts, texts, strict=True)]
        return [Continuation(text[:max(start, 1)], text[max(start, 1):])
                for start, text in zip(starts, texts, strict=True)]

    def right(self, item: Item, judged: Sequence[Judged]) -> bool:
        """Whether the likeliest choice by the mean over its tokens is the right one, or every token the likeliest."""
        if self.kind == "language_modeling":
            return all(judged[0].best)
        return bool(likeliest(judged) == item["gold"])


def _common(sequences: Sequence[Sequence[int]]) -> int:
    """How many tokens all of them begin with."""
    same = 0
    for tokens in zip(*sequences, strict=False):
        if len(set(tokens)) > 1:
            break
        same += 1
    return same


_SHOWN: dict[str, Callable[[Item, str], str]] = {
    "multiple_choice": lambda one, delimiter: f"{one['query']}{delimiter}{one['choices'][one['gold']]}",
    "schema": lambda one, delimiter: f"{one['context_options'][one['gold']]}{delimiter}{one['continuation']}",
    "language_modeling": lambda one, delimiter: f"{one['context'].strip()}{delimiter}{one['continuation']}",
}
_FIELDS: dict[str, dict[str, str]] = {
    "multiple_choice": {"query": "text", "choices": "texts", "gold": "index"},
    "schema": {"context_options": "texts", "continuation": "text", "gold": "index"},
    "language_modeling": {"context": "text", "continuation": "text"},
}


def _is(value: object, form: str) -> bool:
    if form == "text":
        return isinstance(value, str)
    if form == "index":
        return type(value) is int and value >= 0
    return isinstance(value, list) and len(value) > 1 and all(isinstance(one, str) for one in value)


def _gold(item: Item, kind: Kind) -> bool:
    options = {"multiple_choice": "choices", "schema": "context_options"}.get(kind)
    return options is None or item["gold"] < len(item[options])

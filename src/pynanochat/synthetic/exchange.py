"""Exchange: one question and its answer, from which both training conversations and measured questions are made."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from pynanochat.calculator import calculate
from pynanochat.chat import Message, Part
from pynanochat.synthetic.choices import Choices, held_out
from pynanochat.synthetic.commitment import Committed, text_of
from pynanochat.synthetic.sample import Question

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?|(?<=\d)-\d+(?:\.\d+)?")
_LONG = 6  # digits after the point from which a result is told rounded


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """What a user asks and what is answered; `key` is what makes it the item it is, None where nothing is held out."""

    kind: str
    asked: str
    said: str | list[Part]
    answer: str
    key: str | None = None
    check: Callable[[str], bool] | None = None

    def messages(self) -> tuple[Message, Message]:
        """The user's message and the assistant's."""
        return {"role": "user", "content": self.asked}, {"role": "assistant", "content": self.said}


def draw(make: Callable[[Choices], list[Exchange]], choices: Choices, *, held: bool = False) -> list[Exchange]:
    """Exchanges of which none is held out, or, where `held`, the ones up to the first that is."""
    bits = choices.bits
    while True:
        choices.bits = bits  # what is thrown away costs nothing
        exchanges = make(choices)
        kept_out = [exchange.key is not None and held_out(exchange.key) for exchange in exchanges]
        if not held and not any(kept_out):
            return exchanges
        if held and any(kept_out):
            return exchanges[: kept_out.index(True) + 1]


def question(exchanges: Sequence[Exchange]) -> Question:
    """The last exchange as a question, after the others as they were answered."""
    *before, last = exchanges
    messages = [message for exchange in before for message in exchange.messages()]
    says = last.check or Question(kind=last.kind, messages=(), answer=last.answer).right
    return Question(kind=last.kind, messages=(*messages, last.messages()[0]), answer=last.answer,
                    check=Committed(says, text_of(last.said)))


def computed(before: str, expression: str, after: str) -> list[Part]:
    """An answer's parts: text, the expression, what our calculator gives for it, text."""
    result = calculate(expression)
    assert result is not None, expression
    parts: list[Part] = [{"type": "text", "text": before}] if before else []
    return [*parts, {"type": "python", "text": expression}, {"type": "python_output", "text": result},
            {"type": "text", "text": after}]


def result_of(expression: str) -> str:
    """The calculator's result as people write it: no .0, and "about" two places where there are many."""
    result = calculate(expression)
    assert result is not None, expression
    whole, _, places = result.partition(".")
    if places == "0":
        return whole
    if len(places) >= _LONG:
        return f"about {float(result):.2f}"
    return result


def exact(expression: str) -> bool:
    """Whether the calculator's result needs no rounding to be told."""
    result = calculate(expression)
    return result is not None and "e" not in result and len(result.partition(".")[2]) < _LONG


def ends_with_number(answer: str) -> Callable[[str], bool]:
    """A check that the last number that is said is `answer`."""
    return partial(_last_number_is, answer.removeprefix("about "))


def _last_number_is(answer: str, said: str) -> bool:
    numbers = _NUMBER.findall(said.replace(",", ""))
    return bool(numbers) and numbers[-1] == answer

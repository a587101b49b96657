"""GSM8K: school mathematics in words, answered with the calculator; the number after #### must be the right one."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pynanochat.errors import DataError
from pynanochat.eval.answers import answers
from pynanochat.eval.data_folder import GSM8K, DataFolder
from pynanochat.eval.score import Score
from pynanochat.llm import LLM

MAX_TOKENS = 512  # of an answer, as upstream's scripts/chat_eval.py
# Source: openai/grade-school-math 3101c7d50724, grade_school_math/dataset.py.
_ANSWER = re.compile(r"#### (-?[0-9.,]+)")


@dataclass(frozen=True)
class Problem:
    """A question, and the number that answers it, without commas."""

    question: str
    answer: str


def number(text: str) -> str | None:
    """The number after the first ####, without commas; None where there is none."""
    match = _ANSWER.search(text)
    return match[1].strip().replace(",", "") if match else None


def load(data: DataFolder) -> list[Problem]:
    """The problems in the file's order. Raises `DataError` for a file without questions and answers."""
    found = []
    for place, item in enumerate(data.lines(GSM8K), 1):
        question, answer = item.get("question"), item.get("answer")
        wanted = number(answer) if isinstance(answer, str) else None
        if not isinstance(question, str) or wanted is None:
            raise DataError(f"{data.path / GSM8K}, line {place}: expected question, and answer with #### and a number")
        found.append(Problem(question, wanted))
    return found


def run(
    llm: LLM,
    problems: Sequence[Problem],
    *,
    most: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Score:
    """The share of the first `most` problems that greedy answers get right."""
    chosen = problems[:most]
    outputs = answers(llm, [[{"role": "user", "content": one.question}] for one in chosen], max_tokens=MAX_TOKENS,
                      progress=progress)
    right = [output is not None and number(output.text) == problem.answer
             for output, problem in zip(outputs, chosen, strict=True)]
    return Score.of_answers("gsm8k", right, too_long=outputs.count(None))

"""Multiple choice as a chat: the question with its choices, answered by the likeliest of their letters.

Source of the layout and of the rule: karpathy/nanochat, tasks/common.py, render_mc, and scripts/chat_eval.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pynanochat.chat import Message, apply_chat_template
from pynanochat.errors import DataError
from pynanochat.eval.continuations import Continuation, choose, likeliest
from pynanochat.eval.data_folder import MMLU, DataFolder, members, rows
from pynanochat.eval.few_shot import Item
from pynanochat.eval.score import Score
from pynanochat.llm import LLM

_ORDER_SEED = 1337
LETTERS = "ABCDE"


@dataclass(frozen=True)
class Choice:
    """A question and its choices, the right one by place."""

    question: str
    choices: tuple[str, ...]
    answer: int

    def message(self) -> Message:
        """The user's message; the letter stands after its choice and right behind the sign, as the answer's token."""
        choices = "".join(f"- {choice}={letter}\n" for letter, choice in zip(LETTERS, self.choices, strict=False))
        return {"role": "user", "content": f"Multiple Choice question: {self.question}\n{choices}\n"
                                           "Respond only with the letter of the correct answer."}


def mmlu(data: DataFolder) -> list[Choice]:
    """The test questions of all 57 subjects, shuffled."""
    path = data.need(MMLU)
    found = []
    for name, content in members(path, "mmlu/test/"):
        for number, row in enumerate(rows(content, name), 1):
            choices = tuple(row.get(f"choice{place}") or "" for place in range(4))
            answer = row.get("answer") or ""
            if answer not in ("0", "1", "2", "3") or not row.get("question"):
                raise DataError(f"{path}, {name}, row {number}: expected question, choice0 to choice3, and an answer "
                                "from 0 to 3")
            found.append(Choice(row["question"], choices, int(answer)))
    if not found:
        raise DataError(f"{path} has no files mmlu/test/*.csv; fetch it again")
    random.Random(_ORDER_SEED).shuffle(found)
    return found


def arc(items: Sequence[Item]) -> list[Choice]:
    """The questions of CORE's arc_easy or arc_challenge, in their order."""
    return [Choice(item["query"].removeprefix("Question: "), tuple(item["choices"])[:len(LETTERS)], item["gold"])
            for item in items]


def run(
    llm: LLM,
    name: str,
    questions: Sequence[Choice],
    *,
    most: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Score:
    """The share of right letters over the first `most` questions."""
    tokenizer, chosen = llm.need_tokenizer(), questions[:most]
    letters = [tuple(tokenizer.encode(letter)) for letter in LETTERS]
    asked = []
    for question in chosen:
        prompt = tuple(apply_chat_template(tokenizer, [question.message()]))
        asked.append([Continuation(prompt, letter) for letter in letters[:len(question.choices)]])
    judged, too_long = choose(llm, asked, progress=progress)
    right = [likeliest(one) == question.answer for question, one in zip(chosen, judged, strict=True)]
    chance = sum(1 / len(question.choices) for question in chosen) / len(chosen)
    return Score.of_answers(name, right, chance=chance, too_long=too_long)

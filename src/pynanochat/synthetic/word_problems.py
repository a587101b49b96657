"""Word problems: short tales of quantities, one sentence of reasoning, the sum, and the answer with its noun."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.exchange import Exchange, computed, ends_with_number, result_of
from pynanochat.synthetic.problem_templates import PROBLEMS, Problem
from pynanochat.synthetic.word_lists import countable, names, plural, word_file

KIND = "word_problems"
_BEFORE = ("Here is a problem.", "Can you solve this?", "Please help me with this:", "A riddle:", "Solve this:")


def exchanges(choices: Choices) -> list[Exchange]:
    """One problem, solved."""
    return [_solved(choices, choices.one(PROBLEMS))]


def _solved(choices: Choices, problem: Problem) -> Exchange:
    slots = dict(_cast(choices))
    slots.update({name: str(value) for name, value in problem.numbers(choices).items()})
    expression = problem.expression.format_map(slots)
    slots["r"] = result_of(expression)
    text, _, unit = choices.one(problem.texts).partition("|=")
    asked, slots["u"] = choices.text(text, slots), unit or slots["things"]
    if choices.chance(0.1):
        asked = f"{choices.one(_BEFORE)} {asked}"
    why, last = choices.text(problem.why, slots), choices.text(problem.last, slots)
    return Exchange(kind=KIND, asked=asked, said=computed(f"{why} ", expression, f" {last}"), answer=slots["r"],
                    key=f"{problem.name} {expression}", check=ends_with_number(slots["r"]))


def _cast(choices: Choices) -> Mapping[str, str]:
    n, m = choices.several(names(), 2)
    words = _words()
    things = choices.one(words["things"])
    if choices.chance(0.2):
        rare = choices.one(countable())
        things = things if rare in words["not_things"] else plural(rare)
    others = choices.one([word for word in words["things"] if word != things])
    colour, shade = choices.several(words["colours"], 2)
    return {"n": n, "m": m, "things": things, "others": others, "colour": colour, "shade": shade,
            "box": choices.one(words["containers"]), "food": choices.one(words["foods"]),
            "who": choices.one(words["groups"]), "town": choices.one(words["towns"]),
            "job": choices.one(words["jobs"]), "day": choices.one(words["days"])}


@functools.cache
def _words() -> dict[str, tuple[str, ...]]:
    return {name: tuple(words.split()) for name, words in word_file("problems").items()}

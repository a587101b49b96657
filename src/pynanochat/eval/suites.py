"""Our own suites: questions with one exact answer, made anew from a seed; the keys of the bundled model's scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pynanochat.eval.answers import answers
from pynanochat.eval.score import Score
from pynanochat.llm import LLM
from pynanochat.sampling import SamplingPolicy
from pynanochat.synthetic.sample import Question
from pynanochat.synthetic.suites import SUITES, suite

BUNDLED = SUITES
SIZE = 200  # questions of a suite
SEED = 1

_TALES = ("story_consistency", "story_requests")
_SAMPLED = dict.fromkeys(_TALES, SamplingPolicy(temperature=0.8, top_p=0.95, seed=1))  # all others are greedy
_MAX_TOKENS = dict.fromkeys(_TALES, 512)
_MOST_ANSWER = 192


def questions(name: str, n: int = SIZE, seed: int = SEED) -> list[Question]:
    """The questions of one of `BUNDLED`; all but `facts` and `identity` ask of items that training never shows."""
    return list(suite(name, n=n, seed=seed))


def run(
    llm: LLM,
    name: str,
    asked: Sequence[Question],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Score:
    """The share of right answers; what the model said outside its tool blocks is judged."""
    outputs = answers(llm, [question.messages for question in asked], policy=_SAMPLED.get(name),
                      max_tokens=_MAX_TOKENS.get(name, _MOST_ANSWER), progress=progress)
    right = [output is not None and question.right(output.text)
             for output, question in zip(outputs, asked, strict=True)]
    return Score.of_answers(name, right, too_long=outputs.count(None))

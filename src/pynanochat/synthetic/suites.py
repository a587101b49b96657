"""Suites: questions with one right answer each; `suite` says what of them is held out from training."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from pynanochat.errors import DataError
from pynanochat.synthetic import arithmetic, facts, identity, spelling, word_problems
from pynanochat.synthetic.asking import plainly
from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.exchange import Exchange, draw, question
from pynanochat.synthetic.sample import Question

SUITES = ("arithmetic", "word_problems", "spelling", "facts", "story_questions", "identity", "story_consistency",
          "story_requests")
_RUN = 8  # words of the request in a row that a story does not repeat
_SENTENCES = 3
_HELD: dict[str, Callable[[Choices], list[Exchange]]] = {
    "arithmetic": arithmetic.exchanges, "word_problems": word_problems.exchanges, "spelling": spelling.exchanges}


def suite(name: str, n: int = 200, seed: int = 1) -> list[Question]:
    """n questions of one of `SUITES`, the same ones for the same seed; raises `DataError` for another name.

    All but `facts` and `identity` ask of items that training never shows. Facts are those of the list, each asked in
    words that training does not use for it; identity asks all that the model should know of itself, as people ask it.
    """
    if name not in SUITES:
        raise DataError(f"{name!r} is no suite of the generator; expected one of: {', '.join(SUITES)}")
    if name in _HELD:
        return [question(draw(_HELD[name], Choices(f"{name} {seed} {i}"), held=True)) for i in range(n)]
    if name == "facts":
        return [_fact(Choices(f"{name} {seed} {i}")) for i in range(n)]
    if name == "identity":
        return [_self(Choices(f"{name} {seed} {i}"), i) for i in range(n)]
    return _of_stories(name, n, seed)


def _fact(choices: Choices) -> Question:
    # The fact is drawn anew with its wording: a third of the facts have no wording that is held out.
    return question(draw(lambda again: [again.one(facts.facts()).exchange(again, facts.KIND)], choices, held=True))


def _self(choices: Choices, place: int) -> Question:
    topics = identity.topics()
    topic = topics[place % len(topics)]
    return question([topic.exchange(choices, identity.KIND, asker=lambda _, stem: plainly(stem), keyed=False)])


def _of_stories(name: str, n: int, seed: int) -> list[Question]:
    from pynanochat.synthetic import stories

    if name == "story_questions":
        return stories.questions(seed, n)
    judged = _consistent if name == "story_consistency" else _compliant
    return [Question(kind=name, messages=({"role": "user", "content": prompt.request},), answer=", ".join(prompt.names),
                     check=partial(judged, prompt.request))
            for prompt in stories.prompts(Choices(f"{name} {seed}"), n)]


def _consistent(request: str, said: str) -> bool:
    """Whether it is a story whose names, things and places stay the same, with those that it is to be about."""
    from pynanochat.synthetic.stories.consistency import judge

    return _is_story(request, said) and judge(request, said).consistent


def _compliant(request: str, said: str) -> bool:
    """Whether it is a story with everything in it that was asked for."""
    from pynanochat.synthetic.stories.consistency import missing

    return _is_story(request, said) and not missing(request, said)


def _is_story(request: str, said: str) -> bool:
    """Whether it is some sentences of its own, not the request's words again."""
    words = re.findall(r"[\w'-]+", said.lower())
    asked = re.findall(r"[\w'-]+", request.lower())
    run = min(_RUN, len(asked))
    echoes = {tuple(asked[at : at + run]) for at in range(len(asked) - run + 1)}
    own = not any(tuple(words[at : at + run]) in echoes for at in range(len(words)))
    sentences = len(re.findall(r"[.!?][\"”]?(?:\s|$)", said))
    return own and sentences >= _SENTENCES

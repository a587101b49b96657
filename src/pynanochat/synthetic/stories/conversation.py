"""Conversations around a story: a request, the story, and what one says and asks about it after that."""

from __future__ import annotations

from dataclasses import dataclass

from pynanochat.chat import Message
from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.sample import Sample
from pynanochat.synthetic.stories.questions import asked, available, given
from pynanochat.synthetic.stories.requests import Request, request
from pynanochat.synthetic.stories.script import Ask
from pynanochat.synthetic.stories.story import Story, new_story

_MOST = 1900  # characters of a conversation, so that it fits into some 500 tokens
_MORAL = (
    "What is the moral[ of the story|]?",
    "What can we learn from [this|the] story?",
    "What does the story teach us?",
    "[And the|The] moral?",
)
_TITLE = (
    "Give it a title[, please|].",
    "What would be a good title?",
    "What could the story be called?",
    "Title?",
    "Can you find a title for it?",
)
_ANOTHER = (
    "Tell me another one[, please|].",
    "Another [one|story][, please|]!",
    "One more[, please|].",
    "Now tell me a different one.",
    "That was nice. Another one?",
    "More!",
)
_CHANGE = {
    "a": (
        "Make it about {a_new} instead.",
        "Now tell it with {a_new} instead of {old}.",
        "Tell it again, but with {a_new}.",
    ),
    "thing": (
        "Make it about {a_thing} instead.",
        "Tell it again, but with {a_thing}[, please|].",
        "Can it be {a_thing} instead of the {old}?",
    ),
    "place": ("Let it happen {at} instead.", "Tell it again, but {at}.", "The same story {at}, please."),
}
_SEQUEL = (
    "Continue the story[, please|].",
    "What happened [then|next|after that]?",
    "And then?",
    "Go on[, please|].",
    "How does it go on?",
)
_CONTINUE = (
    "Continue: {start}",
    "Continue this story: {start}",
    "Please finish this story: {start}",
    "Go on with this story: {start}",
    "{start} ... How does it go on?",
    "How does this story go on? {start}",
)
_THANKS = (
    ("Thank you[!|.]", "You are welcome![| I hope you liked the story.]"),
    ("That was [nice|lovely|great][!|.]", "I am glad that you liked it[!|.]"),
    ("I like [it|the story][!|.]", "Thank you! I am glad."),
)


_OFTEN = {"nothing": 0.12, "yesno": 0.35, "kind": 0.4, "name": 0.4, "about": 0.4}


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A request for a story, and the words of it that the story must say."""

    request: str
    names: tuple[str, ...]


def prompts(choices: Choices, n: int) -> list[Prompt]:
    """n requests for stories that training never told, half of them or more naming somebody or something."""
    made: list[Prompt] = []
    while len(made) < n:
        wanted: Request = request(choices, new_story(choices, held_out=True))
        if wanted.names or len(made) % 4 == 0:
            made.append(Prompt(request=wanted.text, names=wanted.names))
    return made


def document(choices: Choices) -> Sample:
    """A story alone, now and then under its title."""
    before = choices.bits
    story = new_story(choices)
    text = f"{story.title(choices)}\n\n{story.text}" if choices.chance(0.3) else story.text
    return Sample(kind="story", messages=None, text=text, bits=choices.bits - before)


def conversation(choices: Choices) -> Sample:
    """A story told on request, begun or given by the user, and up to four turns about it."""
    before = choices.bits
    story = new_story(choices)
    messages: list[Message] = []
    turns = choices.one((0, 1, 2, 3, 4), (4, 5, 5, 3, 3))
    way = choices.one(("request", "given", "begun"), (79, 14, 7))
    asks = available(story)
    if way == "given":
        ask = _pick(choices, asks)
        one = asked(choices, story, ask)
        _add(messages, given(choices, story, one.question), one.answer)
    elif way == "begun":
        _begun(choices, story, messages)
    else:
        _add(messages, request(choices, story).text, story.text)
    said: set[str] = set()
    for _ in range(turns):
        turn = choices.one(("ask", "moral", "title", "another", "change", "sequel", "thanks"), (72, 7, 6, 4, 6, 4, 2))
        length = sum(len(str(message["content"])) for message in messages)
        if (turn in ("another", "change") and length > _MOST - len(story.text)) or (turn != "ask" and turn in said):
            turn = "ask"
        if length > _MOST:
            break
        said.add(turn)
        if turn == "ask" and asks:
            one = asked(choices, story, _pick(choices, asks))
            _add(messages, one.question, one.answer)
        elif turn in ("another", "change"):
            story = _other(choices, story, turn, messages)
            asks = available(story)
        else:
            _add(messages, *_small(choices, story, turn))
    return Sample(kind="story", messages=tuple(messages), text=None, bits=choices.bits - before)


def _pick(choices: Choices, asks: list[Ask]) -> Ask:
    """One of the questions that are left, which is then gone; those that fit any story come less often."""
    ask = choices.one(asks, [_OFTEN.get(ask.kind, 1.0) for ask in asks])
    asks.remove(ask)
    return ask


def _small(choices: Choices, story: Story, turn: str) -> tuple[str, str]:
    if turn == "moral":
        return choices.text(choices.one(_MORAL)), story.moral(choices)
    if turn == "title":
        return choices.text(choices.one(_TITLE)), story.title(choices)
    if turn == "sequel":
        return choices.text(choices.one(_SEQUEL)), story.sequel(choices)
    thanks, answer = choices.one(_THANKS)
    return choices.text(thanks), choices.text(answer)


def _begun(choices: Choices, story: Story, messages: list[Message]) -> None:
    """The user tells how it begins, up to some word of the first half; the answer is the rest."""
    words = story.text.split(" ")
    cut = choices.whole(min(8, len(words) // 3), max(len(words) // 3, 9))
    start, rest = " ".join(words[:cut]), " ".join(words[cut:])
    if "\n" in start:
        start, rest = story.text.split("\n\n", 1)
    _add(messages, choices.text(choices.one(_CONTINUE), start=start), rest)


def _other(choices: Choices, story: Story, turn: str, messages: list[Message]) -> Story:
    if turn == "another":
        other = new_story(choices, size=choices.one(("micro", "short")))
        _add(messages, choices.text(choices.one(_ANOTHER)), other.text)
        return other
    ways = ["a"]
    if "" in story.world.things:
        ways += ["thing", "thing"]
    if story.world.places[""].at in story.text:
        ways.append("place")
    what = choices.one(ways)
    other = story.retold(choices, what)
    while other.world.held_out:
        other = story.retold(choices, what)
    old = story.world.cast["a"].name if what == "a" else story.world.slots.get("thing", "")
    _add(messages, choices.text(choices.one(_CHANGE[what]), other.world.slots, old=old), other.text)
    return other


def _add(messages: list[Message], said: str, answer: str) -> None:
    messages += [{"role": "user", "content": said}, {"role": "assistant", "content": answer}]

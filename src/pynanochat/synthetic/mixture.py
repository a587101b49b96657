"""The mixture that a model is trained on: sample i depends on the seed and i alone, whatever was made before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from pynanochat.chat import Message
from pynanochat.synthetic import (
    arithmetic,
    facts,
    identity,
    language,
    small_talk,
    spelling,
    unknown,
    word_problems,
)
from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.exchange import Exchange, draw
from pynanochat.synthetic.sample import Sample

# How many samples in 100 are of a kind, and why.
WEIGHTS: dict[str, float] = {
    "story": 40,  # conversations on stories: most of the English, and the hardest task, to answer about a new text
    "story_text": 8,  # stories alone, as plain text: the model must also go on from a prompt that is no chat
    "arithmetic": 10,  # the calculator's form is learned soon; copying long numbers exactly takes many
    "word_problems": 8,  # choosing the sum that a tale asks for
    "spelling": 12,  # the letters of each of 2,000 words must be met in every task but the held-out ones
    "facts": 12,  # each of the facts some hundred times, in all its wordings
    "identity": 4,  # few, short, and to be known by heart
    "small_talk": 3,  # manners
    "language": 2,  # plurals, rhymes, the alphabet
    "unknown": 1,  # saying that it does not know; more would teach it to doubt what it knows
}
# The same for fine-tuning, which counts answers alone: more of what is hardest, to keep to a request and to the letter.
PRACTICE: dict[str, float] = {
    "story": 40, "spelling": 22, "arithmetic": 14, "facts": 6, "word_problems": 6, "identity": 4, "small_talk": 4,
    "language": 3, "unknown": 1}
_MAKERS: dict[str, Callable[[Choices], list[Exchange]]] = {
    "arithmetic": arithmetic.exchanges, "word_problems": word_problems.exchanges, "spelling": spelling.exchanges,
    "facts": facts.exchanges, "identity": identity.exchanges, "small_talk": small_talk.exchanges,
    "language": language.exchanges, "unknown": unknown.exchanges}
_TALKS = tuple(_MAKERS)
_TALK_WEIGHTS = tuple(WEIGHTS[kind] for kind in _TALKS)
_SYSTEMS = (
    "Be brief.", "You are a helpful assistant.", "Answer in one sentence.", "You are a friendly assistant.", "Be kind.",
    "You are Nano, a small language model.", "Answer the user's questions.", "Be polite.", "Be helpful and honest.",
    "You are talking to a child.", "Use simple words.", "Keep your answers short.", "You are an assistant.",
    "You are a helpful, respectful and honest assistant.", "Help the user.", "Speak simple English.")
_LONGEST = 1800  # characters of a conversation that nothing more is added to: about 450 tokens of a context of 512
_ROOM = 1200  # of one that a first or last exchange may still be added to


def documents(
    seed: int, count: int, *, first: int = 0, weights: Mapping[str, float] = WEIGHTS
) -> Iterator[Sample]:
    """The samples `first` to `first + count - 1` of this seed; none holds an item that is held out."""
    for place in range(first, first + count):
        yield document(seed, place, weights)


def document(seed: int, place: int, weights: Mapping[str, float] = WEIGHTS) -> Sample:
    """Sample number `place` of this seed."""
    return drawn(Choices(seed_of(seed, place)), weights)


def seed_of(seed: int, place: int) -> str:
    """What the choices of sample number `place` depend on."""
    return f"{seed} {place}"


def drawn(choices: Choices, weights: Mapping[str, float] = WEIGHTS) -> Sample:
    """A sample by these choices, of kinds as frequent as their weights say."""
    kind = choices.one(tuple(weights), tuple(weights.values()))
    if kind in ("story", "story_text"):
        return _story(choices, kind)
    messages = _framed(choices, _talk(choices, kind))
    return Sample(kind=kind, messages=messages, bits=choices.bits)


def text_of(sample: Sample) -> str:
    """All that a sample says, messages and tool blocks one after the other, without marks between them."""
    if sample.messages is None:
        return sample.text or ""
    return "".join(content if isinstance(content := message["content"], str) else "".join(p["text"] for p in content)
                   for message in sample.messages)


def _story(choices: Choices, kind: str) -> Sample:
    from pynanochat.synthetic import stories

    if kind == "story_text":
        return Sample(kind=kind, text=stories.document(choices).text, bits=choices.bits)
    messages = stories.conversation(choices).messages
    assert messages is not None
    framed = _framed(choices, messages)  # before its bits are read
    return Sample(kind=kind, messages=framed, bits=choices.bits)


def _talk(choices: Choices, kind: str) -> tuple[Message, ...]:
    """One to six groups of exchanges, mostly of one kind."""
    messages: list[Message] = []
    for _ in range(choices.one((1, 2, 3, 4, 6), (22, 24, 24, 18, 12))):
        here = kind if not messages or choices.chance(0.65) else choices.one(_TALKS, _TALK_WEIGHTS)
        found = [message for exchange in draw(_MAKERS[here], choices) for message in exchange.messages()]
        if messages and _length(messages) + _length(found) > _LONGEST:
            break
        messages += found
    return tuple(messages)


def _framed(choices: Choices, messages: Sequence[Message]) -> tuple[Message, ...]:
    """The conversation with, now and then, a system message, a greeting, something else first or last, a parting."""
    framed = list(messages)
    if _length(framed) < _ROOM:
        if choices.chance(0.08):
            framed = [*small_talk.greeting(choices).messages(), *framed]
        if choices.chance(0.1):
            framed = [*_other(choices), *framed]
        if choices.chance(0.12):
            framed += _other(choices)
        if choices.chance(0.1):
            framed += small_talk.parting(choices).messages()
    if choices.chance(0.07):
        framed.insert(0, {"role": "system", "content": choices.one(_SYSTEMS)})
    return tuple(framed)


def _other(choices: Choices) -> list[Message]:
    kind = choices.one(_TALKS, _TALK_WEIGHTS)
    return [message for exchange in draw(_MAKERS[kind], choices)[:2] for message in exchange.messages()]


def _length(messages: Sequence[Message]) -> int:
    return sum(len(content) if isinstance(content := message["content"], str) else
               sum(len(part["text"]) for part in content) for message in messages)

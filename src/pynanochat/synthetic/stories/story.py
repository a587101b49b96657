"""Story: a plot told in a world, its text and all that can be asked about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.stories.script import Ask, Beat, Section, scripts
from pynanochat.synthetic.stories.world import World

SIZES = ("micro", "short", "middle", "long")
_EXTRAS = {"short": 0.4, "middle": 0.85, "long": 0.95}  # chance of something small at each place for it
_SETTING = {"short": 0.3, "middle": 0.7, "long": 0.95}
_SMALL_WORDS = frozenset(["a", "an", "the", "and", "of", "at", "in", "on", "by", "to", "for", "from", "with"])


@dataclass(kw_only=True)
class Story:
    """A told story; `retold` tells it in a changed world in the same words."""

    world: World
    plot: Section
    size: str
    sentences: int
    telling: str  # the seed of its wording
    paragraphs: list[str] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    used: list[int] = field(default_factory=list)  # extras that were told
    bits: float = 0.0

    @property
    def text(self) -> str:
        """The whole of it, paragraphs a blank line apart."""
        return "\n\n".join(self.paragraphs)

    def retold(self, choices: Choices, what: str) -> Story:
        """The same story with one thing of its world changed: "a", "thing" or "place"."""
        other = Story(
            world=self.world.retold(choices, what),
            plot=self.plot,
            size=self.size,
            sentences=self.sentences,
            telling=self.telling,
        )
        _tell(other)
        other.bits = 0.0  # its wording was decided before
        return other

    def moral(self, choices: Choices) -> str:
        """One of its lessons."""
        return choices.text(choices.one(self.plot.morals), self.world.slots)

    def title(self, choices: Choices) -> str:
        """One of its titles, in capitals as titles are."""
        said = choices.text(choices.one(self.plot.titles), self.world.slots)
        words = said.split(" ")
        return " ".join(
            word if place and word in _SMALL_WORDS else word[:1].upper() + word[1:] for place, word in enumerate(words)
        )

    def sequel(self, choices: Choices) -> str:
        """What came after it."""
        section = choices.one(scripts().frames["sequel"])
        beat = section.beats[0]
        self.world.need(beat.needs)
        return choices.text(choices.one(beat.wordings), self.world.slots)


def new_story(choices: Choices, *, held_out: bool = False, size: str = "", sentences: int = 0) -> Story:
    """A story that is held out, or one that is not; a micro story has exactly as many sentences as asked for."""
    size = size or choices.one(SIZES, (2, 4, 8, 2))
    if size == "micro" and not sentences:
        sentences = choices.whole(3, 5)
    plots = scripts().plots
    if size == "micro":
        plots = tuple(plot for plot in scripts().micros if plot.shortest <= sentences <= len(plot.beats))
    while True:
        bits = choices.bits
        plot = choices.one(plots)
        world = World(choices, avoid=plot.words, groups=plot.groups)
        world.need(plot.core)
        if world.held_out == held_out:
            break
        if not held_out:  # the draw says nothing: it is made again
            choices.bits = bits
    bits = choices.bits
    telling = f"told {choices.whole(0, 2**52 - 1)}"  # a stream of its own, so that the wording can be repeated
    choices.bits = bits
    story = Story(world=world, plot=plot, size=size, sentences=sentences, telling=telling)
    _tell(story)
    choices.bits += story.bits
    return story


def _tell(story: Story) -> None:
    choices = Choices(story.telling)
    if story.size == "micro":
        story.paragraphs = [" ".join(_micro(story, choices))]
    else:
        story.paragraphs = _paragraphs(choices, _pieces(story, choices))
    story.bits = choices.bits


def _micro(story: Story, choices: Choices) -> list[str]:
    """As many sentences as wanted: the plot's own, filled up with some of those that may be left out."""
    free = [place for place, beat in enumerate(story.plot.beats) if beat.optional]
    must = len(story.plot.beats) - len(free)
    chosen = set(choices.several(free, min(max(story.sentences - must, 0), len(free))))
    return [
        _say(story, choices, beat, story.plot)
        for place, beat in enumerate(story.plot.beats)
        if not beat.optional or place in chosen
    ]


def _pieces(story: Story, choices: Choices) -> list[str]:
    frames = scripts().frames
    opening = choices.one(frames["opening"])
    pieces = [_section(story, choices, opening)]
    if "day" not in opening.needs and choices.chance(_SETTING[story.size]):
        pieces.append(_section(story, choices, choices.one(frames["setting"])))
    pieces += _extra(story, choices)
    for beat in story.plot.beats:
        if beat.wordings:
            pieces.append(_say(story, choices, beat, story.plot))
        else:
            pieces += _extra(story, choices)
            if story.size == "long":
                pieces += _extra(story, choices)
                pieces += _extra(story, choices)
    if choices.chance(0.75):
        with_friend = "b" in story.world.cast and choices.chance()
        pieces.append(_section(story, choices, choices.one(frames["ending2" if with_friend else "ending"])))
    if choices.chance(0.45):
        moral = choices.text(choices.one(story.plot.morals), story.world.slots)
        lead = choices.text(
            "[The moral of the story is: |And so {a} learned: |Remember: |The lesson is this: |]", story.world.slots
        )
        pieces.append(f"{lead} {moral}".strip())
    return pieces


def _extra(story: Story, choices: Choices) -> list[str]:
    extras = scripts().frames["extra"]
    if not choices.chance(_EXTRAS[story.size]):
        return []
    left = [place for place in range(len(extras)) if place not in story.used]
    place = choices.one(left)
    story.used.append(place)
    return [_section(story, choices, extras[place])]


def _section(story: Story, choices: Choices, section: Section) -> str:
    return " ".join(_say(story, choices, beat, section) for beat in section.beats)


def _say(story: Story, choices: Choices, beat: Beat, section: Section) -> str:
    story.world.need(beat.needs, section.lets)
    said = choices.text(choices.one(beat.wordings), story.world.slots)
    story.asks += beat.asks
    if beat.event:
        story.events.append(beat.event)
    return said


def _paragraphs(choices: Choices, pieces: Sequence[str]) -> list[str]:
    paragraphs = [pieces[0]]
    for piece in pieces[1:]:
        if choices.chance(0.4):
            paragraphs.append(piece)
        else:
            paragraphs[-1] += " " + piece
    return paragraphs

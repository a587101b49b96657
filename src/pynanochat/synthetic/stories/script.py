"""Scripts: what the plot files hold, read once: sections of beats, each with its wordings, questions and event.

A file's lines: `== kind` or `== name: theme | theme`; `thing: groups`; `outdoors`; `let x = a | b` (a slot of the
section's own); `* wording` begins a beat, `? wording` one that may be left out, `/ wording` says it in other words;
`~` is where something small may happen by the way; `E` the beat's event in a clause; `Q kind: question = key || key =
answer / answer`; `M moral / moral`; `T title / title`. In a wording <name> stands for any of that name's ways in
wording.txt.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from importlib import resources

_SLOT = re.compile(r"\{([a-z_0-9]+)\^?\}")
_NAMED = re.compile(r"<([A-Za-z0-9]+)>")
_WORD = re.compile(r"[a-z][a-z-]*")
_INDOORS = frozenset(
    (
        "library",
        "school",
        "bakery",
        "museum",
        "station",
        "barn",
        "stable",
        "treehouse",
        "greenhouse",
        "workshop",
        "bookshop",
        "theatre",
        "cave",
        "observatory",
        "circus",
        "inn",
        "lighthouse",
        "castle",
        "mill",
    )
)
_CORE = {
    "a": ("a", "a_new"),
    "b": ("b", "b_new"),
    "c": ("c", "c_new"),
    "a_thing": ("a_thing", "thing", "full", "colour"),
    "a_thing2": ("a_thing2", "thing2", "full2"),
    "place": ("a", "a_new", "at"),
    "place2": ("place2", "at2", "to2", "scene2"),
}
PLOT_FILES = ("plots_a.txt", "plots_b.txt", "plots_c.txt", "plots_d.txt")


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A question that a beat answers: its wordings, the key phrases that are right, answers in full sentences."""

    kind: str
    question: str
    keys: tuple[str, ...]
    answers: tuple[str, ...]


@dataclass(kw_only=True)
class Beat:
    """One step of a section, told in one of its wordings; a beat without wordings is a place for something small."""

    wordings: list[str]
    optional: bool = False
    asks: list[Ask] = field(default_factory=list)
    event: str = ""
    needs: tuple[str, ...] = ()  # the slots it and its questions use


@dataclass(kw_only=True)
class Section:
    """A plot, or a part that frames plots: an opening, a setting, an ending."""

    kind: str
    themes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()  # of things
    outdoors: bool = False
    lets: dict[str, str] = field(default_factory=dict)
    beats: list[Beat] = field(default_factory=list)
    morals: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    needs: tuple[str, ...] = ()
    core: tuple[str, ...] = ()  # its cast, things and places: what makes a story of it that story and no other
    words: frozenset[str] = frozenset()  # the plain words its beats say, which its free slots leave alone


    @property
    def shortest(self) -> int:
        """The number of beats that are always told."""
        return sum(not beat.optional for beat in self.beats)


@dataclass(frozen=True, kw_only=True)
class Scripts:
    """All there is to tell, by use."""

    plots: tuple[Section, ...]
    micros: tuple[Section, ...]
    frames: dict[str, tuple[Section, ...]]  # opening, setting, extra, ending, ending2, sequel


@functools.cache
def scripts() -> Scripts:
    """The plots and their frames, read from the package once."""
    ways = dict(line.split(" = ", 1) for line in _lines("wording.txt"))
    frames: dict[str, list[Section]] = {}
    for section in _sections("frame.txt", ways):
        frames.setdefault(section.kind, []).append(section)
    return Scripts(
        plots=tuple(section for name in PLOT_FILES for section in _sections(name, ways)),
        micros=tuple(_sections("micro.txt", ways)),
        frames={kind: tuple(sections) for kind, sections in frames.items()},
    )


def _lines(name: str) -> list[str]:
    text = resources.files(__package__).joinpath("plots").joinpath(name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def _sections(name: str, ways: dict[str, str]) -> list[Section]:
    found: list[Section] = []
    for line in _lines(name):
        line = _NAMED.sub(lambda at: "[" + ways[at[1]].replace(" | ", "|") + "]", line)
        mark, rest = line.split(" ", 1) if " " in line else (line, "")
        if mark == "==":
            kind, _, themes = rest.partition(": ")
            found.append(Section(kind=kind, themes=tuple(themes.split(" | ")) if themes else ()))
        else:
            _read(found[-1], mark, rest)
    for section in found:
        _finish(section)
    return found


def _read(section: Section, mark: str, rest: str) -> None:
    if mark == "outdoors":
        section.outdoors = True
    elif mark == "thing:":
        section.groups = tuple(rest.split())
    elif mark == "let":
        slot, options = rest.split(" = ", 1)
        section.lets[slot] = "[" + options.replace(" | ", "|") + "]"
    elif mark in "*?":
        section.beats.append(Beat(wordings=[rest], optional=mark == "?"))
    elif mark == "/":
        section.beats[-1].wordings.append(rest)
    elif mark == "~":
        section.beats.append(Beat(wordings=[]))
    elif mark == "E":
        section.beats[-1].event = rest
    elif mark == "Q":
        head, keys, answers = rest.split(" = ")
        kind, question = head.split(": ", 1)
        section.beats[-1].asks.append(
            Ask(kind=kind, question=question, keys=tuple(keys.split(" || ")), answers=tuple(answers.split(" / ")))
        )
    elif mark == "M":
        section.morals = rest.split(" / ")
    elif mark == "T":
        section.titles = rest.split(" / ")
    else:
        raise AssertionError(f"{mark} begins no line of a script")


def _finish(section: Section) -> None:
    """The slots and plain words of a section and its beats."""
    lets = " ".join(section.lets.values())
    for beat in section.beats:
        asked = " ".join(" ".join((ask.question, *ask.keys, *ask.answers)) for ask in beat.asks)
        beat.needs = _slots(f"{' '.join(beat.wordings)} {asked} {beat.event}")
    said = " ".join(" ".join(beat.wordings) for beat in section.beats) + " " + lets
    section.needs = _slots(f"{said} {' '.join(section.morals)} {' '.join(section.titles)}")
    section.core = tuple(slot for slot, marks in _CORE.items() if any(need in marks for need in section.needs))
    section.words = frozenset(_WORD.findall(_SLOT.sub(" ", said).lower())) | (
        _INDOORS if section.outdoors else frozenset()
    )


def _slots(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_SLOT.findall(text)))

"""Details: the small closed lists that a story's incidental slots draw from."""

from __future__ import annotations

import functools
from importlib import resources

NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
WEATHER = (
    ("sunny", ("the sun was warm and bright", "there was not a cloud in the sky", "the sun shone on everything")),
    ("windy", ("the wind was singing", "the wind tore at every hat and every leaf", "the wind chased the clouds")),
    ("cloudy", ("soft grey clouds covered the sky", "the clouds hung low", "the sun hid behind the clouds")),
    ("cold", ("frost shone on the roofs", "everybody's breath made little clouds", "it was bitterly cold")),
    ("rainy", ("the rain went tap, tap, tap", "the puddles grew and grew", "a fine rain was falling")),
    ("misty", ("the mist hung low", "everything was grey and soft", "one could hardly see ten steps")),
    ("warm", ("the air was soft", "a light breeze was blowing", "everybody had opened their windows")),
    ("golden", ("the leaves were turning red", "the light was like honey", "the shadows were long")),
)
RIDDLES = (
    ("What has a face and two arms, but no mouth and no hands?", "a dial"),
    ("What falls all day and never hurts itself?", "rain"),
    ("What gets wetter the more it dries?", "a dishcloth"),
    ("What has teeth but never bites?", "a comb"),
    ("What runs all the way and has no feet?", "a brook"),
    ("What is full of holes and still holds water?", "a bath sponge"),
    ("What goes up and never comes down again?", "your age"),
    ("What has a neck and no head?", "a shirt collar"),
    ("What follows you all day and is gone at night?", "your shadow"),
    ("What can you break without touching it?", "a promise"),
    ("What has many leaves and is no tree?", "a cabbage"),
    ("What has one eye and cannot see?", "a storm"),
    ("What flies without wings?", "time"),
    ("What is yours, and yet others use it more than you do?", "your name"),
    ("What has a bed and never sleeps?", "a stream"),
)


@functools.cache
def details() -> dict[str, tuple[str, ...]]:
    """What each incidental slot can hold, read from the package once."""
    text = resources.files("pynanochat.synthetic").joinpath("words").joinpath("details.txt").read_text(encoding="utf-8")
    lines = (line.split(": ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {name: tuple(options.split(" | ")) for name, options in lines}

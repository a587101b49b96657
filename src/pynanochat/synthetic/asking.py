"""How people ask: the same question politely, hastily, in small letters, with a word before or after it."""

from __future__ import annotations

from pynanochat.synthetic.choices import Choices

_ORDERS = frozenset((  # first words of what ends with a full stop
    "Name", "Tell", "List", "Write", "Spell", "Count", "Calculate", "Compute", "Work", "Add", "Subtract", "Multiply",
    "Divide", "Double", "Halve", "Convert", "Put", "Sort", "Reverse", "Say", "Give", "Find", "Turn", "Solve", "Sing",
    "Cheer", "Help", "Show", "Explain", "Take", "Order", "Make", "Let", "Please", "Translate", "Now", "Describe",
    "Share", "Ask"))
_BEFORE = ("Hey, ", "Please tell me: ", "Quick question: ", "Tell me, ", "I have a question. ", "A question: ",
           "Can you help me? ", "Nano, ", "Hi! ", "Hello, ", "I want to know: ", "One more question: ", "So, ", "And ",
           "OK, ")
_CAPITAL_AFTER = (". ", "? ", "! ")
_ORDER_BEFORE = ("Please ", "Can you ", "Could you ", "Now ", "Hey, ", "Nano, ", "Would you ")
_AFTER = (", please", "")


def ask(choices: Choices, stem: str) -> str:
    """The question or order `stem`, which has no mark at its end, as somebody may put it."""
    order = stem.split(" ", 1)[0] in _ORDERS
    if stem.endswith("="):
        return stem
    way = choices.whole(0, 19)
    if way < 11:
        return stem + (choices.one((".", ".", "!", ", please.")) if order else "?")
    if way < 13:
        return stem + (", please." if order else ", please?")
    if way < 14:
        return stem
    if way < 15:
        return stem.lower()
    if way < 16:
        return stem.lower() + ("." if order else "?")
    if order:
        before = choices.one(_ORDER_BEFORE)
        end = "?" if before in ("Can you ", "Could you ", "Would you ") else "."
        return before + _small(stem) + ("" if before == "Please " else choices.one(_AFTER)) + end
    before = choices.one(_BEFORE)
    if stem.startswith("And "):
        return f"{stem}?"
    return before + (stem if before.endswith(_CAPITAL_AFTER) else _small(stem)) + "?"


def plainly(stem: str) -> str:
    """The question or order as it stands, with its mark."""
    return stem + ("." if stem.split(" ", 1)[0] in _ORDERS else "?")


def _small(stem: str) -> str:
    first = stem.split(" ", 1)[0]
    if first in ("I", "I'm") or (len(first) > 1 and first.isupper()):
        return stem
    return stem[0].lower() + stem[1:]

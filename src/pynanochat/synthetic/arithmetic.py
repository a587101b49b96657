"""Sums of all kinds: asked in many ways, worked out by the calculator, and gone on with."""

from __future__ import annotations

from collections.abc import Callable

from pynanochat.synthetic import quantities
from pynanochat.synthetic.asking import ask
from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.exchange import Exchange, computed, ends_with_number, exact, result_of
from pynanochat.synthetic.numerals import in_words

KIND = "arithmetic"
_SIGNS = {"+": ("+",), "-": ("-",), "*": ("*", "x", "×"), "/": ("/", "÷", ":")}
_WORDS = {"+": ("plus", "plus", "added to"), "-": ("minus", "take away", "less"), "*": ("times", "multiplied by"),
          "/": ("divided by", "over")}
_PLAIN = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}
_STEMS = ("What is <s>", "What's <s>", "How much is <s>", "Calculate <s>", "Compute <s>", "Work out <s>", "Tell me <s>",
          "What does <s> make", "What do you get for <s>", "Give me <s>", "Solve <s>", "What is the result of <s>",
          "What does <s> equal", "How much does <s> come to", "Find <s>")
_ORDER_STEMS = {
    "+": ("Add <a> and <b>", "Add <b> to <a>", "How much is <a> and <b>", "What is the sum of <a> and <b>",
          "What is <b> more than <a>"),
    "-": ("Subtract <b> from <a>", "Take <b> away from <a>", "What is <b> less than <a>",
          "What is the difference of <a> and <b>"),
    "*": ("Multiply <a> by <b>", "What is the product of <a> and <b>", "How much is <a> lots of <b>"),
    "/": ("Divide <a> by <b>", "How many times does <b> go into <a>")}
_LEADS = ("", "", "", "Let me calculate that: ", "Let me see: ", "I will work it out: ", "One moment: ")
_ENDS = ("The answer is <r>.", "That makes <r>.", "It is <r>.", "That is <r>.", "The result is <r>.", "So it is <r>.")


def exchanges(choices: Choices) -> list[Exchange]:
    """One sum and, sometimes, what is asked of its result."""
    task = choices.one(tuple(_TASKS), tuple(weight for weight, _ in _TASKS.values()))
    found = [_TASKS[task][1](choices)]
    while found[-1].check is not None and len(found) < 4 and choices.chance(0.22):
        follow = _follow_up(choices, found[-1].answer)
        if follow is None:
            break
        found.append(follow)
    return found


def solved(choices: Choices, stem: str, expression: str, told: str | None = None) -> Exchange:
    """The exchange that answers `stem` by calculating; `told` says the result, as <r>, with its words."""
    result = result_of(expression)
    after = (told or choices.one(_ENDS)).replace("<r>", result)
    return Exchange(
        kind=KIND, asked=ask(choices, stem), said=computed(choices.one(_LEADS), expression, f" {after}"),
        answer=result.removeprefix("about "), key=expression, check=ends_with_number(result))


def _number(choices: Choices) -> int:
    high = choices.one((12, 20, 100, 1000, 10_000, 1_000_000), (3, 3, 6, 4, 3, 2))
    return choices.whole(0, high - 1)


def _simple(choices: Choices) -> Exchange:
    sign = choices.one("+-*/", (3, 3, 3, 2))
    a, b = _operands(choices, sign)
    return _binary(choices, str(a), sign, str(b))


def _operands(choices: Choices, sign: str) -> tuple[int, int]:
    if sign == "*":
        big = choices.whole(0, 3)
        if big == 0:
            return choices.whole(0, 12), choices.whole(0, 12)
        return _number(choices), choices.whole(2, (20, 99, 999)[big - 1])
    if sign == "/":
        b, c = choices.whole(1, choices.one((12, 12, 99))), choices.whole(1, choices.one((12, 100, 999)))
        if choices.chance(0.15):
            return c, max(2, b)
        return b * c, b
    a, b = _number(choices), _number(choices)
    if choices.chance(0.4):
        b = choices.whole(0, max(1, a))
    if sign == "-" and a < b and choices.chance(0.6):
        a, b = b, a
    return a, b


def _decimal(choices: Choices) -> Exchange:
    while True:
        places = choices.whole(1, 2)
        tenths = choices.whole(0, 9) if places == 2 else ""
        a = f"{choices.whole(0, choices.one((9, 99, 999)))}.{tenths}{choices.whole(1, 9)}"
        sign = choices.one("+-*/", (4, 4, 2, 1))
        if sign in "+-" and choices.chance(0.7):
            b = f"{choices.whole(0, 99)}.{tenths}{choices.whole(1, 9)}"
        else:
            b = str(choices.whole(2, 20))
        if exact(a + sign + b):
            return _binary(choices, a, sign, b)


def _binary(choices: Choices, a: str, sign: str, b: str) -> Exchange:
    way = choices.whole(0, 9)
    if way < 4:
        gap = "" if way == 0 else " "
        said = f"{a}{gap}{choices.one(_SIGNS[sign], (3, 1, 1)[: len(_SIGNS[sign])])}{gap}{b}"
        stem = choices.one((*_STEMS, "<s>", "<s> =", "<s> = ")).replace("<s>", said).strip()
    elif way < 8:
        left, right = _in_words(choices, a), _in_words(choices, b)
        said = f"{left} {choices.one(_WORDS[sign], (4, 1, 1)[: len(_WORDS[sign])])} {right}"
        stem = choices.one(_STEMS).replace("<s>", said)
    else:
        stem = choices.one(_ORDER_STEMS[sign]).replace("<a>", a).replace("<b>", b)
    expression = f"{a}{sign}{b}"
    told = f"{a} {_PLAIN[sign]} {b} is <r>." if choices.chance(0.45) else None
    return solved(choices, stem, expression, told)


def _in_words(choices: Choices, number: str) -> str:
    if number.isdigit() and len(number) > 3 and choices.chance(0.08):
        return f"{int(number):,}"
    if "." in number or len(number) > 3 or not choices.chance(0.3):
        return number
    return in_words(int(number))


def _chain(choices: Choices) -> Exchange:
    form = choices.one(("a+b+c", "a+b-c", "a-b+c", "a*b+c", "a*b-c", "(a+b)*c", "(a-b)*c", "a*(b+c)", "a*(b-c)",
                        "a+b+c+d",
                        "(a+b)/c", "a/b+c", "(a+b)*(c+d)", "a*b*c", "(a-b)/c"))
    small = choices.one((10, 20, 100), (2, 2, 1))
    while True:
        values = {name: choices.whole(1, small) for name in "abcd"}
        expression = "".join(str(values.get(letter, letter)) for letter in form)
        if exact(expression) and ("/" not in form or "." not in result_of(expression)):
            break
    said = expression
    if choices.chance(0.8):
        for sign in "+-*/":
            said = said.replace(sign, f" {choices.one(_SIGNS[sign][:2], (3, 1)[: len(_SIGNS[sign])])} ")
    if "(" not in said and choices.chance(0.3):
        said = expression
        for sign, word in _PLAIN.items():
            said = said.replace(sign, f" {word} ")
    return solved(choices, choices.one((*_STEMS, "<s>", "<s> =")).replace("<s>", said), expression)


def _percent(choices: Choices) -> Exchange:
    rate = choices.one((5, 10, 15, 20, 25, 30, 40, 50, 60, 75, 80, 90, 100, choices.whole(1, 99)))
    whole = choices.whole(1, 50) * choices.one((1, 2, 10, 20, 100))
    expression = f"{whole}*{rate}/100"
    said = choices.one((f"{rate} percent of {whole}", f"{rate}% of {whole}", f"{rate} per cent of {whole}"))
    return solved(choices, choices.one(_STEMS[:7]).replace("<s>", said), expression, choices.one(
        (f"{rate} percent of {whole} is <r>.", "That is <r>.", "The answer is <r>.")))


def _double(choices: Choices) -> Exchange:
    a = _number(choices)
    name, sign = choices.one((("double", "*2"), ("half of", "/2"), ("twice", "*2"), ("three times", "*3"),
                              ("a quarter of", "/4"), ("a third of", "/3"), ("half", "/2"), ("triple", "*3")))
    if sign in ("/4", "/3") or (sign == "/2" and choices.chance(0.8)):
        a *= int(sign[1])
    stems = ["What is <s>", "How much is <s>", "Tell me <s>", "Calculate <s>"]
    if name == "double":
        stems.append(f"Double {a}")
    return solved(choices, choices.one(stems).replace("<s>", f"{name} {a}"), f"{a}{sign}",
                  choices.one((f"{name[0].upper()}{name[1:]} {a} is <r>.", "That is <r>.", "The answer is <r>.")))


def _square(choices: Choices) -> Exchange:
    a = choices.whole(1, 99)
    stem = choices.one((f"What is {a} squared", f"What is the square of {a}", f"How much is {a} times itself",
                        f"Multiply {a} by itself"))
    return solved(choices, stem, f"{a}*{a}", f"{a} times {a} is <r>.")


def _average(choices: Choices) -> Exchange:
    numbers = [choices.whole(1, choices.one((20, 100))) for _ in range(choices.whole(2, 4))]
    numbers[-1] += -sum(numbers) % len(numbers)
    listed = ", ".join(map(str, numbers[:-1])) + f" and {numbers[-1]}"
    expression = f"({'+'.join(map(str, numbers))})/{len(numbers)}"
    return solved(choices, choices.one(("What is the average of <s>", "Find the mean of <s>",
                                        "Work out the average of <s>",
                                        "What is the mean of <s>")).replace("<s>", listed), expression,
                  "The average is <r>.")


def _neighbour(choices: Choices) -> Exchange:
    a = _number(choices) + 1
    word, sign = choices.one((("after", "+"), ("before", "-")))
    told = f"The number {word} {a} is <r>."
    return solved(choices, choices.one((f"What number comes {word} {a}", f"Which number is right {word} {a}",
                                        f"What is the number {word} {a}")), f"{a}{sign}1", told)


def _follow_up(choices: Choices, before: str) -> Exchange | None:
    if not before.lstrip("-").isdigit() or len(before) > 6:
        return None
    sign = choices.one("+-*/", (4, 4, 4, 1))
    by = choices.whole(2, 10 if sign in "*/" else 100)
    stems = {"+": ("Now add {b}", "And plus {b}", "Add {b} to that", "What if you add {b}", "And {b} more"),
             "-": ("Now subtract {b}", "And minus {b}", "Take {b} away from that", "What if you take away {b}"),
             "*": ("And times {b}", "Now multiply that by {b}", "Multiply it by {b}", "What is that times {b}"),
             "/": ("And divided by {b}", "Now divide that by {b}", "Divide it by {b}", "What is that divided by {b}")}
    if sign == "*" and by == 2:
        stem = choices.one(("Double that", "Now double it", "And twice that"))
    elif sign == "/" and by == 2:
        stem = choices.one(("Now halve it", "And half of that", "What is half of that"))
    else:
        stem = choices.one(stems[sign]).replace("{b}", str(by))
    return solved(choices, stem, f"{before}{sign}{by}", choices.one((
        f"{before} {_PLAIN[sign]} {by} is <r>.", "That makes <r>.", "Then it is <r>.", "Now it is <r>.")))


_TASKS: dict[str, tuple[float, Callable[[Choices], Exchange]]] = {  # weight, maker
    "simple": (46, _simple), "decimal": (7, _decimal), "chain": (11, _chain), "percent": (4, _percent),
    "double": (5, _double), "square": (2, _square), "average": (2, _average), "neighbour": (3, _neighbour),
    "compare": (5, quantities.compare), "sort": (3, quantities.order), "parity": (2, quantities.parity),
    "convert": (7, quantities.convert), "clock": (5, quantities.clock), "days": (4, quantities.days),
    "count": (4, quantities.count), "end": (2, quantities.end),
}

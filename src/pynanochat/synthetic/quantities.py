"""Numbers of something: compared, sorted, counted, in other units, on the clock and in the calendar."""

from __future__ import annotations

from pynanochat.synthetic.asking import ask
from pynanochat.synthetic.choices import Choices
from pynanochat.synthetic.exchange import Exchange, computed, ends_with_number, result_of
from pynanochat.synthetic.numerals import in_words

_KIND = "arithmetic"
_UNITS = (  # small, large, how many
    ("centimetre", "metre", 100), ("metre", "kilometre", 1000), ("millimetre", "centimetre", 10),
    ("gram", "kilogram", 1000), ("second", "minute", 60), ("minute", "hour", 60), ("hour", "day", 24),
    ("day", "week", 7), ("month", "year", 12), ("inch", "foot", 12), ("foot", "yard", 3), ("year", "century", 100),
    ("millilitre", "litre", 1000), ("kilogram", "tonne", 1000), ("cent", "dollar", 100), ("cent", "euro", 100),
    ("year", "decade", 10), ("ounce", "pound", 16))
_PLURALS = {"inch": "inches", "foot": "feet", "century": "centuries"}
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December"]


def compare(choices: Choices) -> Exchange:
    """Which of two numbers is the larger or the smaller one; their difference tells."""
    high = choices.one((20, 100, 1000, 10_000, 1_000_000))
    a = choices.whole(0, high)
    b = choices.whole(0, high) if choices.chance(0.6) else max(0, a + choices.whole(-12, 12))
    if a == b:
        b += 1
    word, larger = choices.one((("bigger", True), ("larger", True), ("greater", True), ("more", True),
                                ("smaller", False), ("less", False)))
    best = max(a, b) if larger else min(a, b)
    stem = choices.one((f"Which is {word}, {a} or {b}", f"What is {word}: {a} or {b}",
                        f"Which number is {word}, {a} or {b}"))
    noun = {"more": "bigger", "less": "smaller"}.get(word, word)
    sign = "below" if a < b else "above"
    after = f" That is {sign} zero, so the {noun} number is {best}."
    return Exchange(kind=_KIND, asked=ask(choices, stem), said=computed("Let me subtract: ", f"{a}-{b}", after),
                    answer=str(best), key=f"compare {a} {b}", check=ends_with_number(str(best)))


def order(choices: Choices) -> Exchange:
    """Three or four numbers in order."""
    high = choices.one((20, 99))
    numbers = choices.several(range(high + 1), choices.whole(3, 4))
    up = choices.chance(0.7)
    listed = ", ".join(map(str, numbers))
    done = ", ".join(map(str, sorted(numbers, reverse=not up)))
    how = choices.one(("from small to big", "from smallest to largest", "in order") if up else
                      ("from big to small", "from largest to smallest"))
    stem = choices.one(("Sort these numbers <h>: <n>", "Put <n> <h>", "Order the numbers <n> <h>",
                        "Put these numbers <h>: <n>"))
    if how == "in order":
        stem = stem.replace("Order the numbers <n> <h>", "Put <n> <h>")
    return Exchange(kind=_KIND, asked=ask(choices, stem.replace("<h>", how).replace("<n>", listed)), said=f"{done}.",
                    answer=done, key=f"order {up} {listed}")


def parity(choices: Choices) -> Exchange:
    """Whether a number is even or odd."""
    a = choices.whole(0, choices.one((20, 100, 1000, 10_000)))
    told, last = "even" if a % 2 == 0 else "odd", a % 10
    stem = choices.one((f"Is {a} odd or even", f"Is {a} even or odd", f"Is {a} an even number or an odd number"))
    return Exchange(kind=_KIND, asked=ask(choices, stem), said=f"The last digit of {a} is {last}, so it is {told}.",
                    answer=told, key=f"parity {a}")


def convert(choices: Choices) -> Exchange:
    """A length, weight, time or price in another unit."""
    small, large, size = choices.one(_UNITS)
    down = choices.chance(0.6)
    count_ = choices.whole(1, choices.one((9, 20, 99)))
    a, sign = (count_, "*") if down else (count_ * size, "/")
    if not down and choices.chance(0.15) and size in (10, 100, 1000):
        a = count_ * size // 2
    give, want = (large, small) if down else (small, large)
    many = _many(want)
    given = f"{a} {give if a == 1 else _many(give)}"
    verb = "is" if a == 1 else "are"
    stem = choices.one((f"How many {many} {verb} {given}", f"How many {many} are in {given}",
                        f"Convert {given} to {many}",
                        f"What {verb} {given} in {many}", f"How many {many} make {given}", f"Turn {given} into {many}"))
    expression = f"{a}{sign}{size}"
    result = result_of(expression)
    unit = want if result == "1" else many
    why = f"There are {size} {_many(small)} in {_one(large)}, so: "
    return Exchange(kind=_KIND, asked=ask(choices, stem),
                    said=computed(why, expression, f" {given[0].upper()}{given[1:]} {verb} {result} {unit}."),
                    answer=result, key=f"{expression} {want}", check=ends_with_number(result))


def clock(choices: Choices) -> Exchange:
    """What the clock shows some hours or minutes later or earlier."""
    hour, later = choices.whole(1, 12), choices.chance(0.65)
    if choices.chance(0.6):
        by = choices.whole(1, 11)
        raw = hour + by if later else hour - by
        turn = "-12" if raw > 12 else "+12" if raw < 1 else ""
        expression = f"{hour}{'+' if later else '-'}{by}{turn}"
        spoken = f"{by if choices.chance() else in_words(by)} hour{'s' if by > 1 else ''}"
        word = "after" if later else "before"
        now = choices.chance(0.3)
        if now:
            when = f"will it be in {spoken}" if later else f"was it {spoken} ago"
            stem, verb = f"It is {hour} o'clock. What time {when}", "will be" if later else "was"
        else:
            stem, verb = choices.one(("What time is it", "What is")) + f" {spoken} {word} {hour} o'clock", "is"
        answer = f"{result_of(expression)} o'clock"
        return Exchange(kind=_KIND, asked=ask(choices, stem), said=computed("", expression, f" It {verb} {answer}."),
                        answer=answer, key=f"clock {expression}")
    start, by = choices.whole(0, 11) * 5, choices.whole(1, 11) * 5
    thing = choices.one(("film", "lesson", "game", "show", "concert", "walk", "party", "trip", "meeting", "match",
                         "play"))
    stem = choices.one((f"A {thing} begins at {hour}:{start:02d} and takes {by} minutes. When does it end",
                        f"What time is it {by} minutes after {hour}:{start:02d}",
                        f"The {thing} starts at {hour}:{start:02d}. It lasts {by} minutes. When is it over"))
    said = computed("", f"{start}+{by}", "")[:-1]
    end, last = start + by, hour
    if end >= 60:
        said += [{"type": "text", "text": " That is an hour or more. "}, *computed("", f"{end}-60", "")[:-1]]
        end, last = end - 60, hour % 12 + 1
    answer = f"{last}:{end:02d}"
    said.append({"type": "text", "text": f" The time is {answer}."})
    return Exchange(kind=_KIND, asked=ask(choices, stem), said=said, answer=answer, key=f"clock {hour}:{start}+{by}")


def days(choices: Choices) -> Exchange:
    """A day or month some steps from another."""
    names, noun = choices.one(((_DAYS, "day"), (_DAYS, "day"), (_MONTHS, "month")))
    start, by, later = choices.whole(0, len(names) - 1), choices.whole(1, 5), choices.chance(0.65)
    step = 1 if later else -1
    way = [names[(start + step * (i + 1)) % len(names)] for i in range(by)]
    span = f"{in_words(by) if choices.chance(0.7) else by} {noun}{'s' if by > 1 else ''}"
    word = "after" if later else "before"
    first = names[start]
    stems = [f"[What|Which] {noun} is {span} {word} {first}", f"[What|Which] {noun} comes {span} {word} {first}"]
    if noun == "day":
        stems.append(f"Today is {first}. What day {'will it be in ' + span if later else 'was it ' + span + ' ago'}")
    stem = choices.text(choices.one(stems))
    said = f"From {first}: {', '.join(way)}. It is {way[-1]}." if by > 1 else f"It is {way[-1]}."
    return Exchange(kind=_KIND, asked=ask(choices, stem), said=said, answer=f"It is {way[-1]}",
                    key=f"days {first} {step * by}")


def count(choices: Choices) -> Exchange:
    """Counting on, back, or in steps."""
    step = choices.one((1, 1, 1, 2, 5, 10, 3, -1))
    low = choices.whole(0, choices.one((3, 20, 90))) * (step if step in (5, 10) else 1)
    steps = choices.whole(3, 11)
    numbers = [low + abs(step) * i for i in range(steps + 1)]
    if step < 0:
        numbers.reverse()
    listed = ", ".join(map(str, numbers))
    by = f" by {in_words(step)}s" if step > 1 else ""
    by = by.replace("ixs", "ixes")
    stem = choices.one((f"Count from {numbers[0]} to {numbers[-1]}{by}",
                        f"Count{' down' if step < 0 else ''} from {numbers[0]} to {numbers[-1]}{by}",
                        f"Can you count from {numbers[0]} to {numbers[-1]}{by}"))
    return Exchange(kind=_KIND, asked=ask(choices, stem), said=f"{listed}.", answer=listed,
                    key=f"count {numbers[0]} {numbers[-1]} {step}")


def end(choices: Choices) -> Exchange:
    """The next number of a row with equal steps."""
    start, step = choices.whole(0, 60), choices.whole(1, 12)
    numbers = [start + step * i for i in range(choices.whole(3, 5))]
    listed = ", ".join(map(str, numbers))
    expression = f"{numbers[-1]}+{step}"
    stem = choices.one((f"What comes next: {listed}", f"What is the next number: {listed}",
                        f"Which number follows: {listed}"))
    result = result_of(expression)
    return Exchange(kind=_KIND, asked=ask(choices, stem), answer=result, key=f"next {listed}",
                    check=ends_with_number(result),
                    said=computed(f"Each number is {step} more than the one before: ", expression,
                                  f" The next number is {result}."))


def _many(unit: str) -> str:
    return _PLURALS.get(unit, f"{unit}s")


def _one(unit: str) -> str:
    return f"{'an' if unit in ('hour', 'inch', 'ounce') else 'a'} {unit}"

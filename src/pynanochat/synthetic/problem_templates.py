"""The kinds of word problems: how their numbers are drawn, how they are told, what is calculated and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pynanochat.synthetic.choices import Choices

Numbers = Callable[[Choices], Mapping[str, int]]


@dataclass(frozen=True)
class Problem:
    """A kind of problem; the last number of `last` is the answer, {r}, of {u}: what a text names after |=."""

    name: str
    numbers: Numbers
    expression: str
    texts: tuple[str, ...]
    why: str
    last: str


def _two(choices: Choices) -> Mapping[str, int]:
    high = choices.one((20, 100, 500))
    return {"a": choices.whole(2, high), "b": choices.whole(2, high)}


def _less(choices: Choices) -> Mapping[str, int]:
    b = choices.whole(2, choices.one((15, 60, 300)))
    return {"a": b + choices.whole(2, choices.one((15, 60, 300))), "b": b}


def _times(choices: Choices) -> Mapping[str, int]:
    return {"a": choices.whole(2, choices.one((10, 30))), "b": choices.whole(2, choices.one((10, 30)))}


def _share(choices: Choices) -> Mapping[str, int]:
    b = choices.whole(2, choices.one((6, 12)))
    return {"a": b * choices.whole(2, choices.one((12, 40))), "b": b}


def _three(choices: Choices) -> Mapping[str, int]:
    b, c = choices.whole(2, 30), choices.whole(2, 30)
    return {"a": b + c + choices.whole(2, 50), "b": b, "c": c}


def _times_and(choices: Choices) -> Mapping[str, int]:
    a, b = choices.whole(2, 12), choices.whole(3, 12)
    return {"a": a, "b": b, "c": choices.whole(2, a * b - 2)}


def _change(choices: Choices) -> Mapping[str, int]:
    a, b = choices.whole(2, 9), choices.whole(2, 9)
    return {"a": a, "b": b, "c": choices.one([note for note in (5, 10, 20, 50, 100) if note > a * b + 1])}


def _ages(choices: Choices) -> Mapping[str, int]:
    b = choices.whole(2, 15)
    return {"a": b + choices.whole(2, 40), "b": b}


def _pages(choices: Choices) -> Mapping[str, int]:
    return {"a": choices.whole(3, 60), "b": choices.whole(2, 14)}


def _rest(choices: Choices) -> Mapping[str, int]:
    b, c = choices.whole(2, 10), choices.whole(2, 12)
    d = choices.whole(2, 20)
    return {"a": b * c + d, "b": b, "c": d}


def _share_sum(choices: Choices) -> Mapping[str, int]:
    b = choices.whole(2, 10)
    a = choices.whole(2, 2 * b - 2)
    return {"a": a, "b": b, "c": b * choices.whole(2, 20) - a}


def _animals(choices: Choices) -> Mapping[str, int]:
    return {"a": choices.whole(2, 40), "b": choices.one((4, 4, 6, 8, 2))}


def _even(choices: Choices) -> Mapping[str, int]:
    return {"a": 2 * choices.whole(2, 150)}


def _any(choices: Choices) -> Mapping[str, int]:
    return {"a": choices.whole(2, 300)}


_P = Problem
PROBLEMS = (
    _P("get", _two, "{a}+{b}", (
        "{n} has {a} {things}. {m} gives {n} {b} more[| {things}]. How many {things} does {n} have now?",
        "{n} had {a} {things} and then [got|found|bought] {b} more. How many {things} does {n} have [now|altogether]?",
        "There are {a} {things} in {n}'s {box}. {n} puts in {b} more. How many {things} are in the {box} now?"),
       "[{n} starts with {a} and gets {b} more|We start with {a} and add {b}], so we add:",
       "[Now {n} has|{n} now has] {r} {things}."),
    _P("give", _less, "{a}-{b}", (
        "{n} has {a} {things} and gives {b} to {m}. How many {things} are left?",
        "{n} had {a} {things}. {n} gave {b} of them to {m}. How many {things} does {n} have [left|now]?",
        "{n} has {a} {things}. {m} takes {b} of them. How many {things} does {n} still have?"),
       "[{b} are taken away from {a}|{n} had {a} and {b} are gone], so we subtract:", "{n} has {r} {things}[| left]."),
    _P("lose", _less, "{a}-{b}", (
        "{n} had {a} {things} but lost {b}[| of them]. How many {things} are left?",
        "There were {a} {things} in the {box}. {b} of them [broke|fell out|were lost]. How many {things} are left?"),
       "From {a} we take away {b}:", "There are {r} {things} left."),
    _P("boxes", _times, "{a}*{b}", (
        "There are {a} [bags|boxes|bowls] with {b} {things} in each. How many {things} are there [in all|altogether]?",
        "{n} has {a} baskets. [Each basket holds|In each basket are] {b} {things}. How many {things} does {n} have?",
        "{n} puts {b} {things} on each of {a} plates. How many {things} is that [in all|together]?"),
       "There are {a} groups of {b}, so we multiply:", "There are {r} {things}."),
    _P("share", _share, "{a}/{b}", (
        "{n} shares {a} {things} [equally|fairly] among {b} {who}. How many {things} does each get?",
        "{b} {who} share {a} {things} equally. How many {things} does each of them get?",
        "{n} has {a} {things} for {b} {who}. Each gets the same. How many does each get?"),
       "We share {a} into {b} equal parts:", "Each gets {r} {things}."),
    _P("pack", _share, "{a}/{b}", (
        "{n} packs {a} {things} into boxes of {b}. How many boxes does {n} need?|=boxes",
        "{n} has {a} {things} and puts {b} into each bag. How many bags are [full|filled]?|=bags"),
       "We see how often {b} goes into {a}:", "{n} fills {r} {u}."),
    _P("price", _times, "{a}*{b}", (
        "One {food} costs {b} dollars. What do {a} of them cost?|=dollars",
        "One {food} costs {b} coins. What do {a} of them cost?|=coins",
        "{n} buys {a} tickets. Each ticket costs {b} euros. How much does {n} pay?|=euros",
        "A book costs {b} dollars. {n} buys {a} books. What does {n} pay?|=dollars"),
       "We pay {b} for each of {a}, so we multiply:", "The price is {r} {u}."),
    _P("change", _change, "{c}-{a}*{b}", (
        "{n} buys {a} {things} for {b} dollars each and pays with {c}. How much change does {n} get?|=dollars",
        "{n} buys {a} {things} for {b} euros each and pays with {c}. How much change does {n} get?|=euros",
        "{n} pays with {c} dollars for {a} tickets at {b} dollars each. How much money does {n} get back?|=dollars"),
       "{a} at {b} each are taken from {c}:", "{n} gets back {r} {u}."),
    _P("spend", _less, "{a}-{b}", (
        "{n} has {a} dollars and buys a {food} for {b} dollars. How much money is left?|=dollars",
        "{n} saved {a} coins and spent {b}. How many coins does {n} have left?|=coins"),
       "{n} spends {b} of {a}:", "{n} has {r} {u} left."),
    _P("save", _times, "{a}*{b}", (
        "{n} saves {b} coins [every|each] week. How many coins does {n} have after {a} weeks?|=coins",
        "{n} gets {b} dollars [a|every] day. How many dollars does {n} get in {a} days?|=dollars"),
       "{a} times {b}, so we multiply:", "{n} has {r} {u}."),
    _P("need", _less, "{a}-{b}", (
        "{n} needs {a} {things} and has {b}. How many more does {n} need?",
        "A toy costs {a} dollars. {n} has {b} dollars. How much money is missing?|=dollars",
        "{n} wants to collect {a} {things}. So far {n} has {b}. How many are missing?"),
       "We look for what is missing from {b} to {a}:", "{n} needs {r} more {u}."),
    _P("compare", _less, "{a}-{b}", (
        "{n} has {a} {things} and {m} has {b}. How many more {things} does {n} have than {m}?",
        "{m} has {b} {things} and {n} has {a}. How many fewer {things} does {m} have than {n}?",
        "{n} picked {a} {things}. {m} picked {b}. How many more did {n} pick?"),
       "We look at the difference of {a} and {b}:", "The difference is {r} {things}."),
    _P("more_than", _two, "{a}+{b}", (
        "{n} has {a} {things}. {m} has {b} more than {n}. How many {things} does {m} have?",
        "{m} found {b} more {things} than {n}. {n} found {a}. How many did {m} find?"),
       "{m} has {b} more than {a}, so we add:", "{m} has {r} {things}."),
    _P("fewer_than", _less, "{a}-{b}", (
        "{n} has {a} {things}. {m} has {b} fewer than {n}. How many {things} does {m} have?",
        "{m} has {b} {things} less than {n}. {n} has {a} {things}. How many does {m} have?"),
       "{m} has {b} fewer than {a}, so we subtract:", "{m} has {r} {things}."),
    _P("times_as_many", _times, "{a}*{b}", (
        "{n} has {b} {things}. {m} has {a} times as many. How many {things} does {m} have?",
        "{m} has {a} times as many {things} as {n}, and {n} has {b}. How many does {m} have?"),
       "{m} has {a} times {b}:", "{m} has {r} {things}."),
    _P("together", _two, "{a}+{b}", (
        "{n} has {a} {things} and {m} has {b}. How many {things} do they have together?",
        "{n} [counts|sees] {a} {colour} {things} and {b} {shade} {things}. How many {things} is that?",
        "There are {a} {things} and {b} {others} in the {box}. How many things are in the {box}?|=things"),
       "[We put {a} and {b} together|We add {a} and {b}]:", "Together that is {r} {u}."),
    _P("walk", _times, "{a}*{b}", (
        "{n} walks {b} kilometres [every|each] day. How far does {n} walk in {a} days?|=kilometres",
        "A [car|train|bus] goes {b} kilometres an hour. How far does it go in {a} hours?|=kilometres",
        "{n} swims {b} metres, {a} times. How many metres is that?|=metres"),
       "{a} times {b}:", "The way is {r} {u} long."),
    _P("way", _two, "{a}+{b}", (
        "It is {a} kilometres from {n}'s house to {town} and {b} more to the sea. How long is the way?|=kilometres",
        "{n} walks {a} metres to the shop and {b} metres to the park. How far is that?|=metres"),
       "We add both parts of the way:", "The whole way is {r} {u} long."),
    _P("way_left", _less, "{a}-{b}", (
        "The way to {town} is {a} kilometres long. {n} has gone {b} kilometres. How far is it still?|=kilometres",
        "A race is {a} metres long. {n} has run {b} metres. How many metres are left?|=metres"),
       "From {a} we take the {b} that are done:", "There are {r} {u} left."),
    _P("older", _ages, "{a}+{b}", (
        "{n} is {a} years old. {m} is {b} years older. How old is {m}?",
        "{n} is {a} years old. How old will {n} be in {b} years?"),
       "We add {b} years to {a}:", "That makes {r} years."),
    _P("younger", _ages, "{a}-{b}", (
        "{n} is {a} years old and {m} is {b} years old. How many years older is {n}?",
        "{n} is {a} years old. {m} is {b} years younger. How old is {m}?",
        "{n} is {a} years old. How old was {n} {b} years ago?"),
       "We take {b} years from {a}:", "That makes {r} years."),
    _P("minutes", _two, "{a}+{b}", (
        "{n} reads for {a} minutes and plays for {b} minutes. How many minutes is that?",
        "{n} works {a} minutes in the morning and {b} minutes in the evening. How many minutes does {n} work?"),
       "We add both times:", "Together it is {r} minutes."),
    _P("pages", _pages, "{a}*{b}", (
        "{n} reads {a} pages a day. How many pages does {n} read in {b} days?|=pages",
        "{n} learns {a} words each day. How many words does {n} learn in {b} days?|=words"),
       "Each of the {b} days brings {a}, so we multiply:", "That makes {r} {u}."),
    _P("pages_left", _less, "{a}-{b}", (
        "A book has {a} pages. {n} has read {b} pages. How many pages are left?|=pages",
        "{n} has to write {a} words and has written {b}. How many words are left?|=words"),
       "{b} of {a} are done, so we subtract:", "There are {r} {u} left."),
    _P("rows", _times, "{a}*{b}", (
        "There are {a} rows of {b} chairs. How many chairs is that [in all|altogether]?|=chairs",
        "There are {a} rows with {b} seats each. How many seats are there?|=seats",
        "{n} plants {a} rows with {b} trees each. How many trees does {n} plant?|=trees"),
       "{a} rows of {b}:", "That is {r} {u}."),
    _P("legs", _animals, "{a}*{b}", (
        "An animal has {b} legs. How many legs do {a} of them have?",
        "There are {a} animals with {b} legs each. How many legs are there?"),
       "Each of the {a} animals has {b} legs:", "There are {r} legs."),
    _P("bus", _three, "{a}-{b}+{c}", (
        "There are {a} people on a [bus|train|boat]. {b} get off and {c} get on. "
        "How many people are on it now?|=people",
        "{n} has {a} {things}, gives away {b} and gets {c} new ones. How many {things} does {n} have?"),
       "First {b} go, then {c} come:", "Now there are {r} {u}."),
    _P("two_gifts", _three, "{a}-{b}-{c}", (
        "{n} has {a} {things}. {n} gives {b} to {m} and {c} to a friend. How many {things} are left?",
        "There were {a} {things} in the shop. On {day} {b} were sold and then {c} more. How many {things} are left?"),
       "We take away {b} and then {c}:", "There are {r} {things} left."),
    _P("three", _three, "{a}+{b}+{c}", (
        "{n} picks {a} {things} on Monday, {b} on Tuesday and {c} on Wednesday. How many {things} is that?",
        "There are {a} {colour}, {b} {shade} and {c} golden {things} in the {box}. How many {things} is that?"),
       "We add all three numbers:", "That makes {r} {things}."),
    _P("boxes_less", _times_and, "{a}*{b}-{c}", (
        "{n} has {a} boxes with {b} {things} each and gives away {c}[| {things}]. How many {things} are left?",
        "There are {a} bags of {b} {things}. {c} of the {things} are [bad|broken]. How many are good?"),
       "{a} times {b}, and then {c} less:", "There are {r} {things}."),
    _P("boxes_more", _times_and, "{a}*{b}+{c}", (
        "{n} has {a} boxes with {b} {things} each and {c} more on the table. How many {things} does {n} have?",
        "{n} fills {a} bags with {b} {things} each, and {c} are left over. How many {things} were there?"),
       "{a} times {b}, and {c} more:", "There are {r} {things}."),
    _P("share_sum", _share_sum, "({a}+{c})/{b}", (
        "{n} has {a} {things} and {m} has {c}. They share all of them among {b} {who}. "
        "How many {things} does each get?",),
       "First we add {a} and {c}, then we share by {b}:", "Each gets {r} {things}."),
    _P("share_rest", _rest, "({a}-{c})/{b}", (
        "{n} has {a} {things}, keeps {c} and shares the rest among {b} {who}. How many {things} does each get?",
        "{n} baked {a} cookies. {c} were burned. The others are shared among {b} {who}. "
        "How many does each get?|=cookies"),
       "First we take {c} from {a}, then we share by {b}:", "Each gets {r} {u}."),
    _P("half", _even, "{a}/2", (
        "{n} has {a} {things} and gives half of them to {m}. How many {things} does {m} get?",
        "Half of the {a} {things} are {n}'s. How many {things} does {n} have?"),
       "Half of {a}:", "Half of them is {r} {u}."),
    _P("double", _any, "{a}*2", (
        "{n} has {a} {things}. {m} has twice as many. How many {things} does {m} have?",
        "Last year {n} had {a} {things}. Now {n} has double that. How many is that?"),
       "Twice {a}:", "That is {r} {u}."),
    _P("wage", _times_and, "{a}*{b}-{c}", (
        "{n} works as a {job} for {a} hours and gets {b} dollars an hour. {n} spends {c} dollars. How much is left?",),
       "{n} gets {a} times {b} and spends {c}:", "There are {r} dollars left."),
)

"""Grammars from strangers: refused in one line or compiled within bounds; never a crash, a hang or a fetch."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fixture_files import FIXTURES
from fuzzing import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import pynanochat as nc
from pynanochat.errors import RequestError
from pynanochat.grammar import Grammar
from pynanochat.grammar.bounds import deepest

quick = settings(max_examples=examples(150), deadline=None)
WORDS = nc.Tokenizer.load(FIXTURES / "tokenizer_512")
HANG = 20.0  # seconds; what does not hang takes milliseconds, the worst of them about one second


@pytest.fixture(scope="module", autouse=True)
def needs_llguidance() -> None:
    pytest.importorskip("llguidance", reason="llguidance is not installed: pip install 'pynanochat[serve]'")


def chain(n: int, link: Callable[[str], dict[str, Any]] = lambda target: {"$ref": target}) -> dict[str, Any]:
    definitions = {f"a{i}": link(f"#/$defs/a{i + 1}") for i in range(n)}
    return {"$ref": "#/$defs/a0", "$defs": {**definitions, f"a{n}": {"type": "string"}}}


def nested(n: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(n):
        schema = {"items": schema}
    return schema


def properties(n: int, **keywords: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {f"p{i}": {"type": "string", **keywords} for i in range(n)}}


SCHEMAS: dict[str, tuple[Any, str]] = {
    "not JSON": ("{", "the schema is no JSON"),
    "not finite": ('{"maximum": 1e999}', "the schema is no JSON"),
    "an object of Python": ({"const": object()}, "the schema is no JSON"),
    "half a pair": ({"const": "\ud83d"}, "half a surrogate pair"),
    "no schema": ("[]", "a JSON schema is an object, not an array"),
    "another no schema": ("true", "a JSON schema is an object, not true or false"),
    "an unknown type": ({"type": "date"}, "Invalid type: date"),
    "a keyword that cannot be kept to": ({"not": {"type": "null"}}, r'Unimplemented keys: \["not"\]'),
    "an unknown format": ({"type": "string", "format": "colour"}, "colour"),
    "nothing": ({"type": "string", "minLength": 3, "maxLength": 2}, "minLength .3. is greater than maxLength .2."),
    "no alternative": ({"anyOf": []}, "anyOf is empty"),
    "oneOf that is not exclusive": ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "oneOf"),
    "only itself": ({"$ref": "#"}, "no text can match"),
    "from the network": ({"$ref": "http://example.com/x"}, "points outside of the schema"),
    "from the disk": ({"items": {"$ref": "file:///etc/passwd"}}, "points outside of the schema"),
    "from nowhere": ({"$ref": "#/$defs/x"}, "points to nothing"),
    "from the middle of a text": ({"$ref": "#/title/0", "title": "x"}, "points to nothing"),
    "an address inside": ({"items": {"$id": "http://x/", "$ref": "#/y"}}, "only the whole one may have one"),
    "an unknown dialect": ({"$schema": "http://example.com/mine", "type": "string"}, "does not fetch"),
    "options of llguidance": ({"x-guidance": {"lenient": True}}, "x-guidance has no effect"),
    "half a megabyte": (json.dumps(properties(20_000)), "the schema has [0-9,]+ bytes; at most 65,536"),
    "deep": (nested(100), "nests deeper than 64"),
    "too deep for Python": ('{"items":' * 6_000 + "{}" + "}" * 6_000, "nests deeper than 64"),
    "a long chain": (chain(1_000), "lead 100[0-9] levels into each other; at most 300"),
    "a long circle": ({"$ref": "#/$defs/a0", "$defs": {f"a{i}": {"items": {"$ref": f"#/$defs/a{(i + 1) % 200}"}}
                                                       for i in range(200)}}, "levels into each other"),
    "one place in many spellings": (
        {"$defs": {"a": {"items": {"anyOf": [{"$ref": "#/" + "".join(f"%{ord(c):02x}" if bits >> i & 1 else c for i, c
                                                                     in enumerate("$defs/abcdef"))}
                                             for bits in range(400)]}}}, "$ref": "#/$defs/a"}, "points to nothing"),
    "many properties that may be left out": (properties(1_500), "too many ways to go on at one place"),
    "large numbers": ({"type": "integer", "minimum": -(10**30), "maximum": 10**30}, "regex for integer range"),
    "a large count": ({"type": "string", "maxLength": 10**15}, "decimal literal invalid"),
    "a large multiple": ({"type": "integer", "multipleOf": 999_983}, "at most 10,000 steps"),
    "a fine multiple": ({"type": "number", "multipleOf": 1e-9 + 1}, "at most 10,000 steps"),
    "no multiple": ({"type": "number", "multipleOf": -1}, "expected a number above 0"),
    "multiples that meet": ({"allOf": [{"type": "integer", "multipleOf": p} for p in (97, 89, 83)]}, "least common"),
    "multiples beside each other": ({"anyOf": [{"type": "integer", "multipleOf": 9_000 + i} for i in range(99)]},
                                    "least common multiple"),
    "patterns that meet": ({"allOf": [{"type": "string", "pattern": f"(a|b)*a(a|b){{{i}}}"} for i in range(28)]},
                           "has 28 of pattern, format, patternProperties and multipleOf; then at most 4"),
    "patterns for names": ({"patternProperties": {f"^a{i}": {} for i in range(50)}}, "50 patternProperties"),
    "long patterns": (properties(40, pattern="a?" * 300), "24,000 characters together; at most 8,192"),
    "look-around": ({"type": "string", "pattern": "(?=a)b"}, "look-around"),
    "products of alternatives": ({"allOf": [{"anyOf": [{"type": "object", "properties": {f"p{i}_{j}": {}}}
                                                       for j in range(4)]} for i in range(10)]}, "larger than"),
}
EXPRESSIONS: dict[str, tuple[Any, str]] = {
    "no text": (5, "the regular expression is a int; expected a text"),
    "half a pair": ("\udc00", "half a surrogate pair"),
    "an open group": ("(", "unclosed group"),
    "look-around": ("a(?!b)", "look-around"),
    "a reference": (r"(a)\1", "backreferences are not supported"),
    "nothing": (r"[^\s\S]", "no text can match"),
    "long": ("a" * 9_000, "has 9,000 bytes; at most 8,192"),
    "deep": ("(" * 4_000 + ")" * 4_000, "exceeded the maximum|nest"),
    "a large count": ("a{1000000000}", "larger than can be matched within bounds"),
    "a count of counts": ("((a{1000}){1000}){1000}", "larger than can be matched within bounds"),
    "optional letters": ("a?" * 4_000, "larger than can be matched within bounds"),
}
RULES: dict[str, tuple[Any, str]] = {
    "nothing": ("", "start"),
    "an unknown name": ("start: foo", 'unknown name: "foo"'),
    "a token of the model": ("start: <|python_start|>", "unknown special token"),
    "the end in the middle": ("start: <[503]>", "no text can match"),
    "no token": ("start: <[504]>", "Token range end too large"),
    "and": ("start: A\nA: /a*/ & /b*/", "line 2: the operator & cannot be used"),
    "not": ("start: A\nA: ~/a/", "line 2: the operator ~ cannot be used"),
    "another grammar": ("start: %lark { start: \"a\" }", "line 1: a statement that is not known"),
    "what is no Lark": ("start: 'a'", "line 1: cannot read the grammar"),
    "JSON that is none": ("start: %json {", "line 1: %json is not followed by JSON"),
    "half a pair in JSON": ('start: %json {"const": "\\ud800"}', "hex escape"),
    "a schema that is none": ("start: %json {\"$ref\": \"http://x/\"}", "points outside of the schema"),
    "a chain": ("start: r0\n" + "\n".join(f"r{i}: r{i + 1}" for i in range(5_000)) + '\nr5000: "a"',
                "lead 5002 levels into each other; at most 600"),
    "brackets": ("start: " + "(" * 20_000 + '"a"' + ")" * 20_000, "levels into each other"),
    "a terminal that doubles": ("start: R0\n" + "\n".join(f"R{i}: R{i + 1} R{i + 1}" for i in range(40))
                                + "\nR40: /a?/", "the terminal R0 has over 16,384 characters"),
    "a terminal of itself": ('start: A\nA: A "a" | "b"', "circular reference"),
    "expressions": ("start: A\nA: " + " | ".join("/" + "a?" * 999 + "/" for _ in range(9)), "8,192"),
    "GBNF that is none": ('root ::= "', "the grammar is no GBNF"),
    "GBNF without end": ("root ::= " + "(" * 20_000, "the grammar is no GBNF"),
    "GBNF of many rules": ("root ::= r0\n" + "\n".join(f'r{i} ::= "a"' for i in range(3_000)), "3001 rules in GBNF"),
}
CHOICES: dict[str, tuple[Any, str]] = {
    "nothing": ([], "at least one"),
    "no texts": (["a", 5], "between texts"),
    "too many": ([str(i) for i in range(20_000)], "the choice has [0-9,]+ bytes; at most 65,536"),
}


@pytest.mark.parametrize(("make", "case"), [
    pytest.param(make, case, id=f"{make.__name__}: {name}")
    for make, cases in ((Grammar.json, SCHEMAS), (Grammar.regex, EXPRESSIONS), (Grammar.lark, RULES),
                        (Grammar.choice, CHOICES)) for name, case in cases.items()])
def test_refused_in_one_line(make: Callable[..., Grammar], case: tuple[Any, str]) -> None:
    text, reason = case
    started = time.perf_counter()
    with pytest.raises(RequestError, match=reason) as refused:
        make(WORDS, text)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400
    assert time.perf_counter() - started < HANG


LARGE: dict[str, tuple[Callable[..., Grammar], Any]] = {
    "a deep text": (Grammar.regex, "(?:x|y)(?:(?:.{0,100}b){0,100}c)*"),
    "a long text": (Grammar.choice, ["é" * 32_000]),
    "many texts": (Grammar.choice, [f"{i:05d}" for i in range(13_000)]),
    "counts": (Grammar.json, {"type": "array", "minItems": 10**5, "maxItems": 10**9,
                              "items": {"type": "string", "minLength": 10**6}}),
    "a large enum": (Grammar.json, {"enum": [f"value {i} of many" for i in range(2_500)]}),
    "many required properties": (Grammar.json, {"required": [f"p{i}" for i in range(6_000)]}),
    "circles": (Grammar.json, {"anyOf": [{"type": "array", "items": {"$ref": "#"}} for _ in range(100)]}),
    "text without end": (Grammar.lark, 'start: " "~3..9\n%ignore / +/'),
    "ambiguity": (Grammar.lark, 'start: e\ne: e e | "a" | e e e | e e e e'),
    "hidden ambiguity": (Grammar.lark, "start: r0\n" + "\n".join(f"r{i}: r{i + 1} r{i + 1} |" for i in range(40))
                         + '\nr40: "a"?'),
    "unicode": (Grammar.regex, r"(?i)" + r"\p{L}" * 1_600),
}


@pytest.mark.parametrize("name", LARGE)
def test_what_is_large_but_allowed_takes_its_time_and_no_more(name: str) -> None:
    make, text = LARGE[name]
    started, draw = time.perf_counter(), random.Random(1)
    try:
        place = make(WORDS, text).constraint([WORDS.bos])
        for _ in range(60):
            allowed = np.flatnonzero(place.mask()[: len(WORDS.ranks)]).tolist()
            if not allowed:
                break
            place.push(draw.choice(allowed))
    except RequestError as error:
        reached = str(error)  # a limit, sooner or later
    else:
        reached = "within bounds"
    assert "within bounds" in reached or "too many ways" in reached
    assert time.perf_counter() - started < HANG


DEEP = """
import threading
from test_grammar_bounds import WORDS, Grammar, chain
GRAMMARS = [
    (Grammar.json, chain(298)),
    (Grammar.json, chain(149, lambda to: {"properties": {"x": {"$ref": to}, "y": {"$ref": to}}})),
    (Grammar.json, chain(59, lambda to: {"items": {"items": {"items": {"items": {"$ref": to}}}}})),
    (Grammar.json, chain(99, lambda to: {"anyOf": [{"type": "null"}, {"allOf": [{"$ref": to}]}]})),
    (Grammar.lark, "start: r0\\n" + "\\n".join(f"r{i}: r{i + 1}" for i in range(597)) + '\\nr597: "a"'),
    (Grammar.lark, "start: r0\\n" + "\\n".join(f'r{i}: ("x" | ("y" r{i + 1})+)' for i in range(199)) + '\\nr199: "a"'),
    (Grammar.lark, "start: R0\\n" + "\\n".join(f'R{i}: "x" R{i + 1}' for i in range(597)) + '\\nR597: "a"'),
    (Grammar.lark, "start: R0\\n" + "\\n".join(f'R{i}: ("x" | ("y" R{i + 1}))' for i in range(199)) + '\\nR199: "a"'),
]
def work():
    for make, text in GRAMMARS:
        place = make(WORDS, text).constraint([WORDS.bos])
        for _ in range(30):
            mask = place.mask()[: len(WORDS.ranks)]
            if not mask.any():
                break
            place.push(int(mask.argmax()))
    print("done")
threading.stack_size(3 << 20)  # of the usual 8
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def test_as_deep_as_allowed_fits_the_stack() -> None:
    done = subprocess.run([sys.executable, "-c", DEEP], cwd=FIXTURES.parent, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


# fuzzing

WORD = st.sampled_from(["type", "object", "array", "string", "integer", "number", "properties", "items", "anyOf",
                        "allOf", "oneOf", "$ref", "#", "#/$defs/a", "#/items", "$defs", "a", "enum", "const",
                        "required", "minItems", "maxLength", "pattern", "^[a-c]+$", "patternProperties",
                        "additionalProperties", "multipleOf", "minimum", "format", "date", "prefixItems", "x-guidance",
                        "$id", "$anchor", "not"])
DOCUMENTS = st.recursive(st.none() | st.booleans() | st.integers(-5, 9) | st.floats() | WORD,
                         lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORD, inner, max_size=5),
                         max_leaves=25)
PIECES = st.sampled_from([
    "start", "root", "a", "B", ":", "::=", "|", "\n", " ", '"x"', '"y"i', "/[a-z]/", "/.*/", "(", ")", "[", "]", "*",
    "+", "?", "{2,3}", "~3", "//", "#", "%ignore", "%json", '{"type":"integer"}', "%regex", '{"substring_words":"a b"}',
    "[lazy]", '[suffix="x"]', "[max_tokens=2]", "->", "..", "<[1-9]>", "::", "_", "%llguidance {}", "é", '"', "/",
    "\\", "\r\n", ".2"])


def survives(make: Callable[..., Grammar], text: Any) -> None:
    refused = ""
    try:
        place = make(WORDS, text).constraint([WORDS.bos])
        for _ in range(4):
            mask = place.mask()[: len(WORDS.ranks)]
            if not mask.any():
                break
            place.push(int(mask.argmax()))
    except RequestError as error:
        refused = str(error)
    assert len(refused) < 400


@quick
@given(st.dictionaries(WORD, DOCUMENTS, max_size=5))
def test_any_document_is_a_schema_or_refused(document: dict[str, Any]) -> None:
    survives(Grammar.json, document)


@quick
@given(st.lists(PIECES, max_size=40).map("".join), st.sampled_from(["", "start: ", "root ::= "]))
def test_any_text_is_rules_or_refused(text: str, before: str) -> None:
    survives(Grammar.lark, before + text)


@quick
@given(st.text("ab()[]{}|*+?.\\^$,-0129pLwd:é\n/", max_size=30))
def test_any_text_is_a_regular_expression_or_refused(text: str) -> None:
    survives(Grammar.regex, text)


@quick
@given(st.dictionaries(st.sampled_from("abcdefg"), st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 3)),
                                                            max_size=4), min_size=1), st.randoms())
def test_no_descent_gets_deeper_than_the_bound(edges: dict[str, list[tuple[str, int]]], draw: random.Random) -> None:
    depths = {name: max([1, *(depth for _, depth in named)]) for name, named in edges.items()}
    entered: set[str] = set()
    reached = 0

    def descend(name: str, above: int) -> None:
        nonlocal reached
        if name not in edges or name in entered:
            return
        entered.add(name)
        reached = max(reached, above + depths[name])
        for target, depth in draw.sample(edges[name], len(edges[name])):
            descend(target, above + depth)

    descend(draw.choice(sorted(edges)), 0)
    assert reached <= deepest(depths, edges)

"""Grammars: whatever the model would rather say, an answer parses, and no stranger's grammar can stall or break us."""

from __future__ import annotations

import codecs
import copy
import gc
import json
import random
import re
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fixture_files import FIXTURES, STORY5M
from fuzzing import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import pynanochat as nc
from pynanochat.errors import RequestError
from pynanochat.grammar import Grammar, GrammarConstraint

quick = settings(max_examples=examples(40), deadline=None)


@pytest.fixture(scope="module", autouse=True)
def needs_llguidance(request: pytest.FixtureRequest) -> None:
    pytest.importorskip("llguidance", reason="llguidance is not installed: pip install 'pynanochat[serve]'")


@pytest.fixture(scope="module")
def llm() -> nc.LLM:
    return nc.load(STORY5M)


WORDS = nc.Tokenizer.load(FIXTURES / "tokenizer_512")


def wander(grammar: Grammar, words: nc.Tokenizer, seed: int, steps: int = 400) -> bytes | None:
    """What random allowed tokens make, up to the end; None where there is none within `steps`."""
    ends = list(words.special_tokens.values())[:2]
    place, draw, made = grammar.constraint(ends), random.Random(seed), bytearray()
    first_special = len(words.ranks)
    for step in range(steps):
        mask = place.mask()
        assert mask.shape == (words.vocab_size,)
        assert not mask[first_special:].any() or np.flatnonzero(mask[first_special:]).tolist() == [
            end - first_special for end in ends], "special tokens: the ends only, and all of them"
        allowed = np.flatnonzero(mask[:first_special]).tolist()
        if mask[ends[0]] and (not allowed or draw.random() < 0.3):
            return bytes(made)
        if step > 40:  # out of numbers and texts without end
            allowed = [token for token in allowed if set(words.decode_bytes([token])) & set(b'"}],')] or allowed
        token = draw.choice(allowed)
        place.push(token)
        made += words.decode_bytes([token])
    return None


def accepts(grammar: Grammar, words: nc.Tokenizer, text: str) -> bool:
    """Whether the tokens of a text may come, and then the end."""
    place = grammar.constraint([words.bos])
    for token in words.encode(text):
        if not place.mask()[token]:
            return False
        place.push(token)
    return bool(place.mask()[words.bos])


# what is allowed

VALUES = st.none() | st.booleans() | st.integers(-999, 999) | st.text(max_size=5)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)


def bounded_schema(least: int, most: int, kind: str, smallest: str, largest: str) -> dict[str, Any]:
    return {"type": kind, smallest: min(least, most), largest: max(least, most)}


LEAVES = (
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["boolean", "null"]}, {"const": "é\n\"\\"}])
    | st.builds(lambda values: {"enum": values}, st.lists(VALUES, min_size=1, max_size=4))
    | st.builds(bounded_schema, st.integers(-99, 99), st.integers(-99, 99), st.sampled_from(["integer", "number"]),
                st.just("minimum"), st.just("maximum"))
    | st.builds(bounded_schema, st.integers(0, 5), st.integers(0, 5), st.just("string"), st.just("minLength"),
                st.just("maxLength"))
)


def objects(properties: dict[str, Any], chosen: int) -> dict[str, Any]:
    required = [name for place, name in enumerate(properties) if chosen >> place & 1]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.builds(lambda items, least, more: {"type": "array", "items": items, "minItems": least,
                                                        "maxItems": least + more},
                            inner, st.integers(0, 2), st.integers(0, 2))
    | st.builds(objects, st.dictionaries(TEXTS, inner, max_size=3), st.integers(0, 7))
    | st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3)),
    max_leaves=6)


def valid(value: Any, schema: dict[str, Any]) -> bool:
    """Whether JSON is what a schema of the kinds above allows."""
    if "anyOf" in schema:
        return any(valid(value, option) for option in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        options = schema.get("enum", [schema.get("const")])
        return any(type(value) is type(option) and value == option for option in options)
    kinds = {"boolean": bool, "null": type(None), "string": str, "array": list, "object": dict, "integer": int,
             "number": (int, float)}
    allowed = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(isinstance(value, kinds[kind]) and (kind == "boolean" or not isinstance(value, bool))
               for kind in allowed):
        return False
    if isinstance(value, str):
        return schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
    if isinstance(value, list):
        return (schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
                and all(valid(item, schema["items"]) for item in value))
    if isinstance(value, dict):
        properties = schema["properties"]
        return (set(schema["required"]) <= value.keys() <= properties.keys()
                and all(valid(item, properties[name]) for name, item in value.items()))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    return True


@quick
@given(SCHEMAS, st.integers(0, 2**32))
def test_random_tokens_make_json_of_any_schema(schema: dict[str, Any], seed: int) -> None:
    made = wander(Grammar.json(WORDS, schema), WORDS, seed)
    assert made is not None
    value = json.loads(made.decode("utf-8"))
    assert valid(value, schema)


@quick
@given(st.lists(TEXTS, min_size=1, max_size=6), st.integers(0, 2**32))
def test_a_choice_is_one_of_the_texts_and_may_be_each(texts: list[str], seed: int) -> None:
    grammar = Grammar.choice(WORDS, texts)
    made = wander(grammar, WORDS, seed)
    assert made is not None
    assert made.decode("utf-8") in texts
    assert all(accepts(grammar, WORDS, text) for text in texts)
    assert not accepts(grammar, WORDS, max(texts, key=len) + "x")


EXPRESSIONS = st.recursive(
    st.sampled_from(["a", "bc", "[a-f]", "[^a-y]", "é", r"\.", r"[0-9]{2,3}", " ", "中?", r"\n"]),
    lambda inner: st.builds("(?:{}|{})".format, inner, inner) | st.builds("{}{}".format, inner, inner)
    | st.builds("(?:{}){}".format, inner, st.sampled_from(["*", "?", "{1,3}", "+"])),
    max_leaves=6)


@quick
@given(EXPRESSIONS, st.integers(0, 2**32))
def test_random_tokens_match_any_regular_expression(expression: str, seed: int) -> None:
    made = wander(Grammar.regex(WORDS, expression), WORDS, seed)
    assert made is None or re.fullmatch(expression, made.decode("utf-8"))


@pytest.mark.parametrize("name", ["tokenizer_512", "tokenizer_600"])
def test_where_any_text_may_come_the_mask_is_what_utf8_allows(name: str) -> None:
    """Tokens may begin and end inside a character, but never make bytes that are no text; special tokens are none."""
    words = nc.Tokenizer.load(FIXTURES / name)
    for start in (b"", b"\xc3", b"\xf0\x9f", b"a\xe2"):
        place = Grammar.regex(words, "(?s:.*)").constraint([words.bos])
        decoder = codecs.getincrementaldecoder("utf-8")()
        for byte in start:
            place.push(words.ranks[bytes([byte])])
        decoder.decode(start)
        state, mask = decoder.getstate(), place.mask()
        for token in range(words.vocab_size):
            if words.is_special(token):
                assert mask[token] == (token == words.bos and not state[0])
                continue
            decoder.setstate(state)
            try:
                decoder.decode(words.decode_bytes([token]))
                fits = True
            except UnicodeDecodeError:
                fits = False
            assert mask[token] == fits, (start, words.decode_bytes([token]))


def test_json_is_laid_out_as_json_dumps_does_and_in_the_schemas_order() -> None:
    schema = {"type": "object", "properties": {"b": {"type": "array", "items": {"type": "integer", "maximum": 9}},
                                               "a": {"$ref": "#/$defs/x"}},
              "required": ["a", "b"], "additionalProperties": False, "$defs": {"x": {"enum": ["é", None]}}}
    for given_as in (schema, json.dumps(schema)):
        grammar = Grammar.json(WORDS, given_as)
        assert accepts(grammar, WORDS, '{"b": [1, -22], "a": "é"}')
        for other in ('{"b":[1],"a":null}', '{"a": null, "b": []}', '{"b": [], "a": null} ', '{"b": [ ], "a": null}'):
            assert not accepts(grammar, WORDS, other)
    tree = {"type": "object", "properties": {"child": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
            "required": ["child"], "additionalProperties": False}
    assert accepts(Grammar.json(WORDS, tree), WORDS, '{"child": {"child": null}}')
    assert accepts(Grammar.json(WORDS, {"type": "object"}), WORDS, '{"any": [1.5, {"thing": true}]}')


RULES = {
    "lark": 'start: greeting ("," NAME)*  // a comment with & and ~\ngreeting: "hi"i | %json {"const": {"a": 1}}\n'
            'NAME: /[a-z&~]+/ | "&~"',
    "gbnf": 'root ::= greeting ("," name)*\ngreeting ::= [hH] [iI] | "{\\"a\\": 1}"\nname ::= [a-z&~]+',
}


@pytest.mark.parametrize("notation", RULES)
def test_rules(notation: str) -> None:
    grammar = Grammar.lark(WORDS, RULES[notation])
    for text in ("hi", "HI,anna", 'hI,a,~&', '{"a": 1},x'):
        assert accepts(grammar, WORDS, text)
    for text in ("", "hi,", "ho", "hi,A", '{"a":1}'):
        assert not accepts(grammar, WORDS, text)


# in the engine

PERSON = {"type": "object", "properties": {
    "name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0, "maximum": 120},
    "pets": {"type": "array", "items": {"enum": ["cat", "dog", "bird"]}, "maxItems": 3}},
    "required": ["name", "age", "pets"], "additionalProperties": False}


def test_answers_of_the_model_follow_their_grammars(llm: nc.LLM) -> None:
    words = llm.need_tokenizer()
    person = Grammar.json(words, PERSON)
    for out in llm.generate("Tell me about Anna.", 120, grammar=person, seed=3, n=6).samples:
        found = json.loads(out.text)
        assert list(found) == ["name", "age", "pets"]
        assert len(found["name"]) <= 12
        assert 0 <= found["age"] <= 120
        assert set(found["pets"]) <= {"cat", "dog", "bird"}
        assert out.finish_reason == "stop"
        assert words.decode(out.tokens) == out.text
        assert out.end_token in (words.bos, words.encode_special("<|assistant_end|>"))
    for seed in range(6):
        answer = llm.generate("One day", 60, grammar=Grammar.choice(words, ["yes", "no", "I know"]), seed=seed)
        assert answer.text in ("yes", "no", "I know")
        date = llm.generate("One day", 60, grammar=Grammar.regex(words, r"[0-9]{4}-[0-9]{2}"), seed=seed, top_k=5)
        assert re.fullmatch(r"\d{4}-\d\d", date.text)
    cut = llm.generate("One day", 3, grammar=person, seed=1)
    assert (cut.finish_reason, len(cut.tokens)) == ("length", 3)


def test_a_seeded_answer_is_the_same_in_any_company(llm: nc.LLM) -> None:
    words = llm.need_tokenizer()
    grammar, wanted = Grammar.json(words, PERSON), {"seed": 8, "logprobs": 2}
    alone = llm.generate("The dog", 80, grammar=grammar, **wanted)
    chunked = llm.generate("A long way " * 60 + "The dog", 80, grammar=grammar, **wanted)
    assert chunked.tokens != alone.tokens
    streams = [llm.stream(prompt, 80, grammar=chosen, seed=seed) for seed, (prompt, chosen) in enumerate(
        [("One", grammar), ("A long way " * 60, None), ("Two", Grammar.choice(words, ["a", "b"]))])]
    for stream in streams:
        next(stream)
    among = llm.generate("The dog", 80, grammar=grammar, n=3, **wanted)
    assert (among.tokens, among.logprobs) == (alone.tokens, alone.logprobs)
    assert llm.generate("The dog", 80, grammar=Grammar.json(words, PERSON), **wanted).tokens == alone.tokens
    for stream in streams:
        stream.close()
    piece_by_piece = "".join(str(piece) for piece in llm.stream("The dog", 80, grammar=grammar, **wanted))
    assert piece_by_piece == alone.text


def test_stop_strings_end_an_answer_before_its_grammar_does(llm: nc.LLM) -> None:
    out = llm.generate("One", 60, grammar=Grammar.json(llm.need_tokenizer(), PERSON), stop=['", "age'], seed=1)
    assert (out.finish_reason, out.stop) == ("stop", '", "age')
    assert re.fullmatch(r'\{"name": "[^"]{0,12}', out.text)


def test_a_grammar_that_fails_on_the_way_fails_its_request_alone(llm: nc.LLM) -> None:
    words = llm.need_tokenizer()
    ambiguous = Grammar.lark(words, 'start: e\ne: e e | e e e | e e e e | "a" | "b" | "c" | "d"')
    alone = llm.generate("The dog", 40, seed=5).tokens
    neighbour = llm.stream("The dog", 40, seed=5)
    next(neighbour)
    with pytest.raises(RequestError, match="any longer: it leaves too many ways to go on"):
        llm.generate("a", 400, grammar=ambiguous, seed=1)
    assert neighbour.drain()[0].tokens == alone
    short = llm.generate("a", 5, grammar=ambiguous, seed=1).text  # what broke was made anew
    assert re.fullmatch("[abcd]+", short)


def test_a_request_that_does_not_end_where_its_grammar_does_says_so(llm: nc.LLM) -> None:
    words = llm.need_tokenizer()
    request = llm.request(llm.encode("One"), 20, nc.SamplingPolicy(seed=1), grammar=Grammar.choice(words, ["yes"]))
    with pytest.raises(RequestError, match="no special tokens; the request has to end"):
        llm.run([replace(request, end_tokens=())]).drain()
    with pytest.raises(RequestError, match="no token is allowed"):
        llm.generate("One", 20, grammar=Grammar.choice(words, ["yes"]),
                     logit_bias=dict.fromkeys(words.special_tokens.values(), -np.inf))
    with pytest.raises(RequestError, match="needs a token that ends it"):
        Grammar.choice(words, ["yes"]).constraint([])


def test_copies_go_on_independently_and_a_token_out_of_place_is_refused() -> None:
    grammar = Grammar.regex(WORDS, "(?:ab|cd)e")
    first = grammar.constraint([WORDS.bos])
    second = first.copy()
    first.push(WORDS.ranks[b"a"])
    third = first.copy()
    mask = first.mask()
    second.push(WORDS.ranks[b"c"])
    for place, starts in ((first, b"b"), (second, b"d")):
        assert {WORDS.decode_bytes([int(token)])[:1] for token in np.flatnonzero(place.mask())} == {starts}
    assert third.mask().tolist() == mask.tolist()
    with pytest.raises(RequestError, match="cannot be held to its regular expression any longer"):
        third.push(WORDS.ranks[b"z"])


# who makes and keeps them

def test_threads_may_compile_and_use_grammars_at_once() -> None:
    words = copy.deepcopy(WORDS)  # whose vocabulary the threads race to make

    def work(seed: int) -> bytes | None:
        return wander(Grammar.json(words, {"type": "array", "items": {"enum": [1, "two"]}, "maxItems": 4}), words, seed)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(work, range(12)))
    assert together == [work(seed) for seed in range(12)]


def test_what_is_made_for_a_tokenizer_goes_with_it() -> None:
    words = nc.Tokenizer.load(FIXTURES / "tokenizer_512")
    place: GrammarConstraint | None = Grammar.choice(words, ["a"]).constraint([words.bos])
    assert place is not None
    gone = weakref.ref(words)
    again = copy.copy(words)
    del words, place
    gc.collect()
    assert gone() is None
    assert accepts(Grammar.choice(again, ["a"]), again, "a")


def test_without_llguidance_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    words = nc.Tokenizer.load(FIXTURES / "tokenizer_512")
    for make in (lambda: Grammar.json(words, {"type": "object"}), lambda: Grammar.regex(words, "a"),
                 lambda: Grammar.choice(words, ["a"]), lambda: Grammar.lark(words, 'root ::= "a"')):
        with pytest.raises(RequestError, match=r"pip install 'pynanochat\[serve\]'"):
            make()


def test_a_grammar_shows_what_it_is() -> None:
    assert re.fullmatch(r"Grammar\(JSON schema, \d+ characters\)", repr(Grammar.json(WORDS, {})))

"""What a JSON Schema may ask of the matcher.

Looked at is every schema that compiling can reach: the whole one and whatever a $ref points to, which is inside it or
is refused; nothing is ever fetched.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

from pynanochat.errors import RequestError
from pynanochat.grammar.bounds import MOST_EXPRESSION, Edge, deepest

Schema = dict[str, Any]

MOST_NESTING = 64  # objects and arrays of the document inside each other
MOST_LEVELS = 300  # schemas open at once while compiling, which takes 5 kB of stack for each (llguidance 1.9)
MOST_PATTERN_PROPERTIES = 32  # each is compared with each
MOST_COMBINED = 4  # patterns that may meet in one string; their product has no other bound
MOST_MULTIPLE = 10_000  # one state of the matcher for each remainder

_APPLICATORS = {"allOf", "anyOf", "oneOf", "$ref"}
_HARMLESS = {"type", "required", "minItems", "maxItems", "minProperties", "maxProperties"}  # beside an applicator
_MEETING = {"properties", "patternProperties", "additionalProperties", "items", "prefixItems", "additionalItems",
            "pattern", "format", "minLength", "maxLength", "multipleOf", "minimum", "maximum", "exclusiveMinimum",
            "exclusiveMaximum", "enum", "const"}
_NAMED = ("properties", "patternProperties")
_LISTED = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_SINGLE = ("items", "additionalProperties", "additionalItems")


def check(document: Any) -> None:
    """Raise `RequestError` for what is no schema, or one whose cost nothing bounds."""
    if not isinstance(document, dict):
        raise RequestError(f"a JSON schema is an object, not {_kind(document)}")
    _check_nesting(document)
    if "x-guidance" in document:
        raise RequestError("x-guidance has no effect here; leave it out of the schema")
    survey = _Survey(document)
    if survey.levels > MOST_LEVELS:
        raise RequestError(f"the schema's definitions lead {survey.levels} levels into each other; at most "
                           f"{MOST_LEVELS} can be compiled")
    if survey.expression > MOST_EXPRESSION:
        raise RequestError(f"the schema's regular expressions have {survey.expression:,} characters together; at most "
                           f"{MOST_EXPRESSION:,} can be compiled")
    if survey.pattern_properties > MOST_PATTERN_PROPERTIES:
        raise RequestError(f"the schema has {survey.pattern_properties} patternProperties; at most "
                           f"{MOST_PATTERN_PROPERTIES} can be compiled")
    if survey.combines and survey.patterns > MOST_COMBINED:
        raise RequestError(f"the schema combines others (with allOf, or beside anyOf, oneOf or $ref) and has "
                           f"{survey.patterns} of pattern, format, patternProperties and multipleOf; then at most "
                           f"{MOST_COMBINED} can be compiled. Write it without combining")


class _Survey:
    """What compiling a schema meets."""

    def __init__(self, document: Schema) -> None:
        self.patterns = self.pattern_properties = 0
        self.expression = 0  # characters of regular expressions
        self.combines = False  # schemas with each other, which makes one pattern of several
        self._alternatives = False
        self._document = document
        self._multiples: list[Decimal] = []
        depths: dict[str, int] = {}
        edges: dict[str, list[Edge]] = {}
        waiting = ["#"]
        while waiting:
            reference = waiting.pop()
            if reference not in depths:  # two spellings of one place count twice, as they compile twice
                depths[reference], edges[reference] = self._scan(self._resolve(reference))
                waiting += [target for target, _ in edges[reference]]
        self.levels = deepest(depths, edges)
        self._check_multiples()

    def _scan(self, top: Any) -> tuple[int, list[Edge]]:
        """How deep the schemas written inside this one go, and what they refer to."""
        deep, edges = 1, []
        stack = [(top, 1)]
        while stack:
            schema, depth = stack.pop()
            deep = max(deep, depth)
            if not isinstance(schema, dict):
                continue
            if depth > 1 and any(isinstance(schema.get(key), str) for key in ("$id", "id")):
                raise RequestError("a schema inside the schema has an $id; only the whole one may have one")
            if "$ref" in schema:
                edges.append((self._checked_reference(schema["$ref"]), depth))
            self._count(schema)
            stack += [(child, depth + 1) for child in _children(schema)]
        return deep, edges

    def _count(self, schema: Schema) -> None:
        named = schema.get("patternProperties")
        expressions = [*named] if isinstance(named, dict) else []
        self.pattern_properties += len(expressions)
        self.patterns += len(expressions) + sum(key in schema for key in ("pattern", "format", "multipleOf"))
        self.expression += len(str(schema.get("pattern", ""))) + sum(map(len, expressions))
        if "multipleOf" in schema:
            self._multiples.append(_checked_multiple(schema["multipleOf"]))
        applicators = len(_APPLICATORS & schema.keys())
        if isinstance(parts := schema.get("allOf"), list) and len(parts) > 1:
            applicators += 1
        self.combines |= applicators > 1 or bool(applicators and _MEETING & schema.keys())
        self.combines |= bool(expressions and schema.get("properties"))
        self._alternatives |= "anyOf" in schema or "oneOf" in schema

    def _check_multiples(self) -> None:
        """Where numbers meet, or are alternatives, the matcher follows the remainders of all of them at once."""
        if not (self._multiples and (self.combines or self._alternatives)):
            return
        scale = Decimal(10) ** max(0, *(-int(multiple.as_tuple().exponent) for multiple in self._multiples))
        if math.lcm(*(int(multiple * scale) for multiple in self._multiples)) > MOST_MULTIPLE:
            raise RequestError("the schema combines values of multipleOf whose least common multiple has more than "
                               f"{MOST_MULTIPLE:,} steps; that cannot be compiled")

    def _checked_reference(self, reference: Any) -> str:
        if not isinstance(reference, str):
            raise RequestError(f"$ref is {_kind(reference)}; expected a text such as '#/$defs/name'")
        if reference != "#" and not reference.startswith("#/"):
            raise RequestError(f"$ref {reference!r:.80} points outside of the schema; expected one such as "
                               "'#/$defs/name', since nothing is fetched")
        return reference

    def _resolve(self, reference: str) -> Any:
        found: Any = self._document
        for part in reference[2:].split("/") if reference != "#" else ():
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdecimal() and len(key) < 7 and int(key) < len(found):
                found = found[int(key)]
            else:
                raise RequestError(f"$ref {reference!r:.80} points to nothing in the schema")
        return found


def _children(schema: Schema) -> Iterator[Any]:
    for key in _NAMED:
        if isinstance(schema.get(key), dict):
            yield from schema[key].values()
    for key in _LISTED:
        if isinstance(schema.get(key), list):
            yield from schema[key]
    for key in _SINGLE:
        if isinstance(schema.get(key), dict):
            yield schema[key]


def _check_nesting(document: Any) -> None:
    level = [document]
    for _ in range(MOST_NESTING):
        level = [child for node in level for child in (node.values() if isinstance(node, dict) else node)
                 if isinstance(child, (dict, list))]
        if not level:
            return
    raise too_deep()


def too_deep() -> RequestError:
    """What is said of a document that nests too deep, perhaps too deep for Python to read it."""
    return RequestError(f"the schema nests deeper than {MOST_NESTING} objects and arrays")


def _checked_multiple(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise RequestError(f"multipleOf is {str(value)[:40]}; expected a number above 0")
    exact = Decimal(str(value)).normalize()
    steps = exact.scaleb(max(0, -int(exact.as_tuple().exponent)))
    if steps > MOST_MULTIPLE:
        raise RequestError(f"multipleOf is {str(value)[:40]}; expected one of at most {MOST_MULTIPLE:,} steps, such as "
                           "100 or 0.01")
    return exact


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")

"""Shape: what a JSON value must be, as the part of JSON Schema that is needed here, and where a value differs from it.

The same shapes describe the answers of a server and are sent as `response_format`, whose answer they then judge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from pynanochat.contract.problem import Problem, quoted, shown

Shape: TypeAlias = Mapping[str, Any]

ANYTHING: Shape = {}
TEXT: Shape = {"type": "string"}
NAME: Shape = {"type": "string", "minLength": 1}
BOOLEAN: Shape = {"type": "boolean"}
COUNT: Shape = {"type": "integer", "minimum": 0}
SECONDS: Shape = {"type": "integer", "minimum": 0, "maximum": 10**11}  # since 1970; milliseconds would be more
LOGPROB: Shape = {"type": "number", "maximum": 0}
NULL: Shape = {"type": "null"}

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "number": (int, float),
    "boolean": (bool,), "null": (type(None),)}
_WORDS = {"object": "an object", "array": "a list", "string": "a string", "integer": "a whole number",
          "number": "a number", "boolean": "true or false", "null": "null"}


def record(optional: Mapping[str, Shape] | None = None, /, **fields: Shape) -> Shape:
    """An object that has these fields, and those of `optional` if it has them."""
    return {"type": "object", "properties": {**fields, **(optional or {})}, "required": list(fields)}


def sequence(items: Shape, least: int = 0, most: int | None = None) -> Shape:
    """A list of so many items of one shape."""
    return {"type": "array", "items": items, "minItems": least} | ({} if most is None else {"maxItems": most})


def exactly(value: object) -> Shape:
    """This value and no other."""
    return {"const": value}


def one_of(*values: object) -> Shape:
    """One of these values."""
    return {"enum": list(values)}


def nullable(shape: Shape) -> Shape:
    """The shape, or null."""
    return {"anyOf": [shape, NULL]}


def differences(value: Any, shape: Shape, field: str = "") -> Iterator[Problem]:
    """Where a value is not what its shape says."""
    if "anyOf" in shape:
        if all(any(True for _ in differences(value, one)) for one in shape["anyOf"]):
            nearest = next((one for one in shape["anyOf"] if _has_type(value, one.get("type"))), None)
            if nearest is not None:
                yield from differences(value, nearest, field)
            else:
                yield _wrong(value, shape, field)
        return
    values = [shape["const"]] if "const" in shape else shape.get("enum")
    if not _has_type(value, shape.get("type")) or (
            values is not None and not any(_same(value, one) for one in values)):
        yield _wrong(value, shape, field)
    elif isinstance(value, dict):
        yield from _in_object(value, shape, field)
    elif isinstance(value, list):
        yield from _in_list(value, shape, field)
    elif isinstance(value, str):
        if len(value) < shape.get("minLength", 0):
            yield Problem(field, "is empty; expected a text")
    elif isinstance(value, (int, float)) and not (
            shape.get("minimum", value) <= value <= shape.get("maximum", value)):
        yield _wrong(value, shape, field)


def described(shape: Shape) -> str:
    """A shape in words."""
    if "anyOf" in shape:
        return " or ".join(described(one) for one in shape["anyOf"])
    if "const" in shape:
        return shown(repr(shape["const"])) if shape["const"] is not None else "null"
    if "enum" in shape:
        return "one of " + ", ".join(map(str, shape["enum"]))
    names = shape.get("type", "")
    words = " or ".join(_WORDS.get(name, "a value") for name in ([names] if isinstance(names, str) else names))
    limits = [f"{name} {shape[key]}" for name, key in (("at least", "minimum"), ("at most", "maximum"))
              if key in shape]
    return f"{words} of {' and '.join(limits)}" if limits else words


def within(field: str, name: str | int) -> str:
    """The path of a field or of an item inside another one."""
    if isinstance(name, int):
        return f"{field}[{name}]"
    return f"{field}.{name}" if field else name


def _in_object(value: dict[str, Any], shape: Shape, field: str) -> Iterator[Problem]:
    properties: Mapping[str, Shape] = shape.get("properties", {})
    for name in shape.get("required", ()):
        if name not in value:
            yield Problem(within(field, name), f"is missing; expected {described(properties.get(name, ANYTHING))}")
    for name, item in value.items():
        if name in properties:
            yield from differences(item, properties[name], within(field, name))
        elif shape.get("additionalProperties") is False:
            yield Problem(within(field, shown(name)), "is not in the schema")


def _in_list(value: list[Any], shape: Shape, field: str) -> Iterator[Problem]:
    least, most = shape.get("minItems", 0), shape.get("maxItems")
    if len(value) < least or (most is not None and len(value) > most):
        expected = f"{least}" if least == most else f"at least {least}" if most is None else f"{least} to {most}"
        yield Problem(field, f"has {counted(len(value), 'item')}; expected {expected}")
    for place, item in enumerate(value):
        found = list(differences(item, shape.get("items", ANYTHING), within(field, place)))
        yield from found
        if found:  # the others are likely to be wrong in the same way
            return


def counted(count: int, noun: str) -> str:
    """A number of things."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _wrong(value: Any, shape: Shape, field: str) -> Problem:
    found = "null" if value is None else quoted(value)
    return Problem(field, f"is {found}; expected {described(shape)}")


def _has_type(value: Any, names: str | Iterable[str] | None) -> bool:
    if names is None:
        return True
    if isinstance(names, str):
        names = (names,)
    return any(isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))
               for name in names)


def _same(value: Any, wanted: Any) -> bool:
    return type(value) is type(wanted) and bool(value == wanted)

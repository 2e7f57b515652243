"""Validation of manifests and records against the JSON schemas of the package.

`jsonschema` alone validates some thousand face records per second. Where a schema consists of
keywords that a few comparisons decide, most records are accepted by these comparisons; whatever
they do not accept is validated by `jsonschema`, which decides and words the faults.

Source: JSON Schema, draft 2020-12 (https://json-schema.org/draft/2020-12).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal

from jsonschema import Draft202012Validator

SchemaName = Literal["manifest", "tracks", "faces"]
_MAX_MESSAGE = 200
"""Characters of a fault that are reported."""
_Accepts = Callable[[Any], bool]
_ANNOTATIONS = {"$schema", "title", "description"}
_NUMBERS = (int, float)


class RecordSchema:
    """A schema of the package.

    Args:
        name: Name of its file without `.schema.json`.

    """

    def __init__(self, name: SchemaName) -> None:
        text = (files("jdsr_cli") / "schemas" / f"{name}.schema.json").read_text("utf-8")
        schema = json.loads(text)
        self._validator = Draft202012Validator(schema)
        try:
            self._accepts = _compile(schema)
        except _Unsupported:
            self._accepts = _nothing

    def faults(self, record: object) -> list[str]:
        """Return what in a record does not agree with the schema; empty if all does."""
        if self._accepts(record):
            return []
        return [
            _shorten(f"{error.json_path[2:] or 'record'}: {error.message}")
            for error in self._validator.iter_errors(record)
        ]


@lru_cache
def record_schema(name: SchemaName) -> RecordSchema:
    """Return a schema of the package, which is read once."""
    return RecordSchema(name)


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_MESSAGE else f"{text[: _MAX_MESSAGE - 3]}..."


class _Unsupported(Exception):  # noqa: N818 - no error, it selects the general validator
    """A schema has a keyword that is not compiled."""


def _nothing(_: object) -> bool:
    return False


def _compile(schema: Mapping[str, Any]) -> _Accepts:
    """Return what accepts only values that are valid, and nearly all of these.

    Raises:
        _Unsupported: The schema has other keywords.

    """
    checks: list[_Accepts] = []
    limits = {name: schema[name] for name in ("minimum", "maximum") if name in schema}
    lengths = {name: schema[name] for name in ("minItems", "maxItems") if name in schema}
    known = {"type", "enum", "pattern", "items", "properties", "required", "additionalProperties"}
    if set(schema) - known - _ANNOTATIONS - set(limits) - set(lengths):
        raise _Unsupported
    if "enum" in schema:
        # Not by equality alone, since True equals 1.
        allowed = {(type(value), value) for value in schema["enum"]}
        checks.append(lambda value: _hashable(value) and (type(value), value) in allowed)
    if "type" in schema:
        checks.append(_of_type(schema["type"]))
    if limits:
        low, high = limits.get("minimum"), limits.get("maximum")
        checks.append(
            lambda value: (
                not isinstance(value, _NUMBERS)
                or ((low is None or value >= low) and (high is None or value <= high))
            )
        )
    if "pattern" in schema:
        search = re.compile(schema["pattern"]).search
        checks.append(lambda value: not isinstance(value, str) or search(value) is not None)
    if "items" in schema or lengths:
        checks.append(_list_check(schema))
    if "properties" in schema or "required" in schema or "additionalProperties" in schema:
        checks.append(_object_check(schema))
    return lambda value: all(check(value) for check in checks)


_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


def _of_type(names: str | list[str]) -> _Accepts:
    allowed = {kind for name in ([names] if isinstance(names, str) else names)
               for kind in _TYPES[name]}  # fmt: skip
    return lambda value: type(value) in allowed


def _hashable(value: object) -> bool:
    return not isinstance(value, (dict, list))


def _list_check(schema: Mapping[str, Any]) -> _Accepts:
    accepts = _compile(schema["items"]) if "items" in schema else lambda _: True
    low, high = schema.get("minItems", 0), schema.get("maxItems", float("inf"))

    def check(value: Any) -> bool:
        if not isinstance(value, list):
            return True
        return low <= len(value) <= high and all(accepts(item) for item in value)

    return check


def _object_check(schema: Mapping[str, Any]) -> _Accepts:
    properties = {name: _compile(one) for name, one in schema.get("properties", {}).items()}
    required = frozenset(schema.get("required", ()))
    others = schema.get("additionalProperties", True)
    accepts_others = _compile(others) if isinstance(others, dict) else lambda _: bool(others)

    def check(value: Any) -> bool:
        if not isinstance(value, dict):
            return True
        return required <= value.keys() and all(
            properties.get(name, accepts_others)(item) for name, item in value.items()
        )

    return check

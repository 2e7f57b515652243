"""Convert TOML tables to dataclasses; an error about an unknown key names the nearest one."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any, TypeVar, get_type_hints

from jdsr_cli.errors import UsageError

T = TypeVar("T")


def build_table(kind: type[T], values: dict[str, Any], where: str) -> T:
    """Build a dataclass from the values of a table; nested dataclasses are nested tables.

    Args:
        kind: The dataclass.
        values: The values of the table.
        where: Name of the table, for errors.

    Raises:
        UsageError: A key is unknown or missing, or a value has the wrong type or is not allowed.

    """
    hints = get_type_hints(kind)
    ready: dict[str, Any] = {}
    for key, value in values.items():
        if key not in hints:
            near = difflib.get_close_matches(key, hints, 1, 0.0)
            raise UsageError(f"unknown key {key!r}", where=where, hint=f"Nearest: {near[0]}")
        ready[key] = _convert(hints[key], value, f"{where}: {key}")
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        required = field.default is field.default_factory is dataclasses.MISSING
        if required and field.name not in ready:
            raise UsageError(f"lacks the key {field.name!r}", where=where)
    try:
        return kind(**ready)
    except UsageError as fault:  # it names the key, not the file and the table
        place = where if fault.where is None else f"{where}: {fault.where}"
        raise UsageError(fault.what, where=place, hint=fault.hint) from fault


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise UsageError("a table is needed", where=where)
        return build_table(hint, value, where)
    plain = getattr(hint, "__origin__", hint)
    if plain is tuple and isinstance(value, list):
        parts = hint.__args__
        if parts[-1] is Ellipsis:
            return tuple(_convert(parts[0], item, where) for item in value)
        if len(value) != len(parts):
            raise UsageError(f"{len(parts)} values are needed, not {len(value)}", where=where)
        return tuple(_convert(*pair, where) for pair in zip(parts, value, strict=True))
    if plain is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, plain) or (isinstance(value, bool) and plain is not bool):
        name = "list" if plain is tuple else getattr(plain, "__name__", str(plain))
        raise UsageError(f"{value!r} is not of type {name}", where=where)
    return value

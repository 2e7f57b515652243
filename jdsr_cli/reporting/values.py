"""Values of records whose content is not trusted: each is of the expected type, or absent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

LONGEST_TEXT = 2000
"""Characters of a text from a record that are shown at most."""

LARGEST = 1e15
"""Magnitude of the largest number from a record that is used; a larger one counts as absent."""
_RATIO = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)(?:/(\d{1,15}))?", re.ASCII)

Record = Mapping[str, Any]


def number(record: Record, name: str) -> float | None:
    """Return a number of at most `LARGEST`, None if there is none."""
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        converted = float(value)
    except OverflowError:
        return None
    return converted if abs(converted) <= LARGEST else None


def ratio(record: Record, name: str) -> float | None:
    """Return a text such as `30000/1001` or `25` as a number, None if there is none."""
    value = record.get(name)
    match = _RATIO.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    divisor = int(match[2] or 1)
    return number({name: float(match[1]) / divisor}, name) if divisor else None


def share(record: Record, name: str) -> float | None:
    """Return a number from 0 to 1, None if there is none."""
    value = number(record, name)
    return value if value is not None and 0.0 <= value <= 1.0 else None


def whole(record: Record, name: str) -> int | None:
    """Return a whole number of at least 0, None if there is none."""
    return _whole(record.get(name))


def text(record: Record, name: str) -> str | None:
    """Return a text, shortened; None if absent. The templates escape it."""
    value = record.get(name)
    return shown(value) if isinstance(value, str) else None


def shown(value: object) -> str:
    """Return any value as a text of limited length."""
    written = str(value)
    return written if len(written) <= LONGEST_TEXT else written[: LONGEST_TEXT - 1] + "…"


def table(record: Record, name: str) -> Record:
    """Return an object, empty if there is none."""
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def tables(record: Record, name: str) -> list[Record]:
    """Return the objects in a list."""
    return [one for one in items(record, name) if isinstance(one, dict)]


def items(record: Record, name: str) -> list[Any]:
    """Return a list, empty if there is none."""
    value = record.get(name)
    return list(value) if isinstance(value, (list, tuple)) else []


def numbers(record: Record, name: str) -> list[float]:
    """Return the finite numbers in a list."""
    found = (number({"value": one}, "value") for one in items(record, name))
    return [one for one in found if one is not None]


def wholes(record: Record, name: str) -> list[int]:
    """Return the whole numbers of at least 0 in a list."""
    return [one for one in map(_whole, items(record, name)) if one is not None]


def counts(record: Record, name: str) -> dict[str, int]:
    """Return the counts in an object, by their names, most frequent first."""
    found = {shown(kind): _whole(value) for kind, value in table(record, name).items()}
    kept = {kind: value for kind, value in found.items() if value}
    return dict(sorted(kept.items(), key=lambda one: (-one[1], one[0])))


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < 1 << 63 else None

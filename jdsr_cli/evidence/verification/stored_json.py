"""JSON of unknown origin: every fault becomes one sentence."""

from __future__ import annotations

import json
from typing import Any

MAX_BYTES = 64 << 20
"""Size above which a document is not read; a manifest has some kilobytes."""
MAX_LINE = 1 << 24
"""Size in bytes above which a line is not read."""


MAX_DEPTH = 64
"""Levels of nesting above which a document is not read; those of jdsr have a few."""


class InvalidJsonError(ValueError):
    """Bytes are not a JSON object as jdsr writes it; the message says why."""


def parse_object(data: bytes) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        InvalidJsonError: It is no UTF-8, no JSON, nested too deeply, has a key twice or a number
            that is not finite, or is no object.

    """
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant
        )
    except InvalidJsonError:
        raise
    except UnicodeDecodeError as fault:
        raise InvalidJsonError(f"is not text in UTF-8 (byte {fault.start})") from fault
    except json.JSONDecodeError as fault:
        raise InvalidJsonError(f"is not JSON ({fault.msg}, character {fault.pos})") from fault
    except (ValueError, RecursionError) as fault:
        raise InvalidJsonError(f"is not JSON that can be read ({fault})") from fault
    if not isinstance(value, dict):
        raise InvalidJsonError("is not a JSON object")
    # The number of brackets limits the depth, and is fast to find.
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise InvalidJsonError(f"is nested more than {MAX_DEPTH} levels deep")
    return value


def _depth(value: object) -> int:
    """Return the levels of nesting, without recursion; no more than one above `MAX_DEPTH`."""
    depth, level = 0, [value]
    while level and depth <= MAX_DEPTH:
        depth += 1
        inner = [
            item
            for one in level
            for item in (one.values() if isinstance(one, dict) else one)  # type: ignore[attr-defined]
        ]
        level = [item for item in inner if isinstance(item, (dict, list))]
    return depth


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidJsonError(f"has the key {twice!r} twice")
    return found


def _refuse_constant(name: str) -> None:
    raise InvalidJsonError(f"has the number {name}, which is not JSON")

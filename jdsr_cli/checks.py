"""Checks of the values that a recipe gives: what is wrong, where, and what is allowed."""

from __future__ import annotations

import math
from typing import Any

from jdsr_cli.errors import UsageError


def one_of(value: str, allowed: tuple[str, ...], where: str) -> None:
    """Check that a value is one of those allowed.

    Raises:
        UsageError: it is not.

    """
    if value not in allowed:
        raise UsageError(f"{value!r} is not known", where=where, hint=f"Use {', '.join(allowed)}")


def within(table: Any, low: float, high: float, *names: str) -> None:
    """Check that these numbers of a table, or all numbers of these tuples, lie in [low, high].

    Raises:
        UsageError: one does not.

    """
    for name in names:
        value = getattr(table, name)
        for number in value if isinstance(value, tuple) else (value,):
            if not (low <= number <= high and math.isfinite(number)):
                asked = f"at least {low:g}" if high == math.inf else f"{low:g} to {high:g}"
                raise UsageError(f"{number:g} cannot be, {asked} is needed", where=name)

"""Parameters of which every run of the tests tries only some."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def mostly_nightly(values: Iterable[Any], often: Collection[Any]) -> list[Any]:
    """Return parameters: those in `often` for every run, the others for nightly runs."""
    return [
        pytest.param(value, marks=[] if value in often else [pytest.mark.nightly])
        for value in values
    ]

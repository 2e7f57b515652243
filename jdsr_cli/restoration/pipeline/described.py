"""What an input declared, ready for JSON."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from jdsr_cli.media import MediaInfo


def describe_media(info: MediaInfo) -> dict[str, Any]:
    """Return what the input declared: fractions as `a/b`, no path."""
    return {
        name: f"{value.numerator}/{value.denominator}" if isinstance(value, Fraction) else value
        for name, value in vars(info).items()
        if not isinstance(value, Path)
    }

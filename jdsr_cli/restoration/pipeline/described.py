"""What an input is and what it declared, for the manifest."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from jdsr_cli.evidence import FileMark, mark
from jdsr_cli.media import MediaInfo, input_files


def mark_input(path: Path) -> FileMark:
    """Return size and hash of an input; of a sequence those of all its pictures together.

    Raises:
        InputError: It cannot be read.

    """
    return mark(path, files=input_files(path))


_PLACES = ("path", "salvaged_copy")
"""Where files lie on this machine, which is nobody's business elsewhere."""


def describe_media(info: MediaInfo) -> dict[str, Any]:
    """Return what the input declared: fractions as `a/b`, no path."""
    return {
        name: f"{value.numerator}/{value.denominator}" if isinstance(value, Fraction) else value
        for name, value in vars(info).items()
        if name not in _PLACES
    }

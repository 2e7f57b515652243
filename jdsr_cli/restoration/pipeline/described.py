"""What an input is and what it declared, for the manifest."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from jdsr_cli.evidence import FileDigest, digest_file
from jdsr_cli.media import MediaInfo, input_files
from jdsr_cli.settings import ReadSettings


def mark_input(path: Path) -> FileDigest:
    """Return size and hash of an input; of a sequence those of all its pictures together.

    Raises:
        InputError: It cannot be read.

    """
    return digest_file(path, files=input_files(path))


_PLACES = ("path", "salvaged_copy")
"""Where files lie on this machine, which is nobody's business elsewhere."""


def expected_frames(info: MediaInfo, reading: ReadSettings) -> int | None:
    """Return how many frames an input promises in the part that is read, None where none."""
    if not reading.trims and info.frames_promised is not None:
        return info.frames_promised
    if info.duration is None or info.frame_rate is None:
        return info.frames_promised
    end = info.duration if reading.end is None else min(info.duration, reading.end)
    return max(1, round((end - (reading.start or 0)) * info.frame_rate))


def describe_media(info: MediaInfo) -> dict[str, Any]:
    """Return what the input declared: fractions as `a/b`, no path."""
    return {
        name: f"{value.numerator}/{value.denominator}" if isinstance(value, Fraction) else value
        for name, value in vars(info).items()
        if name not in _PLACES
    }

"""What all commands do around a reader: tell of its advance, describe what it read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

from jdsr_cli.media import MediaInfo
from jdsr_cli.progress import Progress


@contextmanager
def frame_task(progress: Progress, info: MediaInfo) -> Iterator[Callable[[], None]]:
    """Begin a task with the frames that the input promises; gives the call for each frame."""
    name = info.path.name
    progress.begin(name, info.frames_promised)
    try:
        yield lambda: progress.advance(name)
    finally:
        progress.end(name)


def describe_media(info: MediaInfo) -> dict[str, Any]:
    """Return what the input declared, ready for JSON: fractions as `a/b`, no path."""
    return {
        name: f"{value.numerator}/{value.denominator}" if isinstance(value, Fraction) else value
        for name, value in vars(info).items()
        if not isinstance(value, Path)
    }

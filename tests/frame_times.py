"""Timestamps of the clips that the tests restore, and a function that reads them back."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av

VARIABLE_PTS = (0, 40, 80, 160, 200, 360)
"""Timestamps in milliseconds of a clip of variable frame rate."""


def clip_times(path: Path) -> list[Fraction]:
    """Return the exact times of the frames of a video, in seconds, read without jdsr."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [Fraction(frame.pts) * frame.time_base for frame in container.decode(stream)]

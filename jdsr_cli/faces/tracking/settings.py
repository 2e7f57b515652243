"""How faces are followed from frame to frame."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jdsr_cli.errors import UsageError

LONGEST_SECONDS = 3600.0
"""An hour: longer times are slips of the keyboard."""
MOST_DETECTIONS = 32
"""Largest `min_track`: a track is judged within the tracker's delay, and that is bounded."""


@dataclass(frozen=True)
class TrackerSettings:
    """How faces are followed.

    Raises:
        UsageError: a value is out of its range.

    """

    min_track: int = 2
    """Detections that make a track, 1 to 32; the faces of shorter ones are marked `too_short`."""
    bridge: float = 0.25
    """Seconds for which looks may have missed a face and it is filled in; 0 fills nothing in.

    Counted from the first look that missed it to the next that found it.
    """
    lost: float = 1.0
    """Seconds for which a track goes on unseen, carried by its motion."""
    smoothing: float = 0.1
    """Standard deviation in seconds of the smoothing of boxes and points; 0 is none."""
    find_again: float = 30.0
    """Seconds in which a lost person is found again by appearance, where embeddings are given."""

    def __post_init__(self) -> None:
        if not 1 <= self.min_track <= MOST_DETECTIONS:
            raise UsageError(
                f"a track cannot need {self.min_track} detections",
                hint=f"Give a number from 1 to {MOST_DETECTIONS}.",
            )
        for name in ("bridge", "lost", "smoothing", "find_again"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0.0 <= value <= LONGEST_SECONDS):
                raise UsageError(
                    f"{name} of the tracker cannot be {value} seconds",
                    hint=f"Give seconds from 0 to {LONGEST_SECONDS:.0f}.",
                )

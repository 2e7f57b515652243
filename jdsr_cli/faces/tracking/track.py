"""One person's track: what was seen, what is foretold, how it looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.detection import Detection
from jdsr_cli.faces.tracking.kalman import BoxFilter

MEMORY = 0.9
"""Share of the former appearance that stays when a face is seen anew."""

Standing = Literal["new", "confirmed", "rejected"]


@dataclass(eq=False)
class Shot:
    """A stretch of frames without a cut or pause."""

    first: int
    """Number of its first frame."""
    last: int | None = None
    """Number of its last frame; None while it goes on."""
    first_look: int | None = None
    """Number of the first frame in it that was looked at."""
    last_look: int | None = None
    """Number of the last one so far."""
    looks: int = 0
    """How many frames of it were looked at."""

    def look(self, index: int) -> None:
        """Note that a frame is looked at."""
        self.first_look = index if self.first_look is None else self.first_look
        self.last_look = index
        self.looks += 1


@dataclass(frozen=True, eq=False)
class Sight:
    """A detection of a track."""

    index: int
    """Number of the frame."""
    time: float
    """Of the frame, in seconds."""
    detection: Detection
    shot: Shot
    joined: bool
    """Whether the sight before belongs to the same run: frames between them are filled in."""


class Track:
    """A person, as far as known.

    Args:
        number: Of the person, from 1.
        sight: The first one.
        looks: Frames of all shots that were looked at before.

    Attributes:
        sights: In order of time; those that undecided frames do not need are dropped.
        count: Detections, including dropped ones.
        first: Number of the frame of the first one.
        begun: Time since which its motion is known.
        standing: Whether there are enough of them.
        missed_since: Time of the first look that missed it since it was last seen.

    """

    def __init__(self, number: int, sight: Sight, looks: int) -> None:
        self.number = number
        self.first = sight.index
        self.looks = looks
        self.standing: Standing = "new"
        self.appearance: NDArray[np.float64] | None = None
        self.sights: list[Sight] = []
        self.count = 0
        self.missed_since: float | None = None
        self._told = sight.time
        self.begin(sight)

    @property
    def seen(self) -> Sight:
        """The last sight."""
        return self.sights[-1]

    def foretell(self, time: float) -> None:
        """Move the filter on to a time."""
        self.motion.predict(time - self._told)
        self._told = time

    def see(self, sight: Sight) -> None:
        """Take in a detection at the time last foretold."""
        self.motion.update(sight.detection.box)
        self._note(sight)

    def begin(self, sight: Sight) -> None:
        """Take in a detection that says nothing of how the face got there."""
        self.motion = BoxFilter(sight.detection.box)
        self._told = self.begun = sight.time
        self._note(sight)

    def remember(self, embedding: NDArray[np.float64]) -> None:
        """Take in how the face looks, (D,); zeros say nothing."""
        length = float(np.linalg.norm(embedding))
        if length == 0.0:
            return
        now = embedding / length
        if self.appearance is not None:
            now = MEMORY * self.appearance + (1.0 - MEMORY) * now
            now = now / max(float(np.linalg.norm(now)), 1e-12)
        self.appearance = now

    def forget(self, before: int) -> None:
        """Drop sights of frames before number `before`, except the last one."""
        kept = [sight for sight in self.sights if sight.index >= before]
        self.sights = kept or self.sights[-1:]

    def _note(self, sight: Sight) -> None:
        self.sights.append(sight)
        self.count += 1
        self.missed_since = None

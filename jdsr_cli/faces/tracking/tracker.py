"""Track faces from frame to frame: the public interface of the tracker.

The result of a frame is returned a fixed number of frames late, `Tracker.lag`: as many as gap
filling, smoothing and the confirmation of short tracks need, at least one, so that the last frame
of a track can name the tracks that end with it, and never more than `MOST_LAG`. A result depends on
nothing later, and the same calls give the same results.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.detection.base import Detection
from jdsr_cli.faces.tracking.lifecycle import Follower, Terms
from jdsr_cli.faces.tracking.smoothing import WINDOW, decide, last_frame
from jdsr_cli.faces.tracking.track import TrackedFrame

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


MOST_LAG = 32
"""Frames that wait at most, so that memory is bounded whatever the frame rate."""
BRIEF = 0.4
"""Seconds for which a face seen only once is looked for near the same place."""
PATIENCE = 1.5
"""Looks without which no track is lost, however rare looks are."""


class Tracker:
    """Follows the faces of one input.

    Args:
        settings: How.
        frame_rate: Nominal frames per second. Times of frames may be irregular; the rate only
            turns seconds into the number of frames that wait.
        every: Faces are looked for in each n-th frame, 1 to 32.

    Attributes:
        lag: Most frames that wait.

    Raises:
        UsageError: the frame rate is not positive, or `every` is out of range.

    """

    def __init__(self, settings: TrackerSettings, frame_rate: float, *, every: int = 1) -> None:
        if not (math.isfinite(frame_rate) and frame_rate > 0.0):
            raise UsageError(
                f"faces cannot be followed at {frame_rate} frames a second",
                hint="Give a positive frame rate.",
            )
        if not 1 <= every <= MOST_LAG:
            raise UsageError(
                f"faces cannot be followed when each {every}th frame is looked at",
                hint=f"Look at each n-th frame with n from 1 to {MOST_LAG}.",
            )
        self._settings = settings
        self.lag = min(
            MOST_LAG,
            max(
                1,
                math.ceil(settings.bridge * frame_rate - 1e-6) + every - 1,
                math.ceil(WINDOW * settings.smoothing * frame_rate - 1e-6),
                every * settings.min_track - 1,
            ),
        )
        least = PATIENCE * every / frame_rate
        lost = max(settings.lost, least)
        self._follower = Follower(
            Terms(
                min_track=settings.min_track,
                bridge=settings.bridge,
                widest=self.lag + 1,
                lost=lost,
                brief=min(lost, max(BRIEF, settings.bridge, least)),
                find_again=settings.find_again,
            )
        )
        self._waiting: deque[tuple[int, float]] = deque()
        self._count = 0
        self._time = -math.inf
        self._length: int | None = None
        self._finished = False

    def add(
        self,
        time: float,
        detections: Sequence[Detection],
        *,
        looked: bool = True,
        cut: bool = False,
        embeddings: NDArray[np.floating] | None = None,
    ) -> list[TrackedFrame]:
        """Take in the next frame.

        Args:
            time: Of the frame in seconds, later than the one before.
            detections: Faces found in it.
            looked: Whether faces were looked for. Frames that were not are filled in.
            cut: Whether another scene begins with this frame: no track goes across.
            embeddings: (n, D) appearance of each detection, of length 1; zeros where unknown.

        Returns:
            The frames that are decided now, in order; one in general, none at the beginning.

        Raises:
            UsageError: the time is not later, a detection is not finite, embeddings do not
                fit, there are detections though nobody looked, or `finish` was called.

        """
        looks = self._checked(time, detections, looked, embeddings)
        index, follower = self._count, self._follower
        self._count, self._time = index + 1, time
        follower.enter(index, time, cut)
        if looked:
            follower.look(index, time, detections, looks)
        self._waiting.append((index, time))
        return [self._decide()] if len(self._waiting) > self.lag else []

    def finish(self) -> list[TrackedFrame]:
        """Decide upon the frames that still wait; the tracker takes no more."""
        if not self._finished and self._count:
            self._follower.finish(self._count - 1)
        self._finished = True
        return [self._decide() for _ in range(len(self._waiting))]

    def _decide(self) -> TrackedFrame:
        index, time = self._waiting.popleft()
        follower = self._follower
        follower.judge(index)
        tracks = follower.live + follower.away + follower.closed
        shown = [decide(one, index, time, self._settings.smoothing, self.lag) for one in tracks]
        over = [one for one in follower.closed if last_frame(one, self.lag) <= index]
        follower.closed = [one for one in follower.closed if one not in over]
        for track in tracks:
            track.forget(index - self.lag)
        return TrackedFrame(
            index,
            tuple(sorted((one for one in shown if one), key=lambda one: one.track)),
            tuple(sorted(one.number for one in over)),
        )

    def _checked(
        self,
        time: float,
        detections: Sequence[Detection],
        looked: bool,
        embeddings: NDArray[np.floating] | None,
    ) -> NDArray[np.float64] | None:
        where = f"frame {self._count}"
        if self._finished:
            raise UsageError("the tracker has finished", where=where, hint="Make a new one.")
        if not (math.isfinite(time) and time > self._time):
            raise UsageError(
                f"its time, {time} s, is not later than that of the frame before",
                where=where,
                hint="Give frames in order of time.",
            )
        if detections and not looked:
            raise UsageError(
                "faces of a frame that was not looked at", where=where, hint="Say that it was."
            )
        for face in detections:
            if face.points.shape != (5, 2) or not (
                np.isfinite(face.box).all() and np.isfinite(face.points).all()
            ):
                raise UsageError(
                    "a face without a finite box and five finite points (5, 2)",
                    where=where,
                    hint="Leave it out.",
                )
        if embeddings is None or not looked:
            return None
        given = np.asarray(embeddings, np.float64)
        if given.ndim != 2 or len(given) != len(detections) or not np.isfinite(given).all():
            raise UsageError(
                f"embeddings {given.shape} for {len(detections)} faces",
                where=where,
                hint="Give finite numbers (n, D).",
            )
        if len(given) and self._length not in (None, given.shape[1]):
            raise UsageError(
                f"embeddings of {given.shape[1]} numbers after such of {self._length}",
                where=where,
                hint="Use one face network for a whole input.",
            )
        self._length = given.shape[1] if len(given) else self._length
        return given

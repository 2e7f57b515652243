"""Track faces from frame to frame: the public interface of the tracker.

The result of a frame is returned a fixed number of frames late, `Tracker.lag`: as many as gap
filling, smoothing and the confirmation of short tracks need, at least one, so that the last frame
of a track can name the tracks that end with it, and never more than `MAX_LAG`. A result depends on
nothing later, and the same calls give the same results.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.detection.base import Detection
from jdsr_cli.faces.tracking.manager import TrackLimits, TrackManager
from jdsr_cli.faces.tracking.smoothing import WINDOW, face_in_frame, last_frame
from jdsr_cli.faces.tracking.track import TrackedFrame
from jdsr_cli.settings import MAX_LAG, TrackerSettings

BRIEF = 0.4
"""Seconds for which the motion of a face detected only once is predicted."""
PATIENCE = 1.5
"""Intervals of detection after which a track can be lost at the earliest."""


class Tracker:
    """Tracks the faces of one input.

    Args:
        settings: Limits of time and number of detections.
        frame_rate: Nominal frames per second. Times of frames may be irregular; the rate only
            converts seconds to the number of frames of the delay.
        every: Detection runs on each n-th frame, 1 to 32.

    Attributes:
        lag: Delay of the results in frames.

    Raises:
        UsageError: the frame rate is not positive, or `every` is out of range.

    """

    def __init__(self, settings: TrackerSettings, frame_rate: float, *, every: int = 1) -> None:
        if not (math.isfinite(frame_rate) and frame_rate > 0.0):
            raise UsageError(
                f"faces cannot be tracked at {frame_rate} frames a second",
                hint="Give a positive frame rate.",
            )
        if not 1 <= every <= MAX_LAG:
            raise UsageError(
                f"faces cannot be tracked with detection on each {every}th frame",
                hint=f"Detect on each n-th frame with n from 1 to {MAX_LAG}.",
            )
        self._settings = settings
        self.lag = min(
            MAX_LAG,
            max(
                1,
                math.ceil(settings.bridge * frame_rate - 1e-6) + every - 1,
                math.ceil(WINDOW * settings.smoothing * frame_rate - 1e-6),
                every * settings.min_track - 1,
            ),
        )
        least = PATIENCE * every / frame_rate
        lost = max(settings.lost, least)
        self._manager = TrackManager(
            TrackLimits(
                min_track=settings.min_track,
                bridge=settings.bridge,
                max_frames=self.lag + 1,
                lost=lost,
                brief=min(lost, max(BRIEF, settings.bridge, least)),
                reidentify_within=settings.reidentify_within,
            )
        )
        self._pending: deque[tuple[int, float]] = deque()
        self._count = 0
        self._time = -math.inf
        self._embedding_length: int | None = None
        self._finished = False

    def add(
        self,
        time: float,
        detections: Sequence[Detection],
        *,
        searched: bool = True,
        cut: bool = False,
        embeddings: NDArray[np.floating] | None = None,
    ) -> list[TrackedFrame]:
        """Add the next frame.

        Args:
            time: Time of the frame in seconds, later than that of the frame before.
            detections: Faces detected in it.
            searched: Whether detection ran on this frame. Other frames are filled in.
            cut: Whether another scene begins with this frame: no track continues across a cut.
            embeddings: (n, D) appearance of each detection, of length 1; zeros where unknown.

        Returns:
            The frames that are final now, in order; one in general, none at the beginning.

        Raises:
            UsageError: The time is not later, a detection is not finite, embeddings do not
                fit, there are detections though detection did not run, or `finish` was called.

        """
        known = self._checked(time, detections, searched, embeddings)
        index, manager = self._count, self._manager
        self._count, self._time = index + 1, time
        manager.advance(index, time, cut)
        if searched:
            manager.update(index, time, detections, known)
        self._pending.append((index, time))
        return [self._next_frame()] if len(self._pending) > self.lag else []

    def finish(self) -> list[TrackedFrame]:
        """Return the frames that are still pending; no frame can be added afterwards."""
        if not self._finished and self._count:
            self._manager.finish(self._count - 1)
        self._finished = True
        return [self._next_frame() for _ in range(len(self._pending))]

    def _next_frame(self) -> TrackedFrame:
        index, time = self._pending.popleft()
        manager = self._manager
        manager.confirm_or_reject(index)
        tracks = manager.active + manager.lost + manager.closed
        shown = [
            face_in_frame(one, index, time, self._settings.smoothing, self.lag) for one in tracks
        ]
        ended = [one for one in manager.closed if last_frame(one, self.lag) <= index]
        manager.closed = [one for one in manager.closed if one not in ended]
        for track in tracks:
            track.drop_before(index - self.lag)
        return TrackedFrame(
            index,
            tuple(sorted((one for one in shown if one), key=lambda one: one.track)),
            tuple(sorted(one.number for one in ended)),
        )

    def _checked(
        self,
        time: float,
        detections: Sequence[Detection],
        searched: bool,
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
        if detections and not searched:
            raise UsageError(
                "detections of a frame without detection", where=where, hint="Set searched=True."
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
        if embeddings is None or not searched:
            return None
        given = np.asarray(embeddings, np.float64)
        if given.ndim != 2 or len(given) != len(detections) or not np.isfinite(given).all():
            raise UsageError(
                f"embeddings {given.shape} for {len(detections)} faces",
                where=where,
                hint="Give finite numbers (n, D).",
            )
        if len(given) and self._embedding_length not in (None, given.shape[1]):
            raise UsageError(
                f"embeddings of {given.shape[1]} numbers after such of {self._embedding_length}",
                where=where,
                hint="Use one face network for a whole input.",
            )
        self._embedding_length = given.shape[1] if len(given) else self._embedding_length
        return given

"""Track faces from frame to frame: the public interface of the tracker.

The result of a frame is returned later, when the frames are known that gap filling, smoothing and
the confirmation of short tracks need. Their times decide; at the nominal frame rate they are
`Tracker.lag` frames, at least one, so that the last frame of a track can name the tracks that end
with it. Where frames follow each other faster they are more, up to `MAX_LAG`. A result depends on
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
from jdsr_cli.faces.head_appearance import SIDE as HEAD_SIDE
from jdsr_cli.faces.head_appearance import Thumbnails
from jdsr_cli.faces.tracking.manager import TrackLimits, TrackManager
from jdsr_cli.faces.tracking.smoothing import WINDOW, face_in_frame, last_frame
from jdsr_cli.faces.tracking.track import Reach, TrackedFrame
from jdsr_cli.settings import MAX_EVERY, MAX_LAG, TrackerSettings

BRIEF = 0.4
"""Seconds for which the motion of a face detected only once is predicted."""
PATIENCE = 1.5
"""Intervals of detection after which a track can be lost at the earliest."""
MAX_DELAY = 1.25
"""Longest time in seconds for which frames wait for later ones."""
MAX_RATE = 120.0
"""Frames per second up to which a nominal rate is believed; where frames do follow each other
faster, their times decide."""


class Tracker:
    """Tracks the faces of one input.

    Args:
        settings: Limits of time.
        frame_rate: Nominal frames per second. Times of frames may be irregular; the rate only
            converts seconds to the least number of frames of the delay, and tells how long a frame
            lasts that no other precedes.
        every: Detection runs on each n-th frame, 1 to 32.

    Attributes:
        lag: Delay of the results in frames, where they follow each other at the nominal rate.

    Raises:
        UsageError: the frame rate is not positive, or `every` is out of range.

    """

    def __init__(self, settings: TrackerSettings, frame_rate: float, *, every: int = 1) -> None:
        if not (math.isfinite(frame_rate) and frame_rate > 0.0):
            raise UsageError(
                f"faces cannot be tracked at {frame_rate} frames a second",
                hint="Give a positive frame rate.",
            )
        if not 1 <= every <= MAX_EVERY:
            raise UsageError(
                f"faces cannot be tracked with detection on each {every}th frame",
                hint=f"Detect on each n-th frame with n from 1 to {MAX_EVERY}.",
            )
        self._settings = settings
        rate = min(frame_rate, MAX_RATE)
        self.lag = min(
            max(every, _frames(MAX_DELAY, rate)),
            max(
                1,
                _frames(settings.bridge, rate) + every - 1,
                _frames(WINDOW * settings.smoothing, rate),
                every * _frames(settings.min_track, rate / every),
            ),
        )
        self._reach = Reach(self.lag, (self.lag - 0.5) / rate)
        least = PATIENCE * every / frame_rate
        lost = max(settings.lost, least)
        self._manager = TrackManager(
            TrackLimits(
                min_track=settings.min_track,
                bridge=settings.bridge,
                reach=self._reach,
                lost=lost,
                brief=max(BRIEF, settings.bridge, least),
                patience=PATIENCE,
                interval=1.0 / rate,
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
        shift: tuple[float, float] | None = None,
        embeddings: NDArray[np.floating] | None = None,
        heads: Thumbnails | None = None,
    ) -> list[TrackedFrame]:
        """Add the next frame.

        Args:
            time: Time of the frame in seconds, later than that of the frame before.
            detections: Faces detected in it.
            searched: Whether detection ran on this frame. Other frames are filled in.
            cut: Whether another scene begins with this frame: no track continues across a cut.
            shift: Pixels by which the picture moved to the right and down since the frame before,
                as the camera moved; faces are expected farther by as much. None if that is not
                known: the camera is then expected to move as before.
            embeddings: (n, D) appearance of each detection, of length 1; zeros where unknown.
            heads: Thumbnail of the head of each detection, RGB uint8 (n, 12, 12, 3), see
                `faces.head_appearance`. They are compared after 0.19 s or more without a frame
                on which detection ran, so that a track is not carried over to somebody else.

        Returns:
            The frames that are final now, in order; one at a constant frame rate, after the first
            `lag` frames.

        Raises:
            UsageError: The time is not later, a detection is not finite, embeddings or heads do
                not fit, there are detections though detection did not run, or `finish` was called.

        """
        known = self._checked(time, detections, searched, embeddings)
        self._check_heads(heads, len(detections))
        index, manager = self._count, self._manager
        self._count, self._time = index + 1, time
        manager.advance(index, time, cut, shift)
        if searched:
            manager.update(index, time, detections, known, heads)
        self._pending.append((index, time))
        final = []
        while self._is_final():
            final.append(self._next_frame())
        return final

    def finish(self) -> list[TrackedFrame]:
        """Return the frames that are still pending; no frame can be added afterwards."""
        if not self._finished and self._count:
            self._manager.finish(self._count - 1)
        self._finished = True
        return [self._next_frame() for _ in range(len(self._pending))]

    def _is_final(self) -> bool:
        """Return whether all frames that the earliest pending one depends on are known."""
        waiting = len(self._pending) - 1
        if waiting < self.lag:
            return False
        return self._time - self._pending[0][1] >= self._reach.seconds or waiting >= MAX_LAG

    def _next_frame(self) -> TrackedFrame:
        index, time = self._pending.popleft()
        manager = self._manager
        manager.confirm_or_reject(index)
        tracks = manager.active + manager.lost + manager.closed
        shown = [
            face_in_frame(one, index, time, self._settings.smoothing, self._reach) for one in tracks
        ]
        ended = [one for one in manager.closed if last_frame(one, self._reach) <= index]
        manager.closed = [one for one in manager.closed if one not in ended]
        for track in tracks:
            track.drop_before(index, time, self._reach)
        return TrackedFrame(
            index,
            tuple(sorted((one for one in shown if one), key=lambda one: one.track)),
            tuple(sorted(one.number for one in ended)),
        )

    def _check_heads(self, heads: Thumbnails | None, count: int) -> None:
        shape = (count, HEAD_SIDE, HEAD_SIDE, 3)
        if heads is not None and (heads.shape != shape or heads.dtype != np.uint8):
            raise UsageError(
                f"thumbnails {heads.dtype} {heads.shape} of {count} heads",
                where=f"frame {self._count}",
                hint="Use jdsr_cli.faces.head_appearance.",
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


def _frames(seconds: float, rate: float) -> int:
    """Return how many frames at a rate last at least `seconds`."""
    return math.ceil(seconds * rate - 1e-6)

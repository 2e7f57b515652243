"""The track of one person: its observations, its motion and its appearance.

The motion of the box is predicted by a Kalman filter. Its state is four pairs of a value and its
rate per second: horizontal and vertical centre in pixels, natural logarithm of width and of height.
The rates are constant but for white noise of acceleration (Bar-Shalom, Li and Kirubarajan 2001,
section 6.2.2), which holds for any interval between frames. While a face is hidden the rates decay,
since people do not keep their velocity; after a second the face is found half as far from its
predicted position as without the decay. The pairs are independent, so four filters of two numbers
replace one of eight, in closed form. The logarithm keeps sizes positive and makes noise the same
for small and large faces; all noise of the centre is measured in face sizes, the root of width
times height. `cv2.KalmanFilter` is not used: it assumes frames at regular intervals.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.averaging import independent_share
from jdsr_cli.faces.detection.base import Detection
from jdsr_cli.faces.head_appearance import Thumbnails

Box = tuple[float, float, float, float]

MIN_SIDE = 1.0
"""Least width and height of a box in pixels; boxes cut at the border may have no width at all."""
CENTRE_NOISE = 0.04
"""Standard deviation of a detected centre, in sizes."""
SIDE_NOISE = 0.08
"""Standard deviation of the logarithm of a detected side."""
CENTRE_WANDER = 2.0
"""Standard deviation that the velocity gathers in a second, in sizes per second."""
SIDE_WANDER = 0.6
"""The same of the logarithmic growth, per second."""
FIRST_VELOCITY = 4.0
"""Standard deviation of the velocity of a new face, in sizes per second; walkers who pass near
the camera reach nine."""
FIRST_GROWTH = 0.5
"""Standard deviation of the logarithmic growth of a new face, per second."""
FASTEST_GROWTH = 1.5
"""Bound of that growth: people do not approach faster, but boxes at the border shrink as fast."""
PERSISTENCE = 0.5
"""Seconds in which the velocity of a hidden face falls to 1/e."""
HEADS = 2
"""Last heads of a track with which a new one is compared: one of them can be covered by others."""
NEW_APPEARANCE = 0.1
"""Weight of a new embedding when it is averaged into the appearance."""

TrackStatus = Literal["new", "confirmed", "rejected"]


class BoxFilter:
    """Kalman filter of the box of one face.

    Args:
        box: The first observed box: left, top, right, bottom in pixels.

    """

    def __init__(self, box: Box) -> None:
        self._value = _measure(box)
        self._rate = np.zeros(4)
        size = self.size
        noise, first = _noise(size), np.array([FIRST_VELOCITY * size] * 2 + [FIRST_GROWTH] * 2)
        self._value_variance = noise**2
        self._shared_variance = np.zeros(4)
        self._rate_variance = first**2
        self._hidden = False

    @property
    def size(self) -> float:
        """Root of width times height, in pixels."""
        return math.exp((self._value[2] + self._value[3]) / 2)

    @property
    def box(self) -> Box:
        """Left, top, right and bottom edge of the estimated box, in pixels."""
        x, y = self._value[:2]
        width, height = np.exp(self._value[2:]) / 2
        return float(x - width), float(y - height), float(x + width), float(y + height)

    @property
    def spread(self) -> float:
        """Standard deviation of the centre of the next detection along an axis, in pixels."""
        variance = float(self._value_variance[:2].mean())
        return math.sqrt(variance + (CENTRE_NOISE * self.size) ** 2)

    def predict(self, seconds: float) -> None:
        """Advance the state by `seconds`, 0 or more."""
        wander = np.array([CENTRE_WANDER * self.size] * 2 + [SIDE_WANDER] * 2) ** 2
        kept = math.exp(-seconds / PERSISTENCE) if self._hidden else 1.0
        duration = PERSISTENCE * (1.0 - kept) if self._hidden else seconds
        self._hidden = True
        self._value = self._value + duration * self._rate
        # A shrinking face never becomes a point, a growing one never overflows.
        self._value[2:] = np.clip(self._value[2:], math.log(MIN_SIDE), 20.0)
        self._rate = kept * self._rate
        self._value_variance = (
            self._value_variance
            + 2 * duration * self._shared_variance
            + duration**2 * self._rate_variance
            + wander * seconds**3 / 3
        )
        self._shared_variance = (
            kept * (self._shared_variance + duration * self._rate_variance)
            + wander * seconds**2 / 2
        )
        self._rate_variance = kept**2 * self._rate_variance + wander * seconds

    def shift(self, right: float, down: float) -> None:
        """Move the centre by pixels, as the whole picture moved."""
        self._value[:2] += (right, down)

    def accelerate(self, right: float, down: float) -> None:
        """Change the velocity of the centre by pixels per second, known to as much."""
        self._rate[:2] += (right, down)
        self._rate_variance[:2] += (right**2, down**2)

    def update(self, box: Box) -> None:
        """Correct the state by a detected box at the time that was last predicted."""
        noise = _noise(self.size) ** 2
        total = self._value_variance + noise
        gain, rate_gain = self._value_variance / total, self._shared_variance / total
        innovation = _measure(box) - self._value
        self._value = self._value + gain * innovation
        self._rate = self._rate + rate_gain * innovation
        self._rate[2:] = np.clip(self._rate[2:], -FASTEST_GROWTH, FASTEST_GROWTH)
        self._hidden = False
        # Factors below 1 instead of differences: no variance can become negative by rounding.
        left = noise / total
        self._rate_variance = self._rate_variance - rate_gain * self._shared_variance
        self._rate_variance = np.maximum(self._rate_variance, 0.0)
        self._shared_variance = left * self._shared_variance
        self._value_variance = left * self._value_variance


@dataclass(frozen=True)
class Reach:
    """How far from a frame other frames are known and used: the larger one of two limits."""

    frames: int
    """Number of frames."""
    seconds: float
    """Time; it counts where frames follow each other faster than at the nominal rate."""

    def covers(self, frames: int, seconds: float) -> bool:
        """Return whether it covers a frame at a distance, in either direction."""
        return abs(frames) <= self.frames or abs(seconds) <= self.seconds


@dataclass(eq=False)
class SceneSpan:
    """A run of frames without a cut or pause."""

    first: int
    """Number of its first frame."""
    last: int | None = None
    """Number of its last frame; None while it continues."""
    first_scan: int | None = None
    """Number of its first frame on which detection ran."""
    last_scan: int | None = None
    """Number of its last such frame so far."""
    seen: float = 0.0
    """Seconds for which a face is seen that is detected on all of them, see `Track.seen`."""

    def add_scan(self, index: int, seconds: float) -> None:
        """Record that detection ran on a frame, and `seconds` for which its faces are seen."""
        self.first_scan = index if self.first_scan is None else self.first_scan
        self.last_scan = index
        self.seen += seconds


@dataclass(frozen=True, eq=False)
class Observation:
    """A detection that belongs to a track."""

    index: int
    """Number of the frame."""
    time: float
    """Time of the frame, in seconds."""
    detection: Detection
    scene: SceneSpan
    joined: bool
    """Whether the observation before belongs to the same run: frames between them are filled in."""


class Track:
    """The observations of one person, with motion and appearance.

    Args:
        number: Number of the person, from 1.
        first: The first observation.
        interval: Seconds for which the frame of the first observation lasts.

    Attributes:
        heads: Thumbnails of its head in the last frames with an observation.
        observations: In order of time; those that pending frames do not need are dropped.
        seen: Seconds for which the face is seen: from the first to the last detection of each run
            of detections without a miss, plus the interval of one frame.
        first: Number of the frame of the first observation.
        motion_start: Time since which its motion is known.
        status: Whether there are enough observations.
        missed_since: Time of the first frame since its last observation on which detection ran.

    """

    def __init__(self, number: int, first: Observation, interval: float) -> None:
        self.number = number
        self.first = first.index
        self._first_scene = first.scene
        self._seen_before = first.scene.seen - interval
        self.status: TrackStatus = "new"
        self.appearance: NDArray[np.float64] | None = None
        self.heads: deque[Thumbnails] = deque(maxlen=HEADS)
        self.observations: list[Observation] = []
        self.seen = 0.0
        self.missed_since: float | None = None
        self._predicted_at = first.time
        self._moved = (0.0, 0.0)
        self.restart(first, interval)

    @property
    def last(self) -> Observation:
        """The last observation."""
        return self.observations[-1]

    @property
    def last_box(self) -> Box:
        """The box of the last observation, moved as the picture has moved since."""
        left, top, right, bottom = self.last.detection.box
        across, down = self._moved
        return left + across, top + down, right + across, bottom + down

    def shift(self, right: float, down: float) -> None:
        """Move it by pixels, as the whole picture moved."""
        self.motion.shift(right, down)
        self._moved = (self._moved[0] + right, self._moved[1] + down)

    @property
    def has_velocity(self) -> bool:
        """Whether its velocity was measured, by two observations of connected motion."""
        return self.last.time > self.motion_start

    def predict(self, time: float) -> None:
        """Advance the motion filter to a time."""
        self.motion.predict(time - self._predicted_at)
        self._predicted_at = time

    @property
    def possible(self) -> float:
        """`seen` if the face had been detected on all frames of the scene since the first one."""
        return self._first_scene.seen - self._seen_before

    def update(self, observation: Observation, interval: float) -> None:
        """Add an observation at the time that was last predicted.

        Args:
            observation: Of this frame.
            interval: Seconds for which the frame lasts.

        """
        connected = self.missed_since is None and self.last.scene is observation.scene
        seconds = observation.time - self.last.time if connected else interval
        self.motion.update(observation.detection.box)
        self._append(observation, seconds)

    def restart(self, observation: Observation, interval: float) -> None:
        """Add an observation that is not connected with the former motion, as in `update`."""
        self.motion = BoxFilter(observation.detection.box)
        self._predicted_at = self.motion_start = observation.time
        self._append(observation, interval)

    def update_appearance(self, embedding: NDArray[np.float64], seconds: float) -> None:
        """Average an embedding (D,) into the appearance; zeros are ignored.

        Args:
            embedding: Of the face in this frame.
            seconds: Time since the last frame on which detection ran.

        """
        length = float(np.linalg.norm(embedding))
        if length == 0.0:
            return
        now = embedding / length
        if self.appearance is not None:
            share = independent_share(NEW_APPEARANCE, seconds)
            now = (1.0 - share) * self.appearance + share * now
            now = now / max(float(np.linalg.norm(now)), 1e-12)
        self.appearance = now

    def drop_before(self, index: int, time: float, reach: Reach) -> None:
        """Drop the observations too far before a frame for it, except the last one."""
        kept = [
            one
            for one in self.observations
            if one.index >= index or reach.covers(one.index - index, one.time - time)
        ]
        self.observations = kept or self.observations[-1:]

    def _append(self, observation: Observation, seconds: float) -> None:
        self.observations.append(observation)
        self.seen += seconds
        self.missed_since = None
        self._moved = (0.0, 0.0)


@dataclass(frozen=True, eq=False)
class TrackedFace:
    """A face in a frame, with the number of its track."""

    track: int
    """Number of the person, from 1, in the order of first observations."""
    detection: Detection
    """Box and points smoothed along the track, or filled in where the frame has no detection.

    The score is the detector's; of a face that was filled in, the lower one of its neighbours.
    """
    raw: Detection | None
    """The detection as the detector gave it; None where the face was filled in."""
    too_short: bool
    """Whether the whole track has too few detections to be trusted; it is then not smoothed."""


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """The final result of tracking for a frame."""

    index: int
    """Number of the frame among those given to the tracker, from 0."""
    faces: tuple[TrackedFace, ...]
    """In the order of their track numbers; at most one for each track."""
    ended: tuple[int, ...]
    """Tracks, in ascending order, without a face in any later frame; each is reported once."""


def _measure(box: Box) -> NDArray[np.float64]:
    left, top, right, bottom = box
    width, height = max(right - left, MIN_SIDE), max(bottom - top, MIN_SIDE)
    return np.array([(left + right) / 2, (top + bottom) / 2, math.log(width), math.log(height)])


def _noise(size: float) -> NDArray[np.float64]:
    return np.array([CENTRE_NOISE * size] * 2 + [SIDE_NOISE] * 2)

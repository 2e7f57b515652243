"""The track of one person: its observations, its motion and its appearance.

The motion of the box is predicted by a Kalman filter. Its state is four pairs of a value and its
rate per second: horizontal and vertical centre in pixels, natural logarithm of width and of height.
The rates are constant but for white noise of acceleration (Bar-Shalom, Li and Kirubarajan 2001,
section 6.2.2), which holds for any interval between frames. While a face is hidden the rates decay,
since people do not keep their velocity; after a second the face is found half as far from its
predicted position as without the decay. The pairs are independent, so four filters of two numbers
replace one of eight, in closed form. The logarithm keeps sizes positive and makes noise the same
for small and large faces; all noise of the centre is measured in face sizes, the root of width
times height. Filters of libraries (OpenCV, filterpy) assume a fixed interval and were not used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.detection.base import Detection

Box = tuple[float, float, float, float]

LEAST_SIDE = 1.0
"""Pixels; boxes cut at the border may have no width at all."""
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
"""Bound of that growth: nobody comes near more quickly, but boxes at the border shrink so."""
PERSISTENCE = 0.5
"""Seconds in which a velocity that is not seen any more falls to 1/e."""


class BoxFilter:
    """The motion of one face.

    Args:
        box: Where it was first seen: left, top, right, bottom in pixels.

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
        """Left, top, right and bottom edge as now believed, in pixels."""
        x, y = self._value[:2]
        width, height = np.exp(self._value[2:]) / 2
        return float(x - width), float(y - height), float(x + width), float(y + height)

    @property
    def spread(self) -> float:
        """Standard deviation of the place of the next detection along an axis, in pixels."""
        variance = float(self._value_variance[:2].mean())
        return math.sqrt(variance + (CENTRE_NOISE * self.size) ** 2)

    def predict(self, seconds: float) -> None:
        """Go on by `seconds`, 0 or more."""
        wander = np.array([CENTRE_WANDER * self.size] * 2 + [SIDE_WANDER] * 2) ** 2
        kept = math.exp(-seconds / PERSISTENCE) if self._hidden else 1.0
        way = PERSISTENCE * (1.0 - kept) if self._hidden else seconds
        self._hidden = True
        self._value = self._value + way * self._rate
        # A shrinking face never becomes a point, a growing one never overflows.
        self._value[2:] = np.clip(self._value[2:], math.log(LEAST_SIDE), 20.0)
        self._rate = kept * self._rate
        self._value_variance = (
            self._value_variance
            + 2 * way * self._shared_variance
            + way**2 * self._rate_variance
            + wander * seconds**3 / 3
        )
        self._shared_variance = (
            kept * (self._shared_variance + way * self._rate_variance) + wander * seconds**2 / 2
        )
        self._rate_variance = kept**2 * self._rate_variance + wander * seconds

    def update(self, box: Box) -> None:
        """Take in where the face was found, at the time that was last predicted."""
        noise = _noise(self.size) ** 2
        total = self._value_variance + noise
        gain, rate_gain = self._value_variance / total, self._shared_variance / total
        surprise = _measure(box) - self._value
        self._value = self._value + gain * surprise
        self._rate = self._rate + rate_gain * surprise
        self._rate[2:] = np.clip(self._rate[2:], -FASTEST_GROWTH, FASTEST_GROWTH)
        self._hidden = False
        # Factors below 1 instead of differences: no variance can become negative by rounding.
        left = noise / total
        self._rate_variance = self._rate_variance - rate_gain * self._shared_variance
        self._rate_variance = np.maximum(self._rate_variance, 0.0)
        self._shared_variance = left * self._shared_variance
        self._value_variance = left * self._value_variance


def _measure(box: Box) -> NDArray[np.float64]:
    left, top, right, bottom = box
    width, height = max(right - left, LEAST_SIDE), max(bottom - top, LEAST_SIDE)
    return np.array([(left + right) / 2, (top + bottom) / 2, math.log(width), math.log(height)])


def _noise(size: float) -> NDArray[np.float64]:
    return np.array([CENTRE_NOISE * size] * 2 + [SIDE_NOISE] * 2)


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


@dataclass(frozen=True, eq=False)
class TrackedFace:
    """A face in a frame, and whose it is."""

    track: int
    """Number of the person, from 1, in the order in which they were first seen."""
    detection: Detection
    """Box and points smoothed along the track, or filled in where the frame shows no detection.

    The score is the detector's; of a face that was filled in, the lower one of its neighbours.
    """
    raw: Detection | None
    """What the detector found, as it was given; None where the face was filled in."""
    too_short: bool
    """Whether the whole track has too few detections to be trusted; it is then not smoothed."""


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """The faces of a frame, decided once and for all."""

    index: int
    """Number of the frame among those given to the tracker, from 0."""
    faces: tuple[TrackedFace, ...]
    """By number of their track; no track has two."""
    ended: tuple[int, ...]
    """Tracks, in ascending order, that have no face in any later frame; each is told once."""

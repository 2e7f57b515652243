"""Temporal window: a face is averaged with those of the frames around it before the generator.

Noise and compression differ from frame to frame, the face does not. Faces of neighbouring frames
are registered to that of the current one (`faces.motion`) and cut out of their frames once, by the
composed map. Each pixel is then a mean in which a neighbour counts as far as it agrees with the
current frame, relative to the noise, as in non-local means (Buades, Coll and Morel 2005) along
time: what moves, is covered or is uncovered within the window is that of the current frame alone.

PSNR of luma of restored faces gained over one frame, in dB, on 40 synthetic tracks of five frames
(`tests/benchmarks/window_gain.py`) with the errors of landmarks in template pixels:

::

    native width                                  16    24    36    56
    registered by truth, error 0, plain mean     1.00  0.98  1.15  1.17
    as here, error 0.5                           0.71  0.78  0.92  1.12
    as here, error 1.0                           0.69  0.76  0.91  1.06
    limit of motion 5.0, error 1.0               0.62  0.62  0.74  0.78
    higher tolerance 10, error 0.5               0.52  0.52  0.60  0.83

Flow (dense inverse search) instead of a similarity was measured too: it made the result of clips
with turning heads no steadier, since it follows the current frame as well, in twice the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.faces.alignment import Alignment, crop
from jdsr_cli.faces.motion import estimate_motion
from jdsr_cli.faces.regions import face_region
from jdsr_cli.faces.repeats import native_noise
from jdsr_cli.faces.resampling import chain, cut_out, invert, resample

MAX_SECONDS = 0.25
"""Seconds from the current frame beyond which a neighbour does not count: the face has changed."""
MAX_MOTION = 10.0
"""Maximum motion of a corner between two frames of a window in template pixels, and the margin that
is kept around a face. Landmarks differ by more than `motion.MAX_MOTION` in small faces."""
MOTION_SMOOTHING = 2.5
"""Standard deviation in template pixels of the smoothing before motion is estimated."""
GRID = 64
"""Side in pixels at which faces are compared."""
SMOOTHING = 1.5
"""Standard deviation in template pixels of the smoothing before they are compared."""
NATIVE_SMOOTHING = 0.5
"""The same in pixels of the frame; the larger of both holds, so that noise is smoothed as well."""
REACH = 5
"""Pixels of the grid by which a change is dilated, so that an eye opens as a whole."""
NOISE_FACTOR = 2.5
"""Multiple of the median change over a face at which the weight of a pixel has fallen to 0.37."""
TOLERANCE = (5.0, 16.0)
"""Limits of that change in grey levels; the higher one is raised by `NOISE_TOLERANCE`."""
NOISE_TOLERANCE = 3.0
"""Change in standard deviations of the noise of the current frame that is tolerated always."""
MAX_CHANGE = 1.5
"""Mean change over the face, in multiples of the higher limit, above which a neighbour is left
out: it does not register, or shows something else."""
MIN_WEIGHT = 0.05
"""Mean weight over the face below which a neighbour is left out."""


@dataclass(frozen=True, eq=False)
class FaceView:
    """The part of a frame that shows a face, with a margin for registration."""

    number: int
    """Number of the frame."""
    seconds: float
    """Time of the frame."""
    pixels: NDArray[np.uint8]
    """RGB (height, width, 3)."""
    alignment: Alignment
    """From pixels of the part to the template."""
    _motions: dict[int, NDArray[np.float64]] = field(default_factory=dict, init=False, repr=False)
    """(2, 3) from its template pixels to those of earlier views, by their numbers."""

    @classmethod
    def cut(
        cls, number: int, seconds: float, image: NDArray[np.uint8], alignment: Alignment
    ) -> FaceView:
        """Copy the part of a frame; of a face wider than the template, reduced to it.

        Args:
            number: Number of the frame.
            seconds: Time of the frame.
            image: The frame, RGB uint8 (H, W, 3).
            alignment: From pixels of the frame to the template.

        """
        side = TEMPLATE_SIZE + 2 * round(MAX_MOTION)
        to_image = chain(alignment.inverse(), _shift(-MAX_MOTION))
        if alignment.native_width > TEMPLATE_SIZE:
            part, to_part = resample(image, to_image, side), _shift(0.0)
        else:
            part, to_part = cut_out(image, to_image, side, side)
            part = part.copy()
        return cls(number, seconds, part, Alignment(invert(chain(to_part, _shift(MAX_MOTION)))))

    @property
    def nbytes(self) -> int:
        """Size in memory of its pixels."""
        return self.pixels.nbytes

    @cached_property
    def _luma(self) -> NDArray[np.float32]:
        """Smoothed luma of the aligned face, (128, 128)."""
        luma = cv2.cvtColor(crop(self.pixels, self.alignment), cv2.COLOR_RGB2GRAY)
        smooth = cv2.GaussianBlur(luma.astype(np.float32), (0, 0), MOTION_SMOOTHING)
        return np.asarray(smooth, np.float32)

    def motion_to(self, other: FaceView) -> NDArray[np.float64]:
        """Return (2, 3) from template pixels of this view to those of another.

        Each pair is estimated once, from the later view to the earlier one.
        """
        if other.number > self.number:
            return invert(other.motion_to(self))
        if other.number not in self._motions:
            self._motions[other.number] = estimate_motion(other._luma, self._luma, MAX_MOTION)
        return self._motions[other.number]

    def registered(self, motion: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
        """Cut the face out, resampled once.

        Args:
            motion: (2, 3) from pixels of another view's template to those of its own.
            side: Side of the picture in pixels.

        Returns:
            RGB uint8 (side, side, 3), registered to the other view.

        """
        moved = Alignment(chain(invert(motion), self.alignment.matrix))
        return crop(self.pixels, moved, side)


@dataclass(frozen=True, eq=False)
class Windowed:
    """An aligned face combined with its neighbours."""

    image: NDArray[np.uint8]
    """RGB (side, side, 3), in the colours of the current frame."""
    frames: int
    """Number of frames that it was made of."""


@dataclass(frozen=True, eq=False)
class FaceWindow:
    """A face of one frame and its neighbours in time."""

    centre: FaceView
    neighbours: Sequence[FaceView]
    """Of the same track, in order of time."""

    @property
    def nbytes(self) -> int:
        """Size in memory of the current view; neighbours belong to the windows of their frames."""
        return self.centre.nbytes

    def combine(self, filmed: NDArray[np.uint8]) -> Windowed:
        """Return the mean of a face and of its registered neighbours, weighted by agreement.

        Args:
            filmed: The aligned face of the current frame, RGB uint8 (side, side, 3).

        Returns:
            `filmed` itself if no neighbour agrees.

        """
        side, centre = len(filmed), filmed.astype(np.float32)
        width = self.centre.alignment.native_width
        comparison = _Comparison(side, width, native_noise(filmed, width))
        added, total, frames = np.zeros_like(centre), np.ones((side, side, 1), np.float32), 1
        for view in self.neighbours:
            difference = view.registered(self.centre.motion_to(view), side) - centre
            found = comparison.agreement(difference)
            if found is not None:
                weight, even = found
                added += weight * (difference - even)
                total += weight
                frames += 1
        if frames == 1:
            return Windowed(filmed, 1)
        mean = np.rint(np.clip(centre + added / total, 0.0, 255.0))
        return Windowed(mean.astype(np.uint8), frames)


class _Comparison:
    """Compares registered neighbours with the current face.

    Args:
        side: Side of the pictures in pixels.
        width: Width of the current face in the frame in pixels.
        noise: Standard deviation of its noise in grey levels.

    """

    def __init__(self, side: int, width: float, noise: float) -> None:
        self._side = side
        self._grid = min(GRID, side)
        self._region = _region(self._grid)
        self._inside = self._region > 0.5
        smoothing = max(SMOOTHING, NATIVE_SMOOTHING * TEMPLATE_SIZE / width)
        self._deviation = smoothing * self._grid / TEMPLATE_SIZE
        low, high = TOLERANCE
        self._limits = low, max(high, NOISE_TOLERANCE * noise)

    def agreement(
        self, difference: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """Return the weight of each pixel of a neighbour, and its difference in exposure.

        A uniform change of a channel is no change of the face.

        Args:
            difference: Of the neighbour to the current face, RGB (side, side, 3).

        Returns:
            (side, side, 1) in 0 to 1, and (3,) in grey levels; None if the neighbour shows
            something else.

        """
        size = (self._grid, self._grid)
        small = cv2.resize(difference, size, interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), self._deviation)
        even = np.median(small[self._inside], axis=0)
        change = np.abs(small - even).max(axis=2)
        low, high = self._limits
        if self._mean(change) > MAX_CHANGE * high:
            return None
        change = _dilate(change)
        median = float(np.median(change[self._inside]))
        tolerance = min(max(NOISE_FACTOR * median, low), high)
        weight = np.exp(-((change / np.float32(tolerance)) ** 2))
        if self._mean(weight) < MIN_WEIGHT:
            return None
        enlarged = cv2.resize(weight, (self._side, self._side), interpolation=cv2.INTER_LINEAR)
        return np.asarray(enlarged[..., None], np.float32), even

    def _mean(self, values: NDArray[np.float32]) -> float:
        """Return the mean over the face."""
        total = float(self._region.sum(dtype=np.float64))
        return float((self._region * values).sum(dtype=np.float64)) / total


def _dilate(change: NDArray[np.float32]) -> NDArray[np.float32]:
    """Dilate and blur a change."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (REACH, REACH))
    return np.asarray(cv2.GaussianBlur(cv2.dilate(change, disc), (0, 0), REACH / 4.0), np.float32)


@lru_cache(maxsize=4)
def _region(side: int) -> NDArray[np.float32]:
    """Return the weight of each pixel in means over the face, (side, side), read-only."""
    size = (side, side)
    region = np.asarray(cv2.resize(face_region(), size, interpolation=cv2.INTER_AREA), np.float32)
    region.setflags(write=False)
    return region


def _shift(pixels: float) -> NDArray[np.float64]:
    return np.array([[1.0, 0.0, pixels], [0.0, 1.0, pixels]])

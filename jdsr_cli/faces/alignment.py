"""Alignment and pose of a face from its five landmarks.

The alignment is the similarity that takes the landmarks to the template of the training faces. The
pose is the rotation of a mean face of five points in space whose weak-perspective projection lies
nearest to the landmarks. The mean face was derived by factorisation (Tomasi and Kanade 1992) of the
five annotated landmarks of 16,483 faces of CelebA.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError
from jdsr_cli.faces.resampling import chain, invert, resample, stretch, zoom

TEMPLATE: NDArray[np.float64] = np.array(
    [[45.9, 65.9], [81.3, 65.9], [63.1, 88.7], [47.3, 103.9], [78.8, 103.9]]
)
"""(5, 2): eyes, nose, mouth corners, image left first, in pixels of the template.

CelebA's aligned pictures cut to 138 x 138 at (20, 40) and scaled to 128.
"""
TEMPLATE.setflags(write=False)
POINT_WEIGHTS = (3.0, 3.0, 1.0, 1.0, 1.0)
"""Weight of each point: under a mask nose and mouth are guesses."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """An affine map from a frame to the template; a similarity where its pixels are square."""

    matrix: NDArray[np.float64]
    """(2, 3), from pixels of the frame to pixels of the 128-pixel template."""

    @property
    def native_width(self) -> float:
        """Width of the template's region in the frame, in pixels; inf for a map to one point.

        If the pixels of the frame are not square, the unit is their longer side: the resolution in
        the direction in which it is lower.
        """
        scale = stretch(self.matrix)
        return TEMPLATE_SIZE / scale if scale > 0.0 else float("inf")

    def inverse(self) -> NDArray[np.float64]:
        """Return (2, 3) from pixels of the template to pixels of the frame.

        Raises:
            UsageError: The alignment maps everything to one point or is not finite.

        """
        return invert(self.matrix)


def estimate_alignment(
    points: NDArray[np.floating], weights: Sequence[float] | NDArray[np.floating] | None = None
) -> Alignment:
    """Fit the similarity that takes five points nearest to the template.

    Weighted least squares over turn, uniform scale and shift (Umeyama 1991, never a
    reflection), in closed form: with points as complex numbers the map is a z + b.

    Args:
        points: (5, 2) in pixels of the frame, ordered as `TEMPLATE`.
        weights: Five numbers, none negative; default `POINT_WEIGHTS`.

    Raises:
        UsageError: The points or weights have another shape or are not finite, or the points
            of positive weight coincide.

    """
    here = np.asarray(points, dtype=np.float64)
    share = np.asarray(POINT_WEIGHTS if weights is None else weights, dtype=np.float64)
    if here.shape != TEMPLATE.shape or not np.isfinite(here).all():
        raise UsageError(
            f"a face is aligned by five finite points (5, 2), not {here.tolist()}",
            hint="Leave the face out.",
        )
    if share.shape != (5,) or not np.isfinite(share).all() or share.min() < 0 or share.max() == 0:
        raise UsageError(
            f"five points cannot be weighted by {share.tolist()}",
            hint="Give five numbers, none negative and not all 0.",
        )
    share = share / share.sum()
    source, target = (one[:, 0] + 1j * one[:, 1] for one in (here, TEMPLATE))
    source_mean, target_mean = share @ source, share @ target
    spread = share @ np.abs(source - source_mean) ** 2
    # Coordinates of some thousand pixels leave this much of rounding behind.
    if spread <= 1e-18 * (1.0 + abs(source_mean) ** 2):
        raise UsageError(
            "the points of the face are all in one place",
            where=f"({source_mean.real:.1f}, {source_mean.imag:.1f})",
            hint="Leave the face out.",
        )
    turn = share @ (np.conj(source - source_mean) * (target - target_mean)) / spread
    shift = target_mean - turn * source_mean
    return Alignment(
        np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
    )


def similarity_from_template(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (2, 3), the least-squares similarity from the template to another one.

    Args:
        points: (5, 2): the points of the other template, ordered as `TEMPLATE`; all count alike.

    """
    x, y = TEMPLATE.T
    one, zero = np.ones(5), np.zeros(5)
    system = np.vstack([np.stack([x, -y, one, zero], 1), np.stack([y, x, zero, one], 1)])
    (a, b, right, down), *_ = np.linalg.lstsq(system, points.T.ravel(), rcond=None)
    return np.array([[a, -b, right], [b, a, down]])


def crop(
    image: NDArray[np.uint8], alignment: Alignment, size: int = TEMPLATE_SIZE
) -> NDArray[np.uint8]:
    """Cut an aligned face out of a frame, resampled once and without aliasing.

    Args:
        image: RGB uint8 (H, W, 3); beyond its border its nearest border pixel is taken.
        alignment: Alignment of the face.
        size: Side of the crop in pixels, whatever the face's native width.

    Returns:
        RGB uint8 (size, size, 3).

    Raises:
        UsageError: `size` is not positive, or the alignment cannot be inverted.

    """
    return resample(image, chain(alignment.inverse(), zoom(TEMPLATE_SIZE / size)), size)


def filmed_region(image: NDArray[np.uint8], alignment: Alignment) -> NDArray[np.float32]:
    """Return the share of each pixel of a crop that lies within the frame.

    Args:
        image: RGB (H, W, 3): the frame, or a part of it that contains all that the template covers.
        alignment: Alignment of the face.

    Returns:
        (128, 128) in [0, 1]; 0 where `crop` repeats border pixels.

    Raises:
        UsageError: The alignment cannot be inverted.

    """
    matrix = alignment.inverse()
    y, x = np.mgrid[:TEMPLATE_SIZE, :TEMPLATE_SIZE].astype(np.float64)
    points = np.stack([x, y], axis=2) @ matrix[:, :2].T + matrix[:, 2]
    limits = np.array([image.shape[1], image.shape[0]])
    inside = np.minimum(points + 0.5, limits - 0.5 - points) / stretch(matrix)
    return np.asarray(np.clip(inside + 0.5, 0.0, 1.0).prod(axis=2), np.float32)


MEAN_FACE: NDArray[np.float64] = np.array(
    [[-0.50, 0.00, 0.00], [0.50, 0.00, 0.00], [0.00, 0.58, 0.30],
     [-0.44, 0.97, -0.12], [0.44, 0.97, -0.12]]
)  # fmt: skip
"""(5, 3): eyes, nose tip, mouth corners in eye distances; x right, y down, z to the camera.

The factorisation's singular values were 4765, 4359, 582 and then 75: five points of many faces
are one rigid body to 2 %. Mirror symmetry was imposed, and the head nodded so that the training
template, which is the mean of CelebA, looks straight ahead.
"""
MEAN_FACE.setflags(write=False)
STEPS = 100
"""Most rounds of the fit; it usually ends after 10 to 40."""
SETTLED = 1e-5
"""Largest change of the rotation's elements at which the fit ends."""
MAX_RESIDUAL = 0.13
"""Residual up to which five points count as those of a face.

Quantiles of the residual, CenterFace's detections unless said otherwise:

::

                                                       median   95 %   99 %   99.5 %
    annotated points, 1,205 faces (`faces128`, test)   0.022   0.044  0.060   0.066
    40 of them pasted, yaw and pitch varied, upright   0.034   0.058  0.073   0.074
    the same turned by 15 degrees                      0.036   0.064  0.075   0.076
    street pictures, labelled faces of 24 px and more  0.042   0.087  0.118   0.126
    the same, 12 to 24 px                              0.051   0.096  0.135   0.145
    the same, unlabelled boxes of 24 px and more       0.066   0.126  0.232   0.250

Of the pasted faces turned by 60 degrees and more, whose points were off by 0.2 eye distances or
more in all but a few, the median is 0.15 at 60 degrees and 0.18 to 0.22 from 75 to 285.
"""


@dataclass(frozen=True)
class Pose:
    """Angles of a head in degrees, each 0 when it looks straight at the camera."""

    yaw: float
    """Above 0 where the nose points to the right of the picture; -90 to 90."""
    pitch: float
    """Above 0 where the face looks up; -180 to 180."""
    roll: float
    """Above 0 where the head is tilted clockwise as seen; -180 to 180."""
    residual: float = 0.0
    """Distance of the points from the projected mean face: weighted root mean square distance as
    a share of the weighted root mean square distance of the points from their centre, 0 or more.

    The spread of the points and not the eye distance is the unit, since the latter goes to 0 for
    a profile.
    """

    @property
    def plausible(self) -> bool:
        """Whether the points are those of a face: the residual is at most `MAX_RESIDUAL`."""
        return self.residual <= MAX_RESIDUAL


def pose(points: NDArray[np.floating]) -> Pose:
    """Fit the mean face to five points.

    Depth is taken from the current fit and the rotation is fitted again in space (Kabsch 1976),
    until it converges. The result does not depend on size and position. Eyes have a larger weight
    than nose and mouth, as in `estimate_alignment`, since under a mask those are guesses.

    Args:
        points: (5, 2) in pixels, ordered as `alignment.TEMPLATE`.

    Raises:
        UsageError: The points have another shape, are not finite, or coincide.

    """
    seen = np.asarray(points, dtype=np.float64)
    if seen.shape != (5, 2) or not np.isfinite(seen).all():
        raise UsageError(
            f"a pose is estimated from five finite points (5, 2), not {seen.tolist()}",
            hint="Leave the face out.",
        )
    return _pose(seen.tobytes())


def roll_at_turn(pose: Pose, turn: float) -> float:
    """Return the roll of a face, -180 to 180 degrees, in the picture in which it was found.

    Args:
        pose: Pose in the frame.
        turn: See `Detection.turn`.

    """
    return (pose.roll - turn + 180.0) % 360.0 - 180.0


@lru_cache(maxsize=1024)
def _pose(points: bytes) -> Pose:
    """Return the pose of five points, float64; cached, since the same points recur."""
    seen = np.frombuffer(points).reshape(5, 2)
    weight = np.asarray(POINT_WEIGHTS) / sum(POINT_WEIGHTS)
    middle = weight @ seen
    seen = seen - middle
    size = float(np.sqrt(weight @ (seen**2).sum(axis=1)))
    if not size > 1e-9 * (1.0 + float(np.abs(middle).max())):
        raise UsageError("the points of the face are all in one place", hint="Leave the face out.")
    face = MEAN_FACE - weight @ MEAN_FACE
    turn, residual = _fit(face, seen / size, weight)
    # Order of the rotations: pitch, then yaw, then roll.
    yaw = np.arcsin(np.clip(-turn[2, 0], -1.0, 1.0))
    pitch = np.arctan2(turn[2, 1], turn[2, 2])
    roll = np.arctan2(turn[1, 0], turn[0, 0])
    yaw, pitch, roll = (float(np.degrees(angle)) for angle in (yaw, pitch, roll))
    return Pose(yaw, pitch, roll, residual)


def _fit(
    face: NDArray[np.float64], seen: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Return the rotation (3, 3) of `face` (5, 3) nearest to `seen` (5, 2), and the residual.

    The residual is the weighted root mean square distance, in units of `seen`.
    """
    # The initial pose is frontal, with the roll of the eyes.
    right = seen[1] - seen[0]
    tilt = np.arctan2(right[1], right[0])
    cosine, sine = np.cos(tilt), np.sin(tilt)
    turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    # The weighted covariances of the mean face with the points, and with itself.
    shared = np.vstack([seen.T @ (weight[:, None] * face), np.zeros(3)])
    own = face.T @ (weight[:, None] * face)
    for _ in range(STEPS):
        turned = turn @ own
        scale = _scale(shared, turned, turn)
        # Only the row of the depth changes in the covariance.
        shared[2] = scale * turned[2]
        # For 3 x 3, OpenCV takes a fifth of the time of NumPy.
        left, right_t = (np.asarray(one, np.float64) for one in cv2.SVDecomp(shared)[1:])
        update = left @ right_t
        if _determinant(update) < 0.0:
            left[:, 2] *= -1.0
            update = left @ right_t
        settled = np.abs(update - turn).max() < SETTLED
        turn = update
        if settled:
            break
    missed = ((seen - _scale(shared, turn @ own, turn) * (face @ turn[:2].T)) ** 2).sum(axis=1)
    return turn, float(np.sqrt(weight @ missed))


def _determinant(matrix: NDArray[np.float64]) -> float:
    (a, b, c), (d, e, f), (g, h, i) = matrix.tolist()
    return float(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))


def _scale(
    shared: NDArray[np.float64], turned: NDArray[np.float64], turn: NDArray[np.float64]
) -> float:
    """Return the scale at which the projected face lies nearest to the points.

    Args:
        shared: (3, 3), rows 0 and 1: covariance of the points with the mean face.
        turned: (3, 3), `turn` times the covariance of the mean face with itself.
        turn: (3, 3), the rotation.

    """
    spread = float(np.vdot(turned[:2], turn[:2]))
    return float(np.vdot(shared[:2], turn[:2])) / max(spread, 1e-12)

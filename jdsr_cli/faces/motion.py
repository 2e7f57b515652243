"""Motion of a face inside the template from one frame to the next (Lucas and Kanade 1981).

`cv2.findTransformECC`, which `fusion` uses for large displacements, was measured on 64x64 pixels:
6.4 ms instead of 0.7 ms a pair, and half the shift at 3 grey levels of noise.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.regions import face_region
from jdsr_cli.faces.resampling import chain, invert, zoom

GRID = 64
"""Side in pixels at which motion is estimated; landmark noise is larger than its error."""
ITERATIONS = 3
"""Gauss-Newton iterations."""
MAX_MOTION = 5.0
"""Maximum motion of a corner in template pixels from one frame to the next."""
STEP = 1.0 / 256.0
"""Template pixels to which shifts are rounded, so that results are reproducible."""
MIN_GAIN = 0.02
"""Minimum relative decrease of the difference for the motion to be accepted."""


def estimate_motion(
    before: NDArray[np.float32], now: NDArray[np.float32], limit: float = MAX_MOTION
) -> NDArray[np.float64]:
    """Estimate the small similarity by which a face moved.

    Args:
        before: Smoothed luma of the previous crop, (128, 128).
        now: Smoothed luma of the current crop, (128, 128).
        limit: Maximum motion of a corner in template pixels; a larger estimate is rejected.

    Returns:
        (2, 3) from pixels of `now` to those of `before`; the identity if no small motion
        decreases their difference.

    """
    size = (GRID, GRID)
    fixed, moving = (
        cv2.resize(one, size, interpolation=cv2.INTER_AREA).astype(np.float64)
        for one in (now, before)
    )
    weight = _weight()
    total = float(weight.sum())
    fixed = fixed - float((weight * fixed).sum()) / total
    moving = moving - float((weight * moving).sum()) / total
    down = np.gradient(fixed)
    x, y = _coordinates()
    basis = np.stack([down[1], down[0], down[1] * x + down[0] * y, down[0] * x - down[1] * y])
    weighted = (basis * weight).reshape(4, -1)
    normal = weighted @ basis.reshape(4, -1).T
    # Regularisation: a face without gradients is not moved.
    normal += np.diag(np.diag(normal) * 1e-3 + 1e-3)
    motion = np.zeros(4)
    start = float((weight * np.abs(moving - fixed)).sum())
    for _ in range(ITERATIONS):
        difference = (_warped(moving, _matrix(motion)) - fixed).reshape(-1)
        motion -= np.linalg.solve(normal, weighted @ difference)
    final = _rounded(motion, limit)
    if final is None:
        return np.eye(2, 3)
    end = float((weight * np.abs(_warped(moving, _matrix(final)) - fixed)).sum())
    if end > (1.0 - MIN_GAIN) * start:
        return np.eye(2, 3)
    scale = 128.0 / GRID
    return chain(zoom(scale), chain(_matrix(final), invert(zoom(scale))))


@cache
def _weight() -> NDArray[np.float64]:
    small = cv2.resize(face_region(), (GRID, GRID), interpolation=cv2.INTER_AREA)
    return small.astype(np.float64)


@cache
def _coordinates() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x and y relative to the centre of the grid, (GRID, GRID) in -1 to 1."""
    y, x = (np.mgrid[:GRID, :GRID] - (GRID - 1) / 2.0) / (GRID / 2.0)
    return x, y


def _matrix(motion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (2, 3) of a shift in pixels, and a scale and rotation in pixels at the border."""
    right, below, grow, turn = motion
    middle, half = (GRID - 1) / 2.0, GRID / 2.0
    linear = np.array([[1.0 + grow / half, -turn / half], [turn / half, 1.0 + grow / half]])
    shift = np.array([right, below]) + middle - linear @ np.array([middle, middle])
    return np.column_stack([linear, shift])


def _rounded(motion: NDArray[np.float64], limit: float) -> NDArray[np.float64] | None:
    """Return the motion in multiples of `STEP`; None if it is too large or not finite."""
    scale = 128.0 / GRID
    if not np.isfinite(motion).all() or np.abs(motion).sum() * scale > limit:
        return None
    return np.rint(motion * scale / STEP) * STEP / scale


def _warped(picture: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(
        picture, matrix, (GRID, GRID), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, np.float64)

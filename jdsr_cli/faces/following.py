"""How a face moved inside the template from one frame to the next."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.regions import face_region
from jdsr_cli.faces.resampling import chain, invert, zoom

GRID = 64
"""Side in pixels at which motion is estimated; landmarks tremble by more than its error."""
ROUNDS = 3
"""Of the estimate, each from where the last one led."""
MOST_MOTION = 5.0
"""Pixels of the template by which a corner may move; more is no trembling but a lost estimate."""
STEP = 1.0 / 256.0
"""To which shifts are rounded, in template pixels, so that one input gives one motion."""
LEAST_GAIN = 0.02
"""Share by which the difference must fall for the motion to be believed."""


def follow(before: NDArray[np.float32], now: NDArray[np.float32]) -> NDArray[np.float64]:
    """Find the small similarity by which a face moved (Lucas and Kanade 1981).

    Args:
        before: Luma of the last crop, smoothed, (128, 128).
        now: The same of this crop.

    Returns:
        (2, 3) from pixels of `now` to those of `before`; the identity where no small motion
        makes both more alike.

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
    # A face without slopes cannot be followed; a little stiffness keeps it where it is.
    normal += np.diag(np.diag(normal) * 1e-3 + 1e-3)
    motion = np.zeros(4)
    start = float((weight * np.abs(moving - fixed)).sum())
    for _ in range(ROUNDS):
        difference = (_warped(moving, _matrix(motion)) - fixed).reshape(-1)
        motion -= np.linalg.solve(normal, weighted @ difference)
    final = _rounded(motion)
    if final is None:
        return np.eye(2, 3)
    end = float((weight * np.abs(_warped(moving, _matrix(final)) - fixed)).sum())
    if end > (1.0 - LEAST_GAIN) * start:
        return np.eye(2, 3)
    scale = 128.0 / GRID
    return chain(zoom(scale), chain(_matrix(final), invert(zoom(scale))))


@cache
def _weight() -> NDArray[np.float64]:
    small = cv2.resize(face_region(), (GRID, GRID), interpolation=cv2.INTER_AREA)
    return small.astype(np.float64)


@cache
def _coordinates() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x and y from the middle of the grid, (GRID, GRID) in -1 to 1."""
    y, x = (np.mgrid[:GRID, :GRID] - (GRID - 1) / 2.0) / (GRID / 2.0)
    return x, y


def _matrix(motion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (2, 3): shift in pixels, and zoom and turn in pixels at the rim of the grid."""
    right, below, grow, turn = motion
    middle, half = (GRID - 1) / 2.0, GRID / 2.0
    linear = np.array([[1.0 + grow / half, -turn / half], [turn / half, 1.0 + grow / half]])
    shift = np.array([right, below]) + middle - linear @ np.array([middle, middle])
    return np.column_stack([linear, shift])


def _rounded(motion: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the motion in whole steps; None where it is too large or not a number."""
    scale = 128.0 / GRID
    if not np.isfinite(motion).all() or np.abs(motion).sum() * scale > MOST_MOTION:
        return None
    return np.rint(motion * scale / STEP) * STEP / scale


def _warped(picture: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(
        picture, matrix, (GRID, GRID), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, np.float64)

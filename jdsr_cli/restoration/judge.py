"""Measures of one aligned face: how sharp it is and how much of it is covered."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

MASKED_SHARE = 0.08
"""A face counts as masked when more than this share of it is covered."""
COVERED = 0.5
"""A pixel counts as covered above this occlusion."""
ELLIPSE_CENTRE = (63.0, 78.0)
ELLIPSE_AXES = (40.0, 54.0)
"""Half axes in pixels; the face from brows to chin in the 128-pixel template."""


@cache
def face_ellipse(side: int = 128) -> NDArray[np.bool_]:
    """Return where the face lies in the template, bool (side, side)."""
    y, x = (np.mgrid[:side, :side] + 0.5) * (128.0 / side) - 0.5
    inside: NDArray[np.bool_] = ((x - ELLIPSE_CENTRE[0]) / ELLIPSE_AXES[0]) ** 2 + (
        (y - ELLIPSE_CENTRE[1]) / ELLIPSE_AXES[1]
    ) ** 2 <= 1.0
    return inside


def covered_share(occlusion: NDArray[np.float32]) -> float:
    """Return the share of the face's ellipse that is covered.

    Args:
        occlusion: (side, side) in [0, 1], template coordinates.

    """
    return float((occlusion > COVERED)[face_ellipse(occlusion.shape[0])].mean())


def sharpness(crop: NDArray[np.uint8]) -> float:
    """Return the variance of the Laplacian of the luma of RGB uint8 (side, side, 3).

    Only crops of one side can be compared.
    """
    luma = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(luma, cv2.CV_32F).var())

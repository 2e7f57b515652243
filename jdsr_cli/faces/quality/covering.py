"""How much of an aligned face is covered."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError

COVERED = 0.5
"""A pixel counts as covered above this occlusion."""
ELLIPSE_CENTRE = (63.0, 78.0)
ELLIPSE_AXES = (40.0, 54.0)
"""Half axes in pixels; the face from brows to chin in the 128-pixel template."""


@cache
def face_ellipse(side: int = 128) -> NDArray[np.bool_]:
    """Return where the face lies in the template, bool (side, side), read-only."""
    y, x = (np.mgrid[:side, :side] + 0.5) * (128.0 / side) - 0.5
    inside: NDArray[np.bool_] = ((x - ELLIPSE_CENTRE[0]) / ELLIPSE_AXES[0]) ** 2 + (
        (y - ELLIPSE_CENTRE[1]) / ELLIPSE_AXES[1]
    ) ** 2 <= 1.0
    inside.setflags(write=False)
    return inside


def covered_share(occlusion: NDArray[np.float32]) -> float:
    """Return the share of the face's ellipse that is covered, 0 to 1.

    Args:
        occlusion: (side, side) in [0, 1], template coordinates.

    Raises:
        UsageError: the map is not square or is empty.

    """
    if occlusion.ndim != 2 or occlusion.shape[0] != occlusion.shape[1] or occlusion.size == 0:
        raise UsageError(
            f"an occlusion map is square, not of shape {occlusion.shape}",
            hint="Give (128, 128), or another square of the template.",
        )
    return float((occlusion > COVERED)[face_ellipse(occlusion.shape[0])].mean())

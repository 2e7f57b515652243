"""Whether two pictures of a face show the same lower face, such as the same mask.

A decision that a person is bare in one frame and masked in another is credible only if the lower
face changed between them.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError

LEFT, TOP, RIGHT, BOTTOM = 24, 76, 104, 124
"""The lower face in pixels of the template: nose to chin, cheek to cheek."""
REACH = 4
"""Pixels by which the lower faces of two aligned pictures are displaced at most."""
SMOOTHING = 8.0
"""Standard deviation in pixels of the Gaussian whose response (light, shadow) is subtracted."""
SAME_ABOVE = 0.5
"""Correlation from which two lower faces are the same.

In a clip of one person who puts a mask on, bare frames have 0.19 to 0.36 with masked ones; in a
clip of one person with a mask, frames that are taken for bare have 0.66 to 0.88 with the most
similar masked ones.
"""


def lower_face_correlation(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Return the normalised correlation of the detail of two lower faces, -1 to 1.

    Args:
        one: RGB uint8 (128, 128, 3), aligned to the template.
        other: Likewise.

    Raises:
        UsageError: A picture has another shape.

    """
    inner = _detail(one)[TOP:BOTTOM, LEFT:RIGHT]
    outer = _detail(other)[TOP - REACH : BOTTOM + REACH, LEFT - REACH : RIGHT + REACH]
    if not inner.std() or not outer.std():
        return 0.0
    found = cv2.matchTemplate(outer, inner, cv2.TM_CCOEFF_NORMED)
    return float(np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0).max())


def _detail(face: NDArray[np.uint8]) -> NDArray[np.float32]:
    if face.shape != (TEMPLATE_SIZE, TEMPLATE_SIZE, 3):
        raise UsageError(
            f"an aligned face is (128, 128, 3), not {face.shape}", hint="Crop it at that size."
        )
    luma = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(luma - cv2.GaussianBlur(luma, (0, 0), SMOOTHING), np.float32)

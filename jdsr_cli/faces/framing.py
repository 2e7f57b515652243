"""The part of a frame that shows a face whose landmarks are not good enough for an alignment."""

from __future__ import annotations

import math

import numpy as np

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError
from jdsr_cli.faces.alignment import Alignment
from jdsr_cli.faces.occlusion import ELLIPSE_CENTRE

REGION_PER_BOX = 1.8
"""Width of the template's region in widths of the box of a face."""
HEIGHT_PER_WIDTH = 1.3
"""Height of the box of a face in its widths."""


def frame_box(box: tuple[float, float, float, float]) -> Alignment:
    """Return the upright alignment that shows the face in a box about as an aligned one.

    Args:
        box: Left, top, right and bottom edge in pixels.

    Raises:
        UsageError: The box is not finite or is empty.

    """
    left, top, right, bottom = (float(edge) for edge in box)
    width = max(right - left, (bottom - top) / HEIGHT_PER_WIDTH)
    if not (math.isfinite(left + top + right + bottom) and right > left and bottom > top):
        raise UsageError(f"a face has no picture in the box {box}", hint="Leave the face out.")
    scale = TEMPLATE_SIZE / (REGION_PER_BOX * width)
    centre_x, centre_y = 0.5 * (left + right), 0.5 * (top + bottom)
    x, y = ELLIPSE_CENTRE
    return Alignment(
        np.array([[scale, 0.0, x - scale * centre_x], [0.0, scale, y - scale * centre_y]])
    )

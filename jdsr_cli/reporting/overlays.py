"""Hatched overlays that mark invented and doubtful parts of a restored face.

The two differ by direction and by dashes as well as by colour, so that they can be told apart in
print, in gray and by people who do not see colours; each line has a white edge, so that it is
visible on dark and on bright skin.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

INVENTED = (176, 0, 96)
"""Colour of the lines over invented parts."""
DOUBTFUL = (0, 72, 176)
"""Colour of the dashes over doubtful parts."""
COVERED_FROM = 128
"""Value of an occlusion map from which a pixel is more likely covered than not."""
LINES = 20
"""Lines along the side of a picture."""
_MIN_PERIOD = 6
_WHITE = (255, 255, 255)


def covered_pixels(occlusion: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which pixels of an occlusion map are more likely covered than not.

    Args:
        occlusion: RGB uint8 (height, width, 3): 255 times the probability.

    """
    return np.asarray(occlusion[..., 0] >= COVERED_FROM)


def doubtful_pixels(doubt: NDArray[np.uint8], bound: float) -> NDArray[np.bool_]:
    """Return which pixels of a doubt map do not keep an error bound.

    Args:
        doubt: RGB uint8 (height, width, 3): the smallest bound that a pixel keeps, 255 for none.
        bound: In grey levels.

    """
    return np.asarray((doubt[..., 0] > bound) | (doubt[..., 0] == 255))


def scaled(marked: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    """Return marked pixels at another size, by the nearest pixel."""
    rows = (np.arange(height) * marked.shape[0]) // height
    columns = (np.arange(width) * marked.shape[1]) // width
    return np.asarray(marked[rows[:, None], columns[None, :]])


def hatched(
    marked: NDArray[np.bool_], colour: tuple[int, int, int], *, dashed: bool = False
) -> NDArray[np.uint8]:
    """Return an overlay with diagonal lines where pixels are marked, and an outline of them.

    Args:
        marked: (height, width).
        colour: Of the lines, RGB.
        dashed: Whether the lines fall the other way and are dashed.

    Returns:
        RGBA uint8 (height, width, 4), alpha 0 or 255.

    """
    height, width = marked.shape
    period = max(_MIN_PERIOD, max(height, width) // LINES)
    thickness = max(1, period // 4)
    rows, columns = np.mgrid[:height, :width]
    phase = (rows - columns if dashed else rows + columns) % period
    along = (rows + columns if dashed else rows - columns) % (2 * period)
    drawn = (along < 1.3 * period) if dashed else np.ones_like(marked)
    inside = marked.copy()
    inside[1:] &= marked[:-1]
    inside[:-1] &= marked[1:]
    inside[:, 1:] &= marked[:, :-1]
    inside[:, :-1] &= marked[:, 1:]
    line = marked & drawn & (phase < thickness)
    edge = marked & drawn & (phase >= thickness) & (phase < thickness + max(1, thickness // 2))
    overlay = np.zeros((height, width, 4), np.uint8)
    overlay[edge] = (*_WHITE, 255)
    overlay[line | (marked & ~inside)] = (*colour, 255)
    return overlay


def burned_in(image: NDArray[np.uint8], overlay: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture in gray with an overlay on it, as one picture.

    Args:
        image: RGB uint8 (height, width, 3).
        overlay: RGBA uint8 (height, width, 4).

    """
    luma = (image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)).astype(np.uint8)
    drawn = np.repeat(luma[..., None], 3, axis=2)
    covered = overlay[..., 3] > 0
    drawn[covered] = overlay[covered, :3]
    return drawn

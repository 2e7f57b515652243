"""Gray and infrared footage: known as such, and restored without a colour that was never there."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.scene import COLUMNS, ROWS, thumbnail

LUMA = (0.299, 0.587, 0.114)
"""BT.601, from RGB."""
GRAY = 7.0
"""Colourfulness, as a median over frames, below which footage is gray.

Median (least to most) of every 20th frame of the development clips, in colour; made gray,
tinted by (1, 0.95, 1.08), given chroma noise of 15 and saved as JPEG 40; and the most with noise
of 30:

::

    clip              colour             tinted, noise 15   noise 30
    corridor          15.9 (15.4-16.1)    2.8 (2.6-2.9)       4.7
    mask_on           26.2 (9.2-30.5)     4.1 (3.4-5.4)       5.7
    masked_dancer     63.5 (62.7-64.5)    2.1 (2.0-2.2)       3.6
    office_cctv       14.6 (14.1-15.2)    2.3 (2.2-2.4)       3.9
    street_arcade     25.2 (20.8-30.2)    1.7 (1.6-1.8)       1.5
    street_crowd      41.9 (38.1-71.7)    2.2 (1.9-2.5)       3.5
    two_people        20.9 (20.7-21.0)    2.6 (2.5-2.7)       4.9
"""
MOST_CAST = 16.0
"""Grey levels of one colour over all the picture that still count as the tint of an infrared
camera and not as the colour of a scene."""
MOST_TINT = 0.12
"""The same for a tint that grows with the light, as a share of luma."""
FACE_SHARE = 0.5
"""Of the colourfulness of a face that counts against the frame's: faces are small and noisy.

Faces in colour: 14 to 30 (median of a clip), in gray footage with chroma noise of 8: 12 at most.
"""
QUANTILE = 0.9
"""Of the chroma of a picture's points: what a tenth of it exceeds is colour, less is noise."""
CHROMA_REACH = 8.0
"""Standard deviation in template pixels of what counts as slowly varying colour."""


def colourfulness(image: NDArray[np.uint8]) -> float:
    """Return how far a picture's points are from one tint, in grey levels; 0 for gray.

    The distance in (R - Y, B - Y) that a tenth of the points of the thumbnail exceed, after the
    tint that all share was taken away as far as it is slight.

    Args:
        image: RGB uint8 (H, W, 3), a frame or a thumbnail.

    Raises:
        UsageError: it is no RGB picture, or is empty.

    """
    small = image if image.shape == (ROWS, COLUMNS, 3) else thumbnail(image)
    pixels = small.reshape(-1, 3).astype(np.float64)
    luma = pixels @ np.array(LUMA)
    chroma = pixels[:, [0, 2]] - luma[:, None]
    rise = luma - luma.mean()
    tint = (rise @ (chroma - chroma.mean(axis=0))) / max(float(rise @ rise), 1.0)
    chroma = chroma - np.clip(tint, -MOST_TINT, MOST_TINT) * luma[:, None]
    cast = np.median(chroma, axis=0)
    chroma = chroma - np.clip(cast, -MOST_CAST, MOST_CAST)
    return float(np.quantile(np.hypot(chroma[:, 0], chroma[:, 1]), QUANTILE))


def footage_colour(
    image: NDArray[np.uint8], boxes: Iterable[tuple[float, float, float, float]]
) -> float:
    """Return how far a frame with faces is from gray, to be compared with `GRAY`.

    That of the whole frame, or of its most colourful face: a white room has no more colour than
    noise has, but skin tells.

    Args:
        image: The frame, RGB uint8 (H, W, 3).
        boxes: Left, top, right and bottom of its faces in pixels.

    """
    faces = [_around(image, box) for box in boxes]
    shown = [FACE_SHARE * colourfulness(face) for face in faces if face.size]
    return max(colourfulness(image), *shown, 0.0)


def _around(image: NDArray[np.uint8], box: tuple[float, float, float, float]) -> NDArray[np.uint8]:
    """Return the part of the frame around a face, a quarter wider and higher on each side."""
    left, top, right, bottom = box
    aside, above = (right - left) / 4, (bottom - top) / 4
    rows = slice(max(0, round(top - above)), max(0, round(bottom + above)))
    return image[rows, max(0, round(left - aside)) : max(0, round(right + aside))]


def is_gray(colours: Iterable[float]) -> bool:
    """Return whether footage has no colour, from the colourfulness of some of its frames.

    Args:
        colours: Of `colourfulness`, best of a whole window of frames: their median decides, so
            that a frame with a coloured overlay does not. At least one.

    """
    return median(colours) < GRAY


def as_luma(restored: NDArray[np.uint8], reference: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a restored face with its own luma and no colour but the input's.

    Its chroma is that of the input crop, slowly varying; where the input has R = G = B
    everywhere, so has the result, exactly.

    Args:
        restored: RGB uint8 (side, side, 3), in the template.
        reference: The input crop at the same size, RGB uint8 (side, side, 3).

    Raises:
        UsageError: the shapes differ, or one is no RGB picture.

    """
    if restored.shape != reference.shape or restored.ndim != 3 or restored.shape[2] != 3:
        raise UsageError(
            f"a face {restored.shape} cannot take its colour from one of {reference.shape}",
            hint="Give both in the template, RGB.",
        )
    luma = np.rint(restored.astype(np.float64) @ np.array(LUMA))
    tint = reference.astype(np.float64) - reference[..., 1:2]
    if not tint.any():
        return np.repeat(luma.astype(np.uint8)[..., None], 3, axis=2)
    slow = cv2.GaussianBlur(tint, (0, 0), CHROMA_REACH * restored.shape[0] / 128.0)
    slow -= (slow @ np.array(LUMA))[..., None]
    pixels: NDArray[np.float64] = np.clip(np.rint(luma[..., None] + slow), 0.0, 255.0)
    return pixels.astype(np.uint8)

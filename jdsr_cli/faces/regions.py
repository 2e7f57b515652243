"""Regions of the template: the face, its border, covered areas, eyes, mouth and skin.

Eyes, mouth and skin are fixed ellipses for measurements over many faces: a face is aligned to
within a few pixels only, a turned head has its cheeks elsewhere, and hair or glasses may lie on
what is called skin.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.faces.alignment import TEMPLATE

CENTRE = (64.0, 76.0)
RADII = (52.0, 51.0)
"""From temple to temple and from the forehead to just above the chin, which the template cuts."""
ROUNDNESS = 2.5
"""Exponent of the outline; 2 is an ellipse, more is squarer."""
CORE = 0.72
"""Share of the radii within which the face is replaced fully."""
EDGE = (9.0, 12.0, 9.0, 5.0)
"""Pixels over which the restored picture fades at the template's left, top, right and lower edge.

The lower edge is short because it crosses masks, just above the chin.
"""
COVERED_RAMP = (0.12, 0.5)
"""Occlusion at which the picture begins to be replaced, and from which it is replaced fully."""
GROW = 7
"""Diameter in pixels by which covered areas are dilated, since the rim of a mask is half mask."""
SOFTEN = 1.6
"""Standard deviation in pixels of the blur of covered areas."""


def smooth_step(values: NDArray[np.float64] | NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 3 t^2 - 2 t^3 with t clipped to [0, 1]: a smooth ramp."""
    t: NDArray[np.float64] = np.clip(values, 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), dtype=np.float32)


@cache
def face_region() -> NDArray[np.float32]:
    """Return (128, 128) in [0, 1]: 1 in the middle of a face, falling to 0 at its outline."""
    y, x = np.mgrid[:TEMPLATE_SIZE, :TEMPLATE_SIZE].astype(np.float64)
    along = np.abs((x - CENTRE[0]) / RADII[0]) ** ROUNDNESS
    across = np.abs((y - CENTRE[1]) / RADII[1]) ** ROUNDNESS
    radius = (along + across) ** (1.0 / ROUNDNESS)
    return _fixed(smooth_step((1.0 - radius) / (1.0 - CORE)) * inner_region())


@cache
def inner_region() -> NDArray[np.float32]:
    """Return (128, 128) in [0, 1]: 1 inside the template, falling to 0 at its rounded border."""
    y, x = np.mgrid[:TEMPLATE_SIZE, :TEMPLATE_SIZE].astype(np.float64)
    left, top, right, bottom = EDGE
    sides = smooth_step(x / left) * smooth_step((TEMPLATE_SIZE - 1 - x) / right)
    return _fixed(sides * smooth_step(y / top) * smooth_step((TEMPLATE_SIZE - 1 - y) / bottom))


def covered_region(occlusion: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the weight of replacement (128, 128) in [0, 1]: slightly dilated covered areas.

    Args:
        occlusion: (128, 128) in [0, 1].

    """
    start, full = COVERED_RAMP
    certain = smooth_step((occlusion - start) / (full - start))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (GROW, GROW))
    soft = cv2.GaussianBlur(cv2.dilate(certain, disc), (0, 0), SOFTEN)
    return np.asarray(np.clip(soft, 0.0, 1.0), dtype=np.float32)


def _fixed(values: NDArray[np.float32]) -> NDArray[np.float32]:
    values.setflags(write=False)
    return values


Ellipse = tuple[float, float, float, float]
"""Centre x and y and radii along x and y, in pixels of the template."""

_LEFT_EYE, _RIGHT_EYE, _, _LEFT_MOUTH, _RIGHT_MOUTH = TEMPLATE
EYES: tuple[Ellipse, ...] = tuple((eye[0], eye[1] + 1, 14, 10) for eye in (_LEFT_EYE, _RIGHT_EYE))
"""With lids and lashes, without brows. 99 % of the dense landmarks of eyes lie inside, over 23,250
aligned faces of CelebA and LFW, and 98 % of those of mouths in `MOUTH`."""
MOUTH: tuple[Ellipse, ...] = (((_LEFT_MOUTH[0] + _RIGHT_MOUTH[0]) / 2, _LEFT_MOUTH[1] + 3, 22, 13),)
"""Both lips, smiling as well."""
SKIN: tuple[Ellipse, ...] = (
    (63.5, 42.5, 15, 6),  # forehead, below a fringe as often as not
    (63.5, 77.0, 4.5, 9),  # bridge of the nose
    (41.5, 87.0, 8, 8),
    (85.5, 87.0, 8, 8),  # cheeks
)
"""Apart from eyes, brows, mouth and, mostly, hair and beard."""


@cache
def eyes_and_mouth() -> NDArray[np.bool_]:
    """Return (128, 128), true in `EYES` and `MOUTH`."""
    return _inside(*EYES, *MOUTH)


@cache
def skin() -> NDArray[np.bool_]:
    """Return (128, 128), true in `SKIN`."""
    return _inside(*SKIN)


def _inside(*ellipses: Ellipse) -> NDArray[np.bool_]:
    y, x = np.mgrid[:TEMPLATE_SIZE, :TEMPLATE_SIZE].astype(np.float64)
    inside = np.zeros(x.shape, np.bool_)
    for left, top, across, down in ellipses:
        inside |= ((x - left) / across) ** 2 + ((y - top) / down) ** 2 <= 1
    inside.setflags(write=False)
    return inside

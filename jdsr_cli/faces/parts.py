"""Which pixels of the template are eyes, mouth and bare skin, by fixed ellipses.

They are meant for measuring many faces at once: a face is aligned to within a few pixels only, a
turned head has its cheeks elsewhere, and hair or glasses may lie on what is called skin.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.alignment import TEMPLATE, TEMPLATE_SIZE

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

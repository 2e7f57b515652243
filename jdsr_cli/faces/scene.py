"""Cuts: where footage jumps to another scene, so that no track may go on."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError

ROWS, COLUMNS = 18, 32
"""Of a thumbnail: enough to tell scenes apart, too little to see people move."""
UNLIKE = 0.6
"""Mean difference of luma between two thumbnails of matched light, in standard deviations, from
which they show different scenes.

Largest within clips, smallest of 336 joints between clips of the development data:

::

    clip, frames        1 frame apart   5 apart
    corridor, 41            0.06          0.20
    mask_on, 234            0.18          0.40
    masked_dancer, 530      0.11          0.28
    office_cctv, 600        0.02          0.03
    street_arcade, 105      0.12          0.34
    street_crowd, 600       0.20          0.55
    two_people, 56          0.04          0.16
    joints                         0.68
"""
LEAST_CHANGE = 10.0
"""Grey levels, mean over the picture and the channels, that a cut changes at least.

Joints between clips change 33 or more.
"""
FLAT = 4.0
"""Standard deviation of luma in grey levels below which a thumbnail shows nothing."""
WHITE = 200.0
"""Mean luma above which a thumbnail that shows nothing is a flash and not a scene."""
MOST_GAIN = 4.0
"""Most by which contrast is matched: what nearly shows nothing stays unlike."""


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reduce a frame to area means, RGB uint8 (18, 32, 3), whatever its shape.

    Args:
        image: RGB uint8 (H, W, 3).

    Raises:
        UsageError: it is no RGB picture, or is empty.

    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise UsageError(
            f"a thumbnail is made of RGB uint8 (H, W, 3), not {image.dtype} {image.shape}",
            hint="Decode the frame to RGB.",
        )
    small = cv2.resize(image, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8)


def is_cut(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> bool:
    """Return whether footage cuts to another scene between two frames.

    Light and contrast are matched first, so that neither a lamp that is switched on nor the
    camera's exposure is a cut. A frame whitened by a flash is none either. Crossfades are not
    seen, nor are cuts between views that are alike.

    Args:
        before: Thumbnail of the one frame, see `thumbnail`.
        after: Of the next.

    Raises:
        UsageError: they are no thumbnails.

    """
    for one in (before, after):
        if one.shape != (ROWS, COLUMNS, 3):
            raise UsageError(
                f"cuts are seen in thumbnails, not in pictures of shape {one.shape}",
                hint="Give what jdsr_cli.faces.scene.thumbnail returns.",
            )
    if np.abs(after.astype(np.float64) - before).mean() < LEAST_CHANGE:
        return False
    here, there = (_luma(one) for one in (before, after))
    flat = [one.std() < FLAT for one in (here, there)]
    if any(flat):
        return not any(
            nothing and one.mean() > WHITE for nothing, one in zip(flat, (here, there), strict=True)
        )
    gain = min(MOST_GAIN, float(there.std() / here.std()))
    matched = gain * (here - here.mean())
    away = float(np.abs(there - there.mean() - matched).mean() / there.std())
    return away > UNLIKE


def _luma(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    luma: NDArray[np.float64] = picture.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    return luma
